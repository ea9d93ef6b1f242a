import { printable, type Secret } from '#base';
import { fetchThrough, type HttpProxy, proxyFor } from '#infrastructure';
import { retryAfterMs, type Tip } from './health.ts';

type Fetch = typeof globalThis.fetch;

/** A full node and what belongs to it alone. */
export interface EndpointSettings {
  readonly url: string;
  /** Sent with every call to this node and to no other, such as the key of its provider. */
  readonly headers?: ReadonlyMap<string, Secret> | undefined;
  /** The way to this node: a proxy, or `direct`; what the environment names when left out. */
  readonly proxy?: HttpProxy | 'direct' | undefined;
}

/** How calls to all full nodes travel. */
export interface NodeFetchOptions {
  /** For tests that cut a connection at a given moment. */
  readonly fetch?: Fetch;
  /** Where HTTPS_PROXY and the like are read; the environment of the process when left out. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Called with the newest checkpoint that a reply names. */
  readonly onReply?: (tip: Tip) => void;
}

/** A reply that no Sui full node gives. */
export class UnexpectedAnswer extends Error {
  override readonly name = 'UnexpectedAnswer';
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** `fetch` to one full node. It keeps why calls failed, because the SDK drops the cause of an error. */
export interface NodeFetch {
  readonly fetch: Fetch;
  readonly proxy: HttpProxy | undefined;
  /** Why the call with this signal failed, if the connection failed or the reply was malformed. */
  failureOf(signal: AbortSignal): unknown;
  /** The chain that the last reply named. */
  readonly served: string | undefined;
  /** How long the reply to the call with this signal asked to wait (`Retry-After`), ms. */
  waitAskedBy(signal: AbortSignal): number | undefined;
}

const MAX_QUOTE_BYTES = 1_024;
const MAX_QUOTE_CHARACTERS = 160;

/** Throws `DAAS_PROXY_INVALID`. */
export function createNodeFetch(settings: EndpointSettings, options: NodeFetchOptions): NodeFetch {
  const proxy = proxyOf(settings, options);
  const send = options.fetch ?? (proxy ? fetchThrough(proxy) : globalThis.fetch);
  const failures = new WeakMap<AbortSignal, unknown>();
  const waits = new WeakMap<AbortSignal, number>();
  let served: string | undefined;

  async function attempt(input: Parameters<Fetch>[0], init: RequestInit | undefined): Promise<Response> {
    const headers = new Headers(init?.headers);
    for (const [name, value] of settings.headers ?? []) headers.set(name, value.reveal());
    // A redirect could carry the headers, and with them a key, to another host.
    const response = await send(input, { ...init, headers, redirect: 'manual' });
    // The node behind an address can be replaced between two calls.
    served = response.headers.get('x-sui-chain-id') ?? served;
    const tip = tipOf(response.headers);
    if (tip) options.onReply?.(tip);
    const waitMs = retryAfterMs(response.headers.get('retry-after'), Date.now());
    if (waitMs !== undefined && init?.signal) waits.set(init.signal, waitMs);
    // gRPC-web replies with status 200 always: any other status comes from a proxy whose node is away.
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
    waitAskedBy: (signal) => waits.get(signal),
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

/** Sui's own reply headers; a proxy that drops them leaves the tip unknown. */
function tipOf(headers: Headers): Tip | undefined {
  const height = wholeNumber(headers.get('x-sui-checkpoint-height'));
  const timestampMs = wholeNumber(headers.get('x-sui-timestamp-ms'));
  if (height === undefined || timestampMs === undefined) return undefined;
  const lowestHeight = wholeNumber(headers.get('x-sui-lowest-available-checkpoint'));
  return { height, timestampMs: Number(timestampMs), lowestHeight };
}

function wholeNumber(text: string | null): bigint | undefined {
  return text !== null && /^\d{1,19}$/.test(text) ? BigInt(text) : undefined;
}

/** A cluster object with its rings has some hundred kilobytes, a page of records some hundred more; the limit is far above. */
const LONGEST_REPLY_BYTES = 64 * 1024 * 1024;

/** Without the limit an endless reply fills the memory until the call times out. */
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
    // The message shows what has arrived.
  }
  await reader?.cancel().catch(() => undefined);
  const text = Buffer.concat(chunks).subarray(0, MAX_QUOTE_BYTES).toString('utf8');
  return printable(text.replace(/\s+/g, ' ').trim(), MAX_QUOTE_CHARACTERS);
}

function proxyOf({ url, proxy }: EndpointSettings, { environment }: NodeFetchOptions): HttpProxy | undefined {
  if (proxy === 'direct') return undefined;
  return proxy ?? proxyFor(new URL(url), environment);
}
