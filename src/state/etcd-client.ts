import { DaasError, describeNetworkFailure } from '#base';
import { readTrusted } from '#infrastructure';

/** How etcd is reached. */
export interface EtcdAccess {
  /** `https://host:2379`, tried in their order. */
  readonly endpoints: readonly string[];
  readonly caFile?: string | undefined;
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/**
 * etcd v3 by its JSON gateway (etcd 3.4, `Documentation/dev-guide/api_grpc_gateway.md`): keys and values in base64, 64-bit
 * numbers as text, members that are zero or false left out.
 */
export interface EtcdClient extends AsyncDisposable {
  /** One call. @throws `DAAS_STATE_UNREACHABLE` when no endpoint answers, or one reports an error. */
  call(path: string, body: object, options?: EtcdCall): Promise<EtcdReply>;
  /** Every answer of an endless call, as it comes. */
  stream(path: string, body: object, signal: AbortSignal): AsyncIterable<EtcdReply>;
}

interface EtcdCall {
  readonly signal?: AbortSignal | undefined;
  /** 3 s unless given: a lease outlives it. */
  readonly timeoutMs?: number;
}

export type EtcdReply = Readonly<Record<string, unknown>>;

/** What etcd says of a key; what was not asked for, and zero, is left out. */
export interface EtcdKey {
  readonly key?: string;
  readonly value?: string;
  readonly lease?: string;
  readonly create_revision?: string;
  readonly mod_revision?: string;
}

type Send = (url: string, init: object) => Promise<Response>;

/** @throws `DAAS_FILE_UNTRUSTED`, and what the operating system says of a file. */
export async function openEtcdClient(access: EtcdAccess): Promise<EtcdClient> {
  const { Agent, fetch } = await import('undici');
  const pem = async (path: string | undefined, what: string) =>
    path === undefined ? undefined : await readTrusted(path, { what, origin: 'gateway.state.etcd' });
  const [ca, cert, key] = await Promise.all([
    pem(access.caFile, 'the authority of etcd'),
    pem(access.certFile, 'the client certificate for etcd'),
    pem(access.keyFile, 'the key of the client certificate for etcd'),
  ]);
  const connect = { timeout: 3_000, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  // A watch is one body that does not end.
  const dispatcher = new Agent({ bodyTimeout: 0, connect });
  const send: Send = async (url, init) =>
    (await fetch(url, { ...init, dispatcher } as never)) as unknown as Response;
  const endpoints = [...access.endpoints];
  return {
    call: (path, body, options) => callAny(send, endpoints, { path, body }, options),
    stream: (path, body, signal) => streamFrom(send, endpoints, { path, body }, signal),
    [Symbol.asyncDispose]: () => dispatcher.destroy(),
  };
}

interface Request {
  readonly path: string;
  readonly body: object;
}

/** What an error of etcd says. */
function messageIn({ message, error }: EtcdReply): string | undefined {
  return [message, error].find((text) => typeof text === 'string');
}

const post = (body: object, signal: AbortSignal) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
  signal,
});

/** The endpoint that does not answer goes to the end of the list. */
async function callAny(
  send: Send,
  endpoints: string[],
  { path, body }: Request,
  { signal, timeoutMs = 3_000 }: EtcdCall = {},
): Promise<EtcdReply> {
  let failure: unknown;
  const inOrder = endpoints.slice();
  for (const endpoint of inOrder) {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const reply = await send(
        endpoint + path,
        post(body, signal ? AbortSignal.any([signal, timeout]) : timeout),
      );
      const answer = (await reply.json()) as EtcdReply;
      if (reply.ok) return answer;
      failure = new Error(messageIn(answer) ?? `status ${reply.status}`);
    } catch (error) {
      signal?.throwIfAborted();
      failure = error;
    }
    putLast(endpoints, endpoint);
  }
  throw unreachable(endpoints, failure);
}

async function* streamFrom(
  send: Send,
  endpoints: string[],
  { path, body }: Request,
  signal: AbortSignal,
): AsyncIterable<EtcdReply> {
  const [endpoint = ''] = endpoints;
  try {
    const reply = await send(endpoint + path, post(body, signal));
    if (!reply.ok || !reply.body) throw new Error(`status ${reply.status}`);
    let rest = '';
    const decoder = new TextDecoder();
    for await (const chunk of reply.body as unknown as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') yield answerIn(line);
    }
  } catch (error) {
    signal.throwIfAborted();
    putLast(endpoints, endpoint);
    throw unreachable(endpoints, error);
  }
}

/** Other calls may have moved it meanwhile. */
function putLast(endpoints: string[], endpoint: string): void {
  endpoints.push(...endpoints.splice(endpoints.indexOf(endpoint), 1));
}

function answerIn(line: string): EtcdReply {
  const { result, error } = JSON.parse(line) as { readonly result?: EtcdReply; readonly error?: object };
  if (result) return result;
  throw new Error(JSON.stringify(error));
}

function unreachable(endpoints: readonly string[], cause: unknown): DaasError {
  return new DaasError(
    'DAAS_STATE_UNREACHABLE',
    `etcd does not answer at ${endpoints.join(', ')}: ${describeNetworkFailure(cause)}`,
    { isRetryable: true, cause },
  );
}

/** The one key of each range that a transaction has answered. */
export function rangedKeysIn(reply: EtcdReply): ReadonlyArray<EtcdKey | undefined> {
  const { responses = [] } = reply as {
    readonly responses?: ReadonlyArray<{ readonly response_range?: { readonly kvs?: readonly EtcdKey[] } }>;
  };
  return responses.map(({ response_range: range }) => range?.kvs?.[0]);
}

export const base64 = (text: string): string => Buffer.from(text, 'utf8').toString('base64');
export const fromBase64 = (text: unknown): string =>
  Buffer.from(typeof text === 'string' ? text : '', 'base64').toString('utf8');
/** A 64-bit number of a reply; zero is left out of it. */
export const numberIn = (value: unknown): number => Number(value ?? 0);
