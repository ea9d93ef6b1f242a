import { randomBytes } from 'node:crypto';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { PROBLEM_TYPE, PROBLEMS, type Problem, type ProblemCode } from '#api';
import { type Clock, DaasError, type Log, messageOf } from '#base';
import { ApiProblem } from './api-problem.ts';
import type { RateLimit } from './rate-limit.ts';

/** Names one request in replies, log and audit file. Made here: what a client calls his request is his business. */
export function newRequestId(): string {
  return randomBytes(9).toString('base64url');
}

export function problemBody(
  code: ProblemCode,
  detail: string,
  requestId: string,
  nowMs: number,
): Problem & { readonly type: string } {
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

interface ReplyContext {
  readonly clock: Clock;
  readonly log: Log;
  /** How many refusals are worth a line at level info: strangers must not fill the disk with them. */
  readonly lines?: RateLimit;
}

/** Every error leaves as a problem body of RFC 9457; what is not ours to tell leaves as `internal`. */
export function answerWithProblems(app: FastifyInstance, context: ReplyContext): void {
  app.setErrorHandler((error, request, reply) => answerProblem(error, request, reply, context));
  app.setNotFoundHandler((request, reply) =>
    send(
      reply,
      request.id,
      new ApiProblem('not_found', `${request.method} ${pathOf(request)} is not a route`),
      context,
    ),
  );
}

export function answerProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  context: ReplyContext,
): FastifyReply {
  const { log, lines, clock } = context;
  const refusal = error instanceof ApiProblem ? error : refusalOf(error as FastifyError);
  const level = (lines?.take('', clock.monotonicMs()) ?? 0) > 0 ? 'debug' : 'info';
  if (refusal.problem === 'internal')
    log.error('A request has failed', {
      requestId: request.id,
      path: pathOf(request),
      detail: messageOf(error),
    });
  else
    log[level]('Refused a request', {
      requestId: request.id,
      path: pathOf(request),
      code: refusal.problem,
      reason: refusal.reason,
    });
  return send(reply, request.id, refusal, context);
}

function send(
  reply: FastifyReply,
  requestId: string,
  refusal: ApiProblem,
  { clock }: ReplyContext,
): FastifyReply {
  if (refusal.retryAfterMs !== undefined)
    reply.header('retry-after', String(Math.max(1, Math.ceil(refusal.retryAfterMs / 1000))));
  return reply
    .code(PROBLEMS[refusal.problem].status)
    .type(PROBLEM_TYPE)
    .send(problemBody(refusal.problem, refusal.message, requestId, clock.nowMs()));
}

function refusalOf(error: FastifyError): ApiProblem {
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
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new ApiProblem('body_too_large', 'the body is longer than 64 KiB');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new ApiProblem('media_type_unsupported', 'send the body as application/json');
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
    case 'FST_ERR_BAD_URL':
      return new ApiProblem('request_invalid', 'the request is malformed');
    default:
      // Fastify's own refusals are the client's fault; everything else is ours.
      return error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500
        ? new ApiProblem('request_invalid', 'the request is malformed')
        : new ApiProblem('internal', 'the gateway failed; its log names the cause under this request id');
  }
}

/** Without the query. */
export function pathOf(request: FastifyRequest): string {
  return request.url.split('?', 1)[0] ?? '';
}
