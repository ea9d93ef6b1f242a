import type { ClientRequest } from 'node:http';
import { Agent, type RequestOptions, request } from 'node:https';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { DaasError, describeNetworkFailure, innermostCause, maskUserInfo } from '#base';
import type { GatewayEntry } from '#domain';
import { proxyFor, readBody } from '#infrastructure';
import { isPinned, TLS_GROUPS, TLS_MINIMUM } from './tls.ts';
import { openTunnel } from './tunnel.ts';

/** Longer than any reply of the API. */
const longestReplyBytes = 256 * 1024;

const CONNECTION_LOST = 'DAAS_GATEWAY_CONNECTION_LOST';

interface HttpRequest {
  readonly method: 'GET' | 'POST';
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The gateway answers it without waiting for chain or cluster: silence on a kept connection means that it is lost. */
  readonly isAnsweredAtOnce?: boolean;
  readonly signal?: AbortSignal | undefined;
}
export interface HttpReply {
  readonly status: number;
  readonly body: string;
  readonly retryAfterMs: number | undefined;
}

export interface TransportOptions {
  readonly gateway: GatewayEntry;
  /** PEM of the CA that gateways without a pin on chain must be certified by. */
  readonly ca: string | undefined;
  readonly timeoutMs: number;
}

/** One HTTPS request to one gateway; nothing is sent before its TLS key was found to be the one the chain names. */
export interface Transport {
  send(request: HttpRequest): Promise<HttpReply>;
  close(): void;
}

/**
 * @throws `DAAS_GATEWAY_URL_INSECURE` for anything but https, `DAAS_GATEWAY_UNPINNED` for a gateway that has neither a
 * pin on chain nor a configured CA.
 */
export function createTransport({ gateway, ca, timeoutMs }: TransportOptions): Transport {
  const base = baseUrl(gateway);
  if (gateway.tlsPins.length === 0 && ca === undefined)
    throw new DaasError(
      'DAAS_GATEWAY_UNPINNED',
      `gateway ${gateway.id} has no TLS pin on chain and no CA is configured: ask the cluster's operator to register a pin, or set the CA file`,
      { details: { gateway: gateway.id, url: gateway.url } },
    );
  const agent = new PinningAgent(gateway, ca, timeoutMs);
  return {
    send: (asked) => sendOrRepeat(asked, base, agent, timeoutMs),
    close: () => agent.destroy(),
  };
}

function baseUrl(gateway: GatewayEntry): URL {
  const url = URL.canParse(gateway.url) ? new URL(gateway.url) : undefined;
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') {
    const shown = maskUserInfo(gateway.url);
    throw new DaasError(
      'DAAS_GATEWAY_URL_INSECURE',
      `the chain names '${shown}' as the address of gateway ${gateway.id}: only https:// without a user or password is used`,
      { details: { gateway: gateway.id, url: shown } },
    );
  }
  return url;
}

/** How often the kernel probes whether the peer of an idle connection is alive. */
const aliveProbeMs = 15_000;

/**
 * Hands out a connection only after its peer was checked, and keeps it for the next request: a handshake costs a gateway
 * more than three heartbeats. An idle one may be used for as long as the gateway allows (`Keep-Alive`), less a second.
 */
class PinningAgent extends Agent {
  readonly #gateway: GatewayEntry;
  readonly #ca: string | undefined;
  readonly #timeoutMs: number;

  constructor(gateway: GatewayEntry, ca: string | undefined, timeoutMs: number) {
    super({ keepAlive: true, keepAliveMsecs: aliveProbeMs, maxFreeSockets: 1 });
    this.#gateway = gateway;
    this.#ca = ca;
    this.#timeoutMs = timeoutMs;
  }

