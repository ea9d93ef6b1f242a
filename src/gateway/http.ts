import { randomFillSync } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { PROBLEM_TYPE, PROBLEMS, type Problem, type ProblemCode } from '#api';
import { type Clock, DaasError, errorFields, type Log } from '#base';
import { ApiProblem } from './api-problem.ts';
import type { RateLimit } from './rate-limit.ts';

const noSchema = () => {
  throw new RangeError('no route has a JSON schema: what arrives is checked by zod');
};
/** Without these Fastify loads compilers of JSON schemas, which block a start for 100 ms and hold 10 MiB. */
export const withoutSchemas = {
  schemaController: { compilersFactory: { buildValidator: noSchema, buildSerializer: noSchema } },
};

/** Names one request in replies, log and audit file. Request ids of clients are ignored. */
export function newRequestId(): string {
  if (unusedFrom + requestIdBytes > drawn.length) {
    randomFillSync(drawn);
    unusedFrom = 0;
  }
  unusedFrom += requestIdBytes;
  return drawn.toString('base64url', unusedFrom - requestIdBytes, unusedFrom);
}

const requestIdBytes = 9;
/** Drawn for many at once: asking the system for each costs more than the rest of an id. */
const drawn = Buffer.alloc(512 * requestIdBytes);
let unusedFrom = drawn.length;

/** The body of an error reply (RFC 9457). */
export function problemBody(
  code: ProblemCode,
  detail: string,
  { requestId, nowMs }: { readonly requestId: string; readonly nowMs: number },
): Problem {
  const { status, title } = PROBLEMS[code];
  return {
    type: `urn:k3s-daas:problem:${code}`,
    title,
    status,
    detail,
    code,
    request_id: requestId,
    timestamp: nowMs,
  };
}

/** What error replies are made with. */
export interface ReplyContext {
  readonly clock: Clock;
  readonly log: Log;
  /** How many problems are logged at level info: strangers must not fill the disk with log lines. */
  readonly lines?: RateLimit;
}

/** Every error leaves as a problem body of RFC 9457. An error that is not an `ApiProblem` leaves as `internal`. */
export function answerWithProblems(app: FastifyInstance, context: ReplyContext): void {
  app.setErrorHandler((error, request, reply) => answerProblem(error, request, reply, context));
  app.setNotFoundHandler((request, reply) => {
    const problem = new ApiProblem('not_found', `${request.method} ${pathOf(request)} is not a route`);
    return send(problem, request, reply, context);
  });
}

export function answerProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  context: ReplyContext,
): FastifyReply {
  const problem = error instanceof ApiProblem ? error : problemOfError(error as FastifyError);
  logProblem(problem, error, request, context);
  return send(problem, request, reply, context);
}

function logProblem(
  { problem, reason }: ApiProblem,
  error: unknown,
  request: FastifyRequest,
  { log, lines, clock }: ReplyContext,
): void {
  const common = { requestId: request.id, path: pathOf(request) };
  if (problem === 'internal') {
    log.error('A request has failed', { ...common, ...errorFields(error) });
    return;
  }
  const level = (lines?.take('', clock.monotonicMs()) ?? 0) > 0 ? 'debug' : 'info';
  log[level]('Refused a request', { ...common, problem, reason });
}

function send(
  { problem, message, retryAfterMs }: ApiProblem,
  request: FastifyRequest,
  reply: FastifyReply,
  { clock }: ReplyContext,
): FastifyReply {
  if (retryAfterMs !== undefined)
    reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  return reply
    .code(PROBLEMS[problem].status)
    .type(PROBLEM_TYPE)
    .send(problemBody(problem, message, { requestId: request.id, nowMs: clock.nowMs() }));
}

function problemOfError(error: FastifyError): ApiProblem {
  switch (error.code) {
    case 'DAAS_GATEWAY_AUDIT_FAILED':
    case 'DAAS_GATEWAY_STORE_FAILED':
      return new ApiProblem(
        'storage_unavailable',
        'the gateway cannot write its state or audit file, so it admits no node',
        {
          cause: error,
          retryAfterMs: 30_000,
          ...(error instanceof DaasError && { reason: error.code }),
        },
      );
    case 'DAAS_GATEWAY_NOT_LEADING':
      return new ApiProblem('standing_by', 'another gateway leads now', {
        cause: error,
        retryAfterMs: 5_000,
      });
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ApiProblem('body_too_large', 'the body is longer than 64 KiB');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ApiProblem('media_type_unsupported', 'send the body as application/json');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_BAD_URL':
      return new ApiProblem('request_invalid', 'the request is malformed');
    default:
      // Fastify's own 4xx errors are the client's fault; everything else is the gateway's.
      return error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500
        ? new ApiProblem('request_invalid', 'the request is malformed')
        : new ApiProblem('internal', 'the gateway failed; its log names the cause under this request id');
  }
}

/** 'close' comes once, whether the reply was sent or the client went away; it may have come already. */
export function whenOver(response: ServerResponse, act: () => void): void {
  if (response.closed || response.destroyed) act();
  else response.once('close', act);
}

/** Without the query. */
export function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}

/** @throws `ApiProblem` `request_invalid`, which names the first member that is wrong. */
export function parseRequest<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue && issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
  throw new ApiProblem('request_invalid', `${where}${issue?.message ?? 'invalid'}`);
}
