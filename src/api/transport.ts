import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { type Agent, request } from 'node:https';
import {
  DaasError,
  describeNetworkFailure,
  innermostCause,
  maskUserInfo,
  spanCollector,
  traced,
} from '#base';
import type { GatewayEntry } from '#domain';
import { readBody } from '#infrastructure';
import type { AskOnce, AttestedKeys } from './attested-keys.ts';
import { KEY_NOT_ATTESTED, PinningAgent } from './pinning-agent.ts';

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
  /** The TLS keys of the gateway that evidence was bound to; left out: it is not asked for any. */
  readonly keys?: AttestedKeys | undefined;
}

/** One HTTPS request to one gateway; nothing is sent before its TLS key was found to be the one the chain names. */
export interface Transport {
  send(request: HttpRequest): Promise<HttpReply>;
  /** A reply whose body goes on for as long as both want; who reads it ends it. Another status than 200 is read whole. */
  stream(request: HttpRequest): Promise<HttpReply | IncomingMessage>;
  close(): void;
}

/**
 * @throws `DAAS_GATEWAY_URL_INSECURE` for anything but https, `DAAS_GATEWAY_UNPINNED` for a gateway that has neither a
 * pin on chain nor a configured CA.
 */
export function createTransport({ gateway, ca, timeoutMs, keys }: TransportOptions): Transport {
  const base = baseUrl(gateway);
  if (gateway.tlsPins.length === 0 && ca === undefined)
    throw new DaasError(
      'DAAS_GATEWAY_UNPINNED',
      `gateway ${gateway.id} has no TLS pin on chain and no CA is configured: ask the cluster's operator to register a pin, or set the CA file`,
      { details: { gateway: gateway.id, url: gateway.url } },
    );
  const peer = { gateway, ca, timeoutMs };
  const agent = new PinningAgent({ ...peer, isAttested: keys?.has });
  // A kept connection may be one with a key that counts no longer.
  const unsubscribe = keys?.onEnded(() => agent.destroy());
  return {
    send: (asked) =>
      traced('host.request', spanOptions(asked, base), () =>
        toAttested(keys, asked, () => sendOrRepeat(asked, base, agent, timeoutMs)),
      ),
    stream: (asked) => toAttested(keys, asked, () => openStream(asked, base, agent, timeoutMs)),
    close() {
      unsubscribe?.();
      agent.destroy();
    },
  };
}

const spanOptions =
  ({ method, path }: HttpRequest, base: URL) =>
  () =>
    ({
      kind: 'client',
      attributes: {
        'http.request.method': method,
        'url.path': path.replace(/\?.*$/, ''),
        'server.address': base.host,
      },
    }) as const;

async function toAttested<T>(
  keys: AttestedKeys | undefined,
  { signal }: HttpRequest,
  send: () => Promise<T>,
): Promise<T> {
  if (!keys) return send();
  await keys.ensure(signal);
  try {
    return await send();
  } catch (error) {
    // The gateway has another key than a moment ago: its connection was closed before anything was sent over it.
    if (!(error instanceof DaasError) || error.code !== KEY_NOT_ATTESTED) throw error;
    await keys.renew(signal);
    return send();
  }
}

/** One request on a connection of its own: until its answer is judged, nothing else is sent. */
export function asker({ gateway, ca, timeoutMs }: Omit<TransportOptions, 'keys'>): AskOnce {
  const base = baseUrl(gateway);
  return async (path) => {
    let spki: Uint8Array | undefined;
    const isAttested = (shown: Uint8Array) => {
      spki = shown;
      return true;
    };
    const agent = new PinningAgent({ gateway, ca, timeoutMs, isAttested });
    try {
      const { status, body } = await send({ method: 'GET', path }, base, agent, timeoutMs);
      return { status, body, spki };
    } finally {
      agent.destroy();
    }
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
  const traceparent = spanCollector()?.traceparent();
  const outgoing = request(new URL(asked.path, base), {
    method: asked.method,
    agent,
    signal,
    headers: {
      accept: 'application/json',
      ...asked.headers,
      ...(traceparent !== undefined && { traceparent }),
      ...(body && { 'content-type': 'application/json', 'content-length': body.length }),
    },
  });
  outgoing.once('error', fail);
  // A registration waits for chain and cluster: its silence does not mean that the connection is lost.
  if (asked.isAnsweredAtOnce) giveUpEarly(outgoing, timeoutMs / 2);
  outgoing.once('response', (incoming) => {
    isAnswered = true;
    readReply(incoming).then(resolve, fail);
  });
  outgoing.end(body);
  return promise;
}

async function readReply(incoming: IncomingMessage): Promise<HttpReply> {
  const body = (await readBody(incoming, longestReplyBytes)).toString('utf8');
  const retryAfter = Number(incoming.headers['retry-after']);
  return {
    status: incoming.statusCode ?? 0,
    body,
    retryAfterMs: Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined,
  };
}

async function openStream(
  { method, path, headers, signal }: HttpRequest,
  base: URL,
  agent: Agent,
  timeoutMs: number,
): Promise<HttpReply | IncomingMessage> {
  signal?.throwIfAborted();
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  const both = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  try {
    const outgoing = request(new URL(path, base), { method, agent, signal: both, headers: { ...headers } });
    // Also once the stream is handed over.
    outgoing.on('error', () => undefined);
    outgoing.end();
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    return incoming.statusCode === 200 ? incoming : await readReply(incoming);
  } catch (cause) {
    throw failureOf(cause, signal, late.signal, base, timeoutMs);
  } finally {
    clearTimeout(timer);
  }
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
