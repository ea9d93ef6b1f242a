import type { Server, Socket } from 'node:net';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { z } from 'zod';
import {
  BODY_LIMIT_BYTES,
  ChallengeQuery,
  type ChallengeReply,
  HeartbeatBody,
  type HeartbeatReply,
  PATHS,
  PROBLEM_TYPE,
  RegisterBody,
  type RegisterReply,
  TLS_MINIMUM,
} from '#api';
import type { Clock, Log } from '#base';
import { bodyDigest, PROOF_HEADER } from '#seal';
import type { Admission, Admitted } from './admission.ts';
import { CHALLENGE_LIFE_MS, type Challenges } from './challenge.ts';
import type { RunnableGatewayConfig } from './config.ts';
import { directivesFor } from './directives.ts';
import type { FactCache } from './facts.ts';
import { answerProblem, answerWithProblems, newRequestId, pathOf, problemBody } from './http.ts';
import { addressKey, createRateLimit } from './rate-limit.ts';
import type { Reconciler } from './reconciler.ts';
import { Refusal } from './refusal.ts';
import type { Registry } from './registry.ts';
import type { ProvenRequest, Sender, Verifier } from './verifier.ts';

export interface PublicApiOptions {
  readonly config: RunnableGatewayConfig;
  readonly tls: { readonly cert: string; readonly key: string };
  /** `K10<hash>::`, what a join token begins with. */
  readonly tokenHead: string;
  readonly verifier: Verifier;
  readonly admission: Admission;
  readonly challenges: Challenges;
  readonly facts: FactCache;
  readonly registry: Registry;
  readonly reconciler: Reconciler;
  readonly clock: Clock;
  readonly log: Log;
  /** Aborts when the gateway stops: admissions that are under way are taken back. */
  readonly signal: AbortSignal;
}

/** A request may hold a connection no longer than this, its body's arrival included. */
const requestTimeoutMs = 10_000;
const mostConnections = 4_096;

/** The API that workers use: TLS 1.3 that ends here, limits before work, nothing believed that a proxy could write. */
export function createPublicApi(options: PublicApiOptions): FastifyInstance {
  const { config, tls, verifier, admission, challenges, clock, log, signal } = options;
  const addresses = createRateLimit({
    ratePerSecond: config.limits.addressRate,
    burst: config.limits.addressBurst,
  });
  let inFlight = 0;
  let isStopping = false;

  const app: FastifyInstance = Fastify({
    https: {
      ...tls,
      minVersion: TLS_MINIMUM,
      maxHeaderSize: 8 * 1024,
      headersTimeout: 5_000,
      handshakeTimeout: 5_000,
      // How often node looks for requests that are too slow; by default twice a minute.
      connectionsCheckingInterval: 1_000,
    },
    logger: false,
    trustProxy: false,
    requestIdHeader: false,
    genReqId: newRequestId,
    bodyLimit: BODY_LIMIT_BYTES,
    connectionTimeout: 30_000,
    keepAliveTimeout: 5_000,
    requestTimeout: requestTimeoutMs,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    return503OnClosing: false,
    // What its router cannot read never becomes a request: no hook sees it.
    frameworkErrors: (error, request, reply) => void answerProblem(error, request, reply, { clock, log }),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket as Socket, clock),
  });
  app.server.maxConnections = mostConnections;
  limitConnections(app.server, config.limits.addressConnections);
  answerWithProblems(app, { clock, log });

  app.addHook('onRequest', async (request, reply) => {
    inFlight += 1;
    // 'close' comes once, whether the reply was sent or the client went away.
    reply.raw.once('close', () => {
      inFlight -= 1;
    });
    if (isStopping) throw new Refusal('stopping', 'the gateway is stopping', { retryAfterMs: 5_000 });
    if (inFlight > config.limits.inFlight)
      throw new Refusal('overloaded', 'the gateway has too much to do', { retryAfterMs: 1_000 });
    const waitMs = addresses.take(addressKey(request.ip), clock.monotonicMs());
    if (waitMs > 0)
      throw new Refusal('rate_limited', 'too many requests from this address', { retryAfterMs: waitMs });
  });
  app.addHook('preClose', async () => {
    isStopping = true;
  });
  app.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
  });

  // The proof is over the bytes as they came: they are parsed only after it holds.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });

  app.get(PATHS.challenge, async (request): Promise<ChallengeReply> => {
    const query = parse(ChallengeQuery, request.query);
    const nowMs = clock.nowMs();
    const { nonce } = challenges.issue(query.node_id, clock.monotonicMs());
    const reason = admission.preview(query.node_id, query.staker);
    return {
      nonce,
      gateway_id: config.gatewayId,
      timestamp: nowMs,
      expires_at: nowMs + CHALLENGE_LIFE_MS,
      admissible: reason === undefined,
      reason: reason ?? null,
    };
  });

  app.post(PATHS.register, async (request): Promise<RegisterReply> => {
    const proven = provenRequest(request, config.gatewayId);
    const registrant = await verifier.registration(proven);
    const body = parseBody(RegisterBody, request, registrant.nodeId);
    const admitted = await admission.admit(
      { ...registrant, nodePasswordHash: body.node_password_hash, host: body.host },
      signal,
    );
    log.info('Registered a worker', {
      event: 'worker.registered',
      node: admitted.worker.nodeId,
      incarnation: admitted.worker.incarnation,
      hasJoinCredential: admitted.join !== undefined,
    });
    return registerReply(admitted, options);
  });

  app.post(PATHS.heartbeat, async (request): Promise<HeartbeatReply> => {
    const sender = await verifier.heartbeat(provenRequest(request, config.gatewayId));
    const body = parseBody(HeartbeatBody, request, sender.worker.nodeId);
    return hear(sender, body, options);
  });

  for (const path of Object.values(PATHS))
    app.route({
      method:
        path === PATHS.challenge ? ['POST', 'PUT', 'PATCH', 'DELETE'] : ['GET', 'PUT', 'PATCH', 'DELETE'],
      url: path,
      handler: async (request) => {
        throw new Refusal('method_not_allowed', `${pathOf(request)} does not take ${request.method}`);
      },
    });
  return app;
}

