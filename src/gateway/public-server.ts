import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import {
  BODY_LIMIT_BYTES,
  PATHS,
  PROBLEM_TYPE,
  PROBLEMS,
  type ProblemCode,
  TLS_GROUPS,
  TLS_MINIMUM,
} from '#api';
import type { Clock, Log } from '#base';
import { closeListener } from '#infrastructure';
import type { RunnableGatewayConfig } from './config.ts';
import { answerProblem, answerWithProblems, newRequestId, problemBody } from './http.ts';
import {
  guardPublicPort,
  keptIdleMs,
  type PublicConnections,
  STRANGERS_REST_MS,
} from './public-connections.ts';
import { addressKey, createRateLimit } from './rate-limit.ts';
import { Refusal } from './refusal.ts';
import { createShares, type Shares } from './shares.ts';

export interface PublicServerOptions {
  readonly config: RunnableGatewayConfig;
  readonly tls: { readonly cert: string; readonly key: string };
  readonly clock: Clock;
  readonly log: Log;
}

export interface PublicServer {
  /** Its routes are whose makes them. */
  readonly app: FastifyInstance;
  readonly connections: PublicConnections;
  /** Answers what is in work, for a while, and closes all connections, whatever their peers do. */
  close(): Promise<void>;
}

/** A request may hold a connection no longer than this, its body's arrival included. */
const requestTimeoutMs = 10_000;
/** How long a peer may take to read a reply. */
const replyTimeoutMs = 5_000;
/** How long a peer may take to end a connection after we have. */
const endTimeoutMs = 2_000;
/** What is in work when the gateway stops has this long; admissions were taken back by then. */
const closeGraceMs = 2_000;

/** HTTP over TLS 1.3 for anybody in the world: limits before work, and no way to keep a connection that is not used. */
export function createPublicServer({ config, tls, clock, log }: PublicServerOptions): PublicServer {
  const { limits } = config;
  const idleMs = keptIdleMs(config.heartbeatIntervalMs);
  const scribe = { clock, log, lines: createRateLimit({ ratePerSecond: 2, burst: 500 }) };
  const rates = createRateLimit({ ratePerSecond: limits.addressRate, burst: limits.addressBurst });
  // Apart: neither strangers nor registrations that wait for chain or cluster may take the places of heartbeats.
  const [workers, heartbeats, others] = [0, 1, 2].map(() =>
    createShares(limits.inFlight, limits.addressInFlight),
  ) as [Shares, Shares, Shares];
  let isStopping = false;

  const app: FastifyInstance = Fastify({
    https: {
      ...tls,
      minVersion: TLS_MINIMUM,
      // Others cost several times the work of these, which every client has.
      ecdhCurve: TLS_GROUPS,
      maxHeaderSize: 8 * 1024,
      headersTimeout: 5_000,
      // How often node looks for requests that are too slow; by default twice a minute.
      connectionsCheckingInterval: 1_000,
      // Looked at below: node's own refusal has no body.
      requireHostHeader: false,
    },
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
    // What its router cannot read never becomes a request: no hook sees it.
    frameworkErrors: (error, request, reply) =>
      void answerProblem(limited(request) ?? error, request, reply, scribe),
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket as Socket),
  });
  const connections = guardPublicPort(app.server, limits, scribe);
  const asker = (request: FastifyRequest) =>
    connections.of(request.raw.socket)?.owner ?? addressKey(request.ip);
  answerWithProblems(app, scribe);

  function limited(request: FastifyRequest): Refusal | undefined {
    const waitMs = rates.take(asker(request), clock.monotonicMs());
    if (waitMs === 0) return undefined;
    return new Refusal('rate_limited', 'too many requests from this address', { retryAfterMs: waitMs });
  }

  app.addHook('onRequest', async (request) => {
    connections.of(request.raw.socket)?.wake();
    if (isStopping) throw new Refusal('stopping', 'the gateway is stopping', { retryAfterMs: 5_000 });
    const refusal = limited(request);
    if (refusal) throw refusal;
    if (!hasOneHost(request.raw))
      throw new Refusal('request_invalid', 'the request names no host, or several');
  });
  // The body is there: a request whose body is on its way holds its connection, which has limits of its own, and nothing else.
  app.addHook('preValidation', async (request, reply) => {
    const isWorkers = connections.of(request.raw.socket)?.owner !== undefined;
    const shares = isWorkers ? workers : request.routeOptions.url === PATHS.heartbeat ? heartbeats : others;
    const giveBack = shares.take(asker(request));
    if (!giveBack) throw new Refusal('overloaded', 'the gateway has too much to do', { retryAfterMs: 1_000 });
    whenOver(reply.raw, giveBack);
  });
  app.addHook('onSend', async (request, reply) => {
    const connection = connections.of(request.raw.socket);
    reply.header('cache-control', 'no-store');
    reply.header(
      'keep-alive',
      `timeout=${Math.floor((connection?.owner === undefined ? STRANGERS_REST_MS : idleMs) / 1000)}`,
    );
    if (isStopping) reply.header('connection', 'close');
    const timer = setTimeout(() => connection?.cut(), replyTimeoutMs).unref();
    whenOver(reply.raw, () => {
      clearTimeout(timer);
      connection?.rest();
    });
  });

  // The proof is over the bytes as they came: they are parsed only after it holds.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    done(null, body);
  });

  /** What is answered by hand: there is no request of the framework's. The connection ends with it. */
  function answerByHand(socket: Duplex, code: ProblemCode, detail: string): void {
    const connection = connections.of(socket as Socket);
    const body = JSON.stringify(problemBody(code, detail, newRequestId(), clock.nowMs()));
    const { status } = PROBLEMS[code];
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
    if (connection) connection.cutAfter(endTimeoutMs);
    else socket.destroy();
  }

  /** What is not HTTP, or came too slowly. Before the end of the handshake nobody can be answered. */
  function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
    if (socket.writable && error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
      answerByHand(socket, 'request_timeout', 'the request took too long to arrive');
    } else if (socket.writable && error.code?.startsWith('HPE_')) {
      answerByHand(socket, 'request_invalid', 'this is not an HTTP request');
    } else {
      connections.of(socket)?.cut();
      socket.destroy();
    }
  }

  app.server.on('connect', (_request: IncomingMessage, socket: Duplex) =>
    answerByHand(socket, 'method_not_allowed', 'the gateway is no proxy'),
  );
  app.server.on('checkExpectation', (_request: IncomingMessage, { socket }: ServerResponse) => {
    if (socket)
      answerByHand(socket, 'expectation_failed', 'the gateway knows no expectation but 100-continue');
  });

  return {
    app,
    connections,
    async close() {
      isStopping = true;
      if (await closeListener(app.server, connections, closeGraceMs)) await app.close();
      else log.warn('The public port has not said that it is closed');
    },
  };
}

/** 'close' comes once, whether the reply was sent or the client went away; it may have come already. */
function whenOver(response: ServerResponse, act: () => void): void {
  if (response.closed || response.destroyed) act();
  else response.once('close', act);
}

/** RFC 9112, section 3.2: HTTP/1.1 asks for exactly one. */
function hasOneHost({ httpVersion, rawHeaders }: IncomingMessage): boolean {
  const hosts = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
  return hosts.length === 1 || (hosts.length === 0 && httpVersion === '1.0');
}
