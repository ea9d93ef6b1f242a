import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, request as tlsRequest } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/** A request as a proxy saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** A request and what was answered; of a stream, nothing is kept. */
export interface SeenExchange extends SeenRequest {
  readonly status: number;
  readonly reply: Buffer;
}

export interface FreezeProxyOptions {
  /** Base URL of what the requests are passed on to. */
  readonly upstream: string;
  readonly port?: number;
  /** Ends TLS with this key; without it the proxy speaks plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/**
 * Before: the request never reaches the other side. After: the other side has carried it out, and the answer is held.
 */
export type Moment = 'before' | 'after';

export interface Frozen {
  /** Resolves as soon as the request is where it is held. */
  readonly reached: Promise<SeenRequest>;
}

/**
 * Stands between two processes and holds exactly the request that a test names, so that one of them can be killed between
 * what it sent and what it was told.
 */
export class FreezeProxy implements AsyncDisposable {
  readonly url: string;
  readonly seen: SeenExchange[] = [];
  readonly #close: () => Promise<void>;
  readonly #state: State;

  private constructor(url: string, state: State, close: () => Promise<void>) {
    this.url = url;
    this.#state = state;
    this.#close = close;
    state.seen = this.seen;
  }

  static async start({ upstream, port = 0, tls }: FreezeProxyOptions): Promise<FreezeProxy> {
    const state: State = { traps: [], held: new Set(), seen: [], upstream };
    const answer = (incoming: IncomingMessage, outgoing: ServerResponse) => {
      passOn(incoming, outgoing, state).catch(() => outgoing.destroy());
    };
    const server = tls ? createTlsServer(tls, answer) : createServer(answer);
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    const { port: bound } = server.address() as AddressInfo;
    return new FreezeProxy(`${tls ? 'https' : 'http'}://127.0.0.1:${bound}`, state, () => {
      for (const socket of sockets) socket.destroy();
      return new Promise<void>((resolve) => server.close(() => resolve()));
    });
  }

  /** Holds the `nth` (from 1) request from now on that fits. */
  freeze(moment: Moment, fits: (seen: SeenRequest) => boolean, nth = 1): Frozen {
    const { promise, resolve } = Promise.withResolvers<SeenRequest>();
    this.#state.traps.push({ moment, fits, left: nth, reached: resolve });
    return { reached: promise };
  }

  /** Lets go of what is held, without an answer, and holds nothing more. */
  thaw(): void {
    this.#state.traps.length = 0;
    for (const outgoing of this.#state.held) outgoing.destroy();
    this.#state.held.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    await this.#close();
  }
}

interface Trap {
  readonly moment: Moment;
  readonly fits: (seen: SeenRequest) => boolean;
  readonly reached: (seen: SeenRequest) => void;
  left: number;
}

interface State {
  readonly upstream: string;
  readonly traps: Trap[];
  readonly held: Set<ServerResponse>;
  seen: SeenExchange[];
}

async function passOn(incoming: IncomingMessage, outgoing: ServerResponse, state: State): Promise<void> {
  const body = await bytesOf(incoming);
  const seen: SeenRequest = {
    method: incoming.method ?? 'GET',
    path: incoming.url ?? '/',
    headers: incoming.headers,
    body,
  };
  const trap = trapFor(seen, state);
  if (trap?.moment === 'before') return hold(trap, seen, outgoing, state);
  const answer = await ask(seen, state.upstream, outgoing);
  // A stream has no end that could be waited for.
  const isStream = /[?&]watch=/.test(seen.path) || /\/Subscribe/.test(seen.path);
  if (isStream && !trap) {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    outgoing.flushHeaders();
    answer.pipe(outgoing);
    answer.on('error', () => outgoing.destroy());
    return;
  }
  const reply = await bytesOf(answer);
  const status = answer.statusCode ?? 502;
  state.seen.push({ ...seen, status, reply });
  if (trap) return hold(trap, seen, outgoing, state);
  const { 'transfer-encoding': _chunked, ...headers } = answer.headers;
  outgoing.writeHead(status, { ...headers, 'content-length': reply.length });
  outgoing.end(reply);
}

function trapFor(seen: SeenRequest, { traps }: State): Trap | undefined {
  for (const trap of traps) {
    if (!trap.fits(seen)) continue;
    trap.left -= 1;
    if (trap.left === 0) return trap;
  }
  return undefined;
}

function hold(trap: Trap, seen: SeenRequest, outgoing: ServerResponse, state: State): void {
  state.held.add(outgoing);
  trap.reached(seen);
}

function ask(seen: SeenRequest, upstream: string, outgoing: ServerResponse): Promise<IncomingMessage> {
  const url = new URL(seen.path, upstream);
  const { host: _host, connection: _connection, ...headers } = seen.headers;
  const send = url.protocol === 'https:' ? tlsRequest : request;
  return new Promise((resolve, reject) => {
    // The test decides what is trusted: it stands on both sides.
    const call = send(
      url,
      { method: seen.method, headers, agent: false, rejectUnauthorized: false },
      resolve,
    );
    // Not `once`: a second error without a listener would end the proxy.
    call.on('error', reject);
    outgoing.once('close', () => call.destroy());
    call.end(seen.body);
  });
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