function provenRequest(request: FastifyRequest, audience: string): ProvenRequest {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  return {
    proof: proofOf(request),
    target: { audience, method: request.method, path: pathOf(request), bodyDigest: bodyDigest(body) },
    address: addressKey(request.ip),
    requestId: request.id,
  };
}

/** The header, or the same as a bearer token; two that differ are taken for none. */
function proofOf(request: FastifyRequest): string | undefined {
  const header = request.headers[PROOF_HEADER];
  const [, bearer] = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
  const given = [header, bearer].flat().filter((text) => text !== undefined && text !== '');
  return new Set(given).size === 1 ? given[0] : undefined;
}

function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue && issue.path.length > 0 ? `${issue.path.join('.')}: ` : '';
  throw new Refusal('request_invalid', `${where}${issue?.message ?? 'invalid'}`);
}

function parseBody<T extends { readonly node_id: string; readonly seal_token?: string | undefined }>(
  schema: z.ZodType<T>,
  request: FastifyRequest,
  nodeId: string,
): T {
  let json: unknown;
  try {
    json = JSON.parse((request.body as Buffer).toString('utf8'));
  } catch {
    throw new Refusal('request_invalid', 'the body is not JSON');
  }
  const body = parse(schema, json);
  if (body.node_id !== nodeId)
    throw new Refusal('request_invalid', 'node_id: differs from the node id of the proof');
  if (body.seal_token !== undefined && body.seal_token !== proofOf(request))
    throw new Refusal('request_invalid', 'seal_token: differs from the header');
  return body;
}

function registerReply({ worker, join }: Admitted, options: PublicApiOptions): RegisterReply {
  const { config, tokenHead, clock } = options;
  return {
    status: 'registered',
    node_id: worker.nodeId,
    timestamp: clock.nowMs(),
    message: join
      ? 'admitted: join with this credential before it ends'
      : 'known: the node is there and was heard lately, go on with the certificates you have',
    incarnation: worker.incarnation,
    join: join
      ? {
          server: config.server,
          token: tokenHead + join.credential.reveal(),
          expires_at: join.expiresAtMs,
        }
      : null,
    heartbeat: { interval_ms: config.heartbeatIntervalMs },
    node_labels: { 'k3s-daas.io/tier': worker.tier },
    taints: config.taintNodes ? [`k3s-daas.io/staked=${worker.tier}:NoSchedule`] : [],
  };
}

function hear({ worker, sequence }: Sender, body: HeartbeatBody, options: PublicApiOptions): HeartbeatReply {
  const { registry, facts, reconciler, clock } = options;
  const nowMs = clock.nowMs();
  const before = registry.presence(worker.nodeId);
  const fact = facts.factOf(worker, before?.goodAtMs);
  registry.hear(worker.nodeId, {
    incarnation: worker.incarnation,
    sequence,
    lastHeartbeatMs: nowMs,
    agentState: body.agent_state,
    stakeStatus: body.stake_status,
    stakeAmount: body.stake_amount,
    runningPods: body.running_pods,
    resourceUsage: {
      cpuPercent: body.resource_usage.cpu_percent,
      memoryPercent: body.resource_usage.memory_percent,
      diskPercent: body.resource_usage.disk_percent,
    },
    goodAtMs: fact.kind === 'good' ? nowMs : (before?.goodAtMs ?? worker.registeredAtMs),
  });
  const directives = directivesFor(worker, fact, registry.breaker().trippedAtMs !== undefined);
  reconciler.settle(worker.nodeId);
  return {
    status: 'acknowledged',
    timestamp: nowMs,
    message: directives.length === 0 ? 'all is well' : 'see the directives',
    directives: [...directives],
  };
}

/** Whoever sends slowly holds a connection for long: one address must not hold them all. */
function limitConnections(server: Server, mostOfOneAddress: number): void {
  const open = new Map<string, number>();
  server.on('connection', (socket) => {
    const address = addressKey(socket.remoteAddress ?? '');
    const count = (open.get(address) ?? 0) + 1;
    if (count > mostOfOneAddress) return void socket.destroy();
    open.set(address, count);
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left > 0) open.set(address, left);
      else open.delete(address);
    });
  });
}

/** What is not HTTP, or came too slowly, is answered by hand: there is no request yet. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Socket, clock: Clock): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy();
  const code = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'request_timeout' : 'request_invalid';
  const detail =
    code === 'request_timeout' ? 'the request took too long to arrive' : 'this is not an HTTP request';
  const body = JSON.stringify(problemBody(code, detail, newRequestId(), clock.nowMs()));
  const status = code === 'request_timeout' ? '408 Request Timeout' : '400 Bad Request';
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
