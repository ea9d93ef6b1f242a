import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server as TlsServer } from 'node:tls';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { BODY_LIMIT_BYTES, PATHS, TLS_GROUPS, TLS_MINIMUM } from '#api';
import { type Clock, type Log, spanCollector } from '#base';
import { closeListener } from '#infrastructure';
import { ApiProblem } from './api-problem.ts';
import type { RunnableGatewayConfig } from './config.ts';
import {
  answerProblem,
  answerWithProblems,
  newRequestId,
  type ReplyContext,
  whenOver,
  withoutSchemas,
} from './http.ts';
import { type LoadShedding, SHED_RETRY_MS } from './load-shedding.ts';
import type { Metrics } from './metrics.ts';
import {
  guardPublicPort,
  keptIdleMs,
  type PublicConnections,
  STRANGERS_REST_MS,
} from './public-connections.ts';
import { addressKey, createRateLimit, type RateLimit } from './rate-limit.ts';
import { answerBrokenRequest, answerByHand } from './raw-replies.ts';
import { addSpans } from './request-spans.ts';
import { createShares, type Shares } from './shares.ts';

export interface PublicServerOptions {
  readonly config: RunnableGatewayConfig;
  readonly tls: { readonly cert: string; readonly key: string };
  readonly metrics?: Pick<Metrics, 'answered' | 'shed'> | undefined;
  readonly shedding: Pick<LoadShedding, 'refuses'>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface PublicServer {
  /** Without routes. */
  readonly app: FastifyInstance;
  readonly connections: PublicConnections;
  /** For the connections from now on; those that are there go on as they are. */
  changeTls(tls: PublicServerOptions['tls']): void;
  /** From now on each connection is closed after its reply. */
  drain(): void;
  isDraining(): boolean;
  /** Finishes the requests in progress, for a while, then closes all connections, whatever their peers do. */
  close(): Promise<void>;
}

/** What the hooks of the server work with. */
interface ServerContext extends ReplyContext {
  readonly connections: PublicConnections;
  readonly rates: RateLimit;
  readonly shares: RequestShares;
  readonly shedding: Pick<LoadShedding, 'refuses'>;
  readonly metrics: PublicServerOptions['metrics'];
  /** How long a worker's connection may be idle. */
  readonly idleMs: number;
  isStopping: boolean;
  isDraining: boolean;
}

/** Apart: neither strangers nor registrations that wait for chain or cluster may take the places of heartbeats. */
interface RequestShares {
  readonly workers: Shares;
  readonly heartbeats: Shares;
  readonly others: Shares;
}

/** A request may hold a connection no longer than this, the arrival of its body included. */
const requestTimeoutMs = 10_000;
/** How long a peer may take to read a reply. */
const replyTimeoutMs = 5_000;
/** What is in progress when the gateway stops has this long; admissions were taken back by then. */
const closeGraceMs = 2_000;

/**
 * HTTP over TLS 1.3 for anyone: limits come before work, and a connection that is not used cannot be kept. With
 * `config.listen.proxySocket` TLS ends at a proxy, and what comes is plain HTTP after a PROXY header.
 */
export function createPublicServer(options: PublicServerOptions): PublicServer {
  const { config, tls, metrics, shedding, clock, log } = options;
  const { limits } = config;
  const idleMs = keptIdleMs(config.heartbeatIntervalMs);
  const createOwnShares = () => createShares(limits.inFlight, limits.addressInFlight);
  const isProxied = config.listen.proxySocket !== undefined;
  const app: FastifyInstance = Fastify({
    ...fastifyOptions(idleMs),
    ...(isProxied ? { http: httpRules } : { https: { ...tls, ...tlsRules, ...httpRules } }),
    // What the router cannot read never becomes a request: no hook sees it.
    frameworkErrors: (error, request, reply) =>
      void answerProblem(rateProblem(context, request) ?? error, request, reply, context),
    clientErrorHandler: (error, socket) => answerBrokenRequest(context, error, socket as Socket),
  });
  const context: ServerContext = {
    clock,
    log,
    lines: createRateLimit({ ratePerSecond: 2, burst: 500 }),
    connections: guardPublicPort(app.server, limits, { isProxied, clock, log }),
    rates: createRateLimit({ ratePerSecond: limits.addressRate, burst: limits.addressBurst }),
    shares: { workers: createOwnShares(), heartbeats: createOwnShares(), others: createOwnShares() },
    shedding,
    metrics,
    idleMs,
    isStopping: false,
    isDraining: false,
  };
  answerWithProblems(app, context);
  addHooks(app, context);
  const spans = spanCollector();
  // After the limits: what they refuse is to cost nothing.
  if (spans) addSpans(app, spans);
  if (metrics)
    app.addHook('onResponse', (request, reply, done) => {
      count(metrics, request, reply);
      done();
    });
  readBodiesRaw(app);
  refuseTunnels(app, context);
  return {
    app,
    connections: context.connections,
    changeTls(next) {
      // The proxy reads the files itself.
      if (isProxied) return;
      (app.server as unknown as TlsServer).setSecureContext({ ...next, ...tlsRules });
    },
    drain() {
      context.isDraining = true;
    },
    isDraining: () => context.isDraining,
    async close() {
      context.isStopping = true;
      if (await closeListener(app.server, context.connections, closeGraceMs)) await app.close();
      else log.warn('The public port did not report that it is closed');
    },
  };
}

const tlsRules = {
  minVersion: TLS_MINIMUM,
  // Every client has these; others cost several times the work.
  ecdhCurve: TLS_GROUPS,
} as const;

const httpRules = {
  maxHeaderSize: 8 * 1024,
  headersTimeout: 5_000,
  // How often node looks for requests that are too slow; by default twice a minute.
  connectionsCheckingInterval: 1_000,
  // `onRequest` checks it: node's own refusal has no body.
  requireHostHeader: false,
} as const;

function fastifyOptions(idleMs: number) {
  return {
    ...withoutSchemas,
    logger: false,
    trustProxy: false,
    requestIdHeader: false,
    genReqId: newRequestId,
    bodyLimit: BODY_LIMIT_BYTES,
    connectionTimeout: 30_000,
    keepAliveTimeout: idleMs,
    requestTimeout: requestTimeoutMs,
    exposeHeadRoutes: false,
    forceCloseConnections: false,
    return503OnClosing: false,
  } as const;
}

/** With callbacks: a promise for each hook and request costs a heartbeat a tenth of its CPU. What a hook throws is the reply. */
function addHooks(app: FastifyInstance, context: ServerContext): void {
  app.addHook('onRequest', (request, _reply, done) => {
    admitRequest(context, request);
    done();
  });
  // The body is there: until then a request holds only its connection, which has limits of its own.
  app.addHook('preValidation', (request, reply, done) => {
    takePlace(context, request, reply);
    done();
  });
  app.addHook('onSend', (request, reply, _payload, done) => {
    prepareReply(context, request, reply);
    done();
  });
}

function count(metrics: Pick<Metrics, 'answered'>, request: FastifyRequest, reply: FastifyReply): void {
  const route = request.routeOptions.url ?? '';
  // How long a stream was open is not how long an answer took.
  if (route === PATHS.events && reply.statusCode === 200) return;
  metrics.answered({ route, status: reply.statusCode, seconds: reply.elapsedTime / 1000 });
}

function admitRequest(context: ServerContext, request: FastifyRequest): void {
  const connection = context.connections.of(request.raw.socket);
  connection?.wake();
  if (context.isStopping)
    throw new ApiProblem('stopping', 'the gateway is stopping', { retryAfterMs: 5_000 });
  const problem = rateProblem(context, request);
  if (problem) throw problem;
  if (!hasOneHost(request.raw))
    throw new ApiProblem('request_invalid', 'the request names no host, or several');
  const route = request.routeOptions.url;
  // Before the body arrives.
  if (context.shedding.refuses({ route, isKnown: connection?.owner !== undefined })) {
    context.metrics?.shed();
    throw new ApiProblem('overloaded', 'the gateway has too much to do', { retryAfterMs: SHED_RETRY_MS });
  }
}

function rateProblem(context: ServerContext, request: FastifyRequest): ApiProblem | undefined {
  const waitMs = context.rates.take(callerOf(context, request), context.clock.monotonicMs());
  if (waitMs === 0) return undefined;
  return new ApiProblem('rate_limited', 'too many requests from this address', { retryAfterMs: waitMs });
}

/** The node that has proven itself on this connection, else the address. */
function callerOf({ connections }: ServerContext, request: FastifyRequest): string {
  return connections.of(request.raw.socket)?.owner ?? addressKey(request.ip);
}

function takePlace(context: ServerContext, request: FastifyRequest, reply: FastifyReply): void {
  // It lasts for as long as its connection, which has limits of its own.
  if (request.routeOptions.url === PATHS.events) return;
  const { workers, heartbeats, others } = context.shares;
  const isWorkers = context.connections.of(request.raw.socket)?.owner !== undefined;
  const shares = isWorkers ? workers : request.routeOptions.url === PATHS.heartbeat ? heartbeats : others;
  const giveBack = shares.take(callerOf(context, request));
  if (!giveBack)
    throw new ApiProblem('overloaded', 'the gateway has too much to do', { retryAfterMs: 1_000 });
  whenOver(reply.raw, giveBack);
}

function prepareReply(context: ServerContext, request: FastifyRequest, reply: FastifyReply): void {
  const connection = context.connections.of(request.raw.socket);
  const idleMs = connection?.owner === undefined ? STRANGERS_REST_MS : context.idleMs;
  reply.headers({
    'cache-control': 'no-store',
    // What the log and the audit file know this request by.
    'x-request-id': request.id,
    'keep-alive': `timeout=${Math.floor(idleMs / 1000)}`,
  });
  if (context.isStopping || context.isDraining) reply.header('connection', 'close');
  const timer = setTimeout(() => connection?.cut(), replyTimeoutMs).unref();
  whenOver(reply.raw, () => {
    clearTimeout(timer);
    connection?.rest();
  });
}

/** The proof is over the bytes as they came: they are parsed only after it holds. */
function readBodiesRaw(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });
}

function refuseTunnels(app: FastifyInstance, context: ServerContext): void {
  app.server.on('connect', (_request: IncomingMessage, socket: Duplex) =>
    answerByHand(context, socket, { code: 'method_not_allowed', detail: 'the gateway is not a proxy' }),
  );
  app.server.on('checkExpectation', (_request: IncomingMessage, { socket }: ServerResponse) => {
    const detail = 'the gateway knows no expectation but 100-continue';
    if (socket) answerByHand(context, socket, { code: 'expectation_failed', detail });
  });
}

/** RFC 9112, section 3.2: HTTP/1.1 requires exactly one. */
function hasOneHost({ httpVersion, rawHeaders }: IncomingMessage): boolean {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1;
  }
  return hosts === 1 || (hosts === 0 && httpVersion === '1.0');
}