  override createConnection(
    options: RequestOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const { host, port } = peerOf(options);
    const proxy = proxyFor(new URL(this.#gateway.url));
    if (!proxy) return this.#shakeHands(options, undefined, callback);
    openTunnel(proxy, { host, port }, this.#timeoutMs).then(
      (tunnel) => this.#shakeHands(options, tunnel, callback),
      callback as (error: Error) => void,
    );
    return undefined;
  }

  /** TLS to the gateway, over the tunnel of a proxy if there is one: the pin is held against the gateway's own key. */
  #shakeHands(
    options: RequestOptions,
    tunnel: Duplex | undefined,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const isPinnedGateway = this.#gateway.tlsPins.length > 0;
    const { host, port } = peerOf(options);
    const socket = connect({
      ...(tunnel ? { socket: tunnel } : { host, port }),
      servername: serverName(options.host ?? ''),
      minVersion: TLS_MINIMUM,
      ecdhCurve: TLS_GROUPS,
      // A pin names the key itself: who certified it does not matter then.
      rejectUnauthorized: !isPinnedGateway,
      ...(!isPinnedGateway && this.#ca !== undefined && { ca: this.#ca }),
    } as ConnectionOptions);
    const give = callback as ((error: Error | null, stream?: Duplex) => void) | undefined;
    const fail = (error: Error) => {
      clearTimeout(timer);
      socket.destroy();
      give?.(error);
    };
    const timer = setTimeout(() => fail(new Error('the TLS handshake took too long')), this.#timeoutMs);
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      if (isPinnedGateway && !hasPinnedKey(socket, this.#gateway.tlsPins)) fail(pinMismatch(this.#gateway));
      else give?.(null, socket);
    });
    return undefined;
  }
}

function peerOf({ host, port }: RequestOptions): { host: string; port: number } {
  return { host: host ?? 'localhost', port: Number(port ?? 443) };
}

/** SNI names no IP addresses (RFC 6066, section 3). */
function serverName(host: string): string {
  return /^[\d.]+$|:/.test(host) ? '' : host;
}

function hasPinnedKey(socket: TLSSocket, pins: readonly Uint8Array[]): boolean {
  const certificate = socket.getPeerX509Certificate();
  return certificate !== undefined && isPinned(certificate, pins);
}

function pinMismatch(gateway: GatewayEntry): DaasError {
  return new DaasError(
    'DAAS_GATEWAY_PIN_MISMATCH',
    `${gateway.url} does not hold the TLS key that the chain names for gateway ${gateway.id}: nothing was sent to it; if its key was changed, its operator has to register the new pin`,
    { details: { gateway: gateway.id, url: gateway.url } },
  );
}

/** A request that changes nothing is repeated once when a kept connection turns out to be closed. */
async function sendOrRepeat(
  asked: HttpRequest,
  base: URL,
  agent: Agent,
  timeoutMs: number,
): Promise<HttpReply> {
  try {
    return await send(asked, base, agent, timeoutMs);
  } catch (error) {
    const isLost = error instanceof DaasError && error.code === CONNECTION_LOST;
    if (!isLost || asked.method !== 'GET') throw error;
    return send(asked, base, agent, timeoutMs);
  }
}

function send(asked: HttpRequest, base: URL, agent: Agent, timeoutMs: number): Promise<HttpReply> {
  asked.signal?.throwIfAborted();
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = asked.signal ? AbortSignal.any([asked.signal, timeout]) : timeout;
  const { promise, resolve, reject } = Promise.withResolvers<HttpReply>();
  const fail = (cause: unknown) => {
    const isLost = outgoing.reusedSocket && !isAnswered && !signal.aborted;
    reject(isLost ? connectionLost(base, cause) : failureOf(cause, asked.signal, timeout, base, timeoutMs));
  };
  let isAnswered = false;
  const body = asked.body === undefined ? undefined : Buffer.from(asked.body);
  const outgoing = request(new URL(asked.path, base), {
    method: asked.method,
    agent,
    signal,
    headers: {
      accept: 'application/json',
      ...asked.headers,
      ...(body && { 'content-type': 'application/json', 'content-length': body.length }),
    },
  });
  outgoing.once('error', fail);
  // A registration waits for chain and cluster: its silence does not mean that the connection is lost.
  if (asked.isAnsweredAtOnce) giveUpEarly(outgoing, timeoutMs / 2);
  outgoing.once('response', (incoming) => {
    isAnswered = true;
    readBody(incoming, longestReplyBytes).then((received) => {
      const retryAfter = Number(incoming.headers['retry-after']);
      resolve({
        status: incoming.statusCode ?? 0,
        body: received.toString('utf8'),
        retryAfterMs: Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined,
      });
    }, fail);
  });
  outgoing.end(body);
  return promise;
}

/**
 * A kept connection may be dead without any packet that shows it: its request is given up while there is time for another
 * on a new connection.
 */
function giveUpEarly(outgoing: ClientRequest, withinMs: number): void {
  outgoing.once('socket', () => {
    if (!outgoing.reusedSocket) return;
    const timer = setTimeout(
      () => outgoing.destroy(new Error(`no answer on a kept connection within ${withinMs} ms`)),
      withinMs,
    );
    outgoing.once('response', () => clearTimeout(timer));
    outgoing.once('close', () => clearTimeout(timer));
  });
}

/** The request may have been carried out: to repeat it, sign it anew. */
function connectionLost(base: URL, cause: unknown): DaasError {
  return new DaasError(
    CONNECTION_LOST,
    `the connection to the gateway at ${base.origin} was closed meanwhile`,
    {
      isRetryable: true,
      details: { url: base.origin },
      cause,
    },
  );
}

function failureOf(
  cause: unknown,
  callers: AbortSignal | undefined,
  timeout: AbortSignal,
  base: URL,
  timeoutMs: number,
): unknown {
  if (callers?.aborted) return callers.reason;
  if (cause instanceof DaasError) return cause;
  const details = { url: base.origin };
  if (timeout.aborted)
    return new DaasError(
      'DAAS_GATEWAY_TIMEOUT',
      `the gateway at ${base.origin} did not answer within ${timeoutMs} ms`,
      { isRetryable: true, details },
    );
  return new DaasError(
    'DAAS_GATEWAY_UNREACHABLE',
    `the gateway at ${base.origin} cannot be reached: ${describeNetworkFailure(cause)}`,
    { isRetryable: true, details, cause: innermostCause(cause) },
  );
}
