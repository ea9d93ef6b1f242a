import { messageOf, printable, type Secret } from '#base';
import { type HttpProxy, proxyFor, proxyText } from '#infrastructure';

type Fetch = typeof globalThis.fetch;

/** What every call to a full node carries and how it travels. */
export interface NodeFetchOptions {
  /** Sent with every call; a provider's key, for one. */
  readonly headers?: ReadonlyMap<string, Secret>;
  /** For tests that cut a connection at a given moment. */
  readonly fetch?: Fetch;
  /** Where HTTPS_PROXY and the like are read; that of the process when left out. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** An answer that is none of a Sui full node. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** `fetch` to one full node, and why its calls failed: the SDK keeps the message of an error alone, not its cause. */
export interface NodeFetch {
  readonly fetch: Fetch;
  readonly proxy: HttpProxy | undefined;
  /** What the call with this signal failed by, if the failure was one of the connection or of the answer's form. */
  failureOf(signal: AbortSignal): unknown;
  /** The chain that the last answer named. */
  readonly served: string | undefined;
}

const MAX_QUOTE_BYTES = 1_024;
const MAX_QUOTE_CHARACTERS = 160;

/** Throws `DAAS_PROXY_INVALID`. */
export function createNodeFetch(url: string, options: NodeFetchOptions): NodeFetch {
  const proxy = proxyFor(new URL(url), options.environment);
  const send = options.fetch ?? (proxy ? fetchThrough(proxy) : globalThis.fetch);
  const failures = new WeakMap<AbortSignal, unknown>();
  let served: string | undefined;

  async function attempt(input: Parameters<Fetch>[0], init: RequestInit | undefined): Promise<Response> {
    const headers = new Headers(init?.headers);
    for (const [name, value] of options.headers ?? []) headers.set(name, value.reveal());
    // A redirect could carry the headers, and with them a key, to another host.
    const response = await send(input, { ...init, headers, redirect: 'manual' });
    // A node behind the same address may have been replaced since the first call.
    served = response.headers.get('x-sui-chain-id') ?? served;
    // gRPC-web says everything in replies with status 200: any other is of a proxy whose node is away.
    const isGrpc = response.headers.get('content-type')?.startsWith('application/grpc-web') ?? false;
    if (response.status !== 200 || !isGrpc) throw await unexpected(response);
    return bounded(response);
  }

  return {
    proxy,
    get served() {
      return served;
    },
    failureOf: (signal) => failures.get(signal),
    fetch: async (input, init) => {
      try {
        return await attempt(input, init);
      } catch (error) {
        if (init?.signal) failures.set(init.signal, error);
        throw error;
      }
    },
  };
}

/** A cluster object with its rings has some hundred kilobytes, a page of records some hundred more. */
const LONGEST_REPLY_BYTES = 64 * 1024 * 1024;

/** A reply without end fails, instead of filling the memory until the call's time-out. */
function bounded(response: Response): Response {
  let length = 0;
  const body = response.body?.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        length += chunk.length;
        if (length > LONGEST_REPLY_BYTES)
          controller.error(new Error(`the reply is longer than ${LONGEST_REPLY_BYTES} bytes`));
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Response(body ?? null, { status: response.status, headers: response.headers });
}

async function unexpected(response: Response): Promise<UnexpectedAnswer> {
  const { status, headers } = response;
  const type = headers.get('content-type');
  const location = headers.get('location');
  const text = await beginningOf(response);
  const parts = [
    `it answered with HTTP status ${status}`,
    location ? `, a redirect to '${printable(location, MAX_QUOTE_CHARACTERS)}'` : '',
    type ? ` (${printable(type, 80)})` : '',
    text === '' ? '' : `: '${text}'`,
    status === 401 || status === 403 || status === 407 ? '' : '; no Sui full node answers so',
  ];
  return new UnexpectedAnswer(status, parts.join(''));
}

/** The first words of a body, on one line; the rest is not read. */
async function beginningOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    while (reader && length < MAX_QUOTE_BYTES) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      length += value.length;
    }
  } catch {
    // What has come is told.
  }
  await reader?.cancel().catch(() => undefined);
  const text = Buffer.concat(chunks).subarray(0, MAX_QUOTE_BYTES).toString('utf8');
  return printable(text.replace(/\s+/g, ' ').trim(), MAX_QUOTE_CHARACTERS);
}

/** Node's own `fetch` takes dispatchers of its built-in undici alone, which it does not export. */
function fetchThrough(proxy: HttpProxy): Fetch {
  const opened = import('undici').then(({ fetch, ProxyAgent }) => ({
    fetch,
    dispatcher: new ProxyAgent({
      uri: proxy.url.href,
      ...(proxy.authorization && { token: proxy.authorization.reveal() }),
    }),
  }));
  // Loaded only where there is a proxy; a failure to load is told by the first call.
  opened.catch(() => undefined);
  return async (input, init) => {
    const { fetch, dispatcher } = await opened;
    try {
      return (await fetch(input as string, { ...(init as object), dispatcher })) as unknown as Response;
    } catch (error) {
      throw tunnelFailure(error, proxy);
    }
  };
}

/** Whether the proxy or the node behind it failed is what a reader has to know first. */
function tunnelFailure(error: unknown, proxy: HttpProxy): unknown {
  const refusal = /Proxy response \((\d+)\)/.exec(messageOf(error))?.[1];
  if (refusal === undefined) return error;
  const why =
    refusal === '407' ? 'it wants a user and a password in its URL' : 'it opens no connection there';
  return new Error(`${proxyText(proxy)} answered with HTTP status ${refusal}: ${why}`);
}
