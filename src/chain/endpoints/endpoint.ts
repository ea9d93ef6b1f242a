import { SuiGrpcClient } from '@mysten/sui/grpc';
import { type Backoff, backoffDelayMs, type Clock, ConfigurationError, DaasError } from '#base';
import { endpointUrl } from './endpoint-url.ts';
import { chainIdMismatch, chainRefused, chainUnavailable, endpointKeyNeeded } from './errors.ts';
import { createNodeFetch, type NodeFetch, type NodeFetchOptions, UnexpectedAnswer } from './node-fetch.ts';

interface EndpointOptions extends NodeFetchOptions {
  /** Base58 digest of the genesis checkpoint; every reply is held against it when given. */
  readonly chainId?: string;
  /** Each call ends after this long. */
  readonly timeoutMs: number;
  /** Take http:// beyond this machine. */
  readonly allowInsecure?: boolean;
}

/** One full node, asked through the SDK's gRPC client. */
export interface Endpoint {
  readonly url: string;
  /** The chain the node serves. Throws `DAAS_CHAIN_ID_MISMATCH`. */
  chainId(signal?: AbortSignal): Promise<string>;
  /**
   * One call, with a time-out, after it is known that the node serves the right chain. What it throws is a
   * `DaasError` (`DAAS_CHAIN_UNAVAILABLE`, `DAAS_CHAIN_REFUSED`, `DAAS_CHAIN_ID_MISMATCH`) or the caller's own reason.
   */
  call<T>(
    what: string,
    body: (client: SuiGrpcClient, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
}

/** Throws `DAAS_ENDPOINT_INVALID`, `DAAS_ENDPOINT_INSECURE` and `DAAS_PROXY_INVALID` (exit 78). */
function openEndpoint(address: string, options: EndpointOptions): Endpoint {
  const url = endpointUrl(address, options.allowInsecure ?? false);
  const node = createNodeFetch(url, options);
  const client = new SuiGrpcClient({
    network: 'sui',
    baseUrl: url,
    // The SDK's default is base64 text: a third more bytes for nothing.
    format: 'binary',
    fetch: node.fetch,
  });

  async function attempt<T>(
    what: string,
    body: (client: SuiGrpcClient, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    const timeout = AbortSignal.timeout(options.timeoutMs);
    // Of this attempt alone: its failure is found by it.
    const ended = AbortSignal.any(signal ? [signal, timeout] : [timeout]);
    let result: T;
    try {
      result = await body(client, ended);
    } catch (error) {
      signal?.throwIfAborted();
      assertChain();
      if (error instanceof DaasError) throw error;
      const late = timeout.aborted ? new Error(`no answer within ${options.timeoutMs} ms`) : undefined;
      throw classify(late ?? node.failureOf(ended) ?? error, what, url, node);
    }
    assertChain();
    return result;
  }

  function assertChain(): void {
    if (options.chainId !== undefined && node.served !== undefined && node.served !== options.chainId)
      throw chainIdMismatch(url, options.chainId, node.served);
  }

  let told: string | undefined;
  async function chainId(signal?: AbortSignal): Promise<string> {
    told = node.served ?? told;
    if (told === undefined) {
      const id = await attempt(
        'its chain id',
        async (sui, ended) => (await sui.ledgerService.getServiceInfo({}, { abort: ended })).response.chainId,
        signal,
      );
      if (!id) throw chainRefused('its chain id', url, new Error('the reply has none'));
      told = node.served ?? id;
      if (options.chainId !== undefined && told !== options.chainId)
        throw chainIdMismatch(url, options.chainId, told);
    }
    return told;
  }

  return {
    url,
    chainId,
    call: async (what, body, signal) => {
      await chainId(signal);
      return attempt(what, body, signal);
    },
  };
}

/**
 * Answers that would be the same the next time; all others, INTERNAL among them (which the transport also reports for
 * a refused connection), say nothing about the chain.
 */
const REFUSALS = new Set([
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'UNIMPLEMENTED',
  'OUT_OF_RANGE',
  'FAILED_PRECONDITION',
  'ABORTED',
]);

/** A node's or a proxy's way to say that it does not know who asks. */
const KEY_NEEDED: ReadonlySet<unknown> = new Set([401, 403, 'UNAUTHENTICATED', 'PERMISSION_DENIED']);

function classify(error: unknown, what: string, url: string, { proxy }: NodeFetch): DaasError {
  const code = (error as { code?: unknown } | null)?.code;
  const answer = error instanceof UnexpectedAnswer ? error.status : code;
  if (KEY_NEEDED.has(answer)) return endpointKeyNeeded(what, url, error);
  return typeof code === 'string' && REFUSALS.has(code)
    ? chainRefused(what, url, error)
    : chainUnavailable(what, url, error, proxy);
}

export interface EndpointsOptions extends EndpointOptions {
  readonly clock: Clock;
  /** How long a read is tried again before it is given up; 0: each endpoint is asked once. */
  readonly retryForMs?: number;
  readonly random?: () => number;
}

/** Several full nodes: a read goes to the first that answers, and stays with it. */
export interface Endpoints {
  readonly all: readonly Endpoint[];
  read<T>(
    what: string,
    body: (client: SuiGrpcClient, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
  /** As `read`, for several calls that must see one node's state; `retryForMs` in place of the option's. */
  withOne<T>(body: (endpoint: Endpoint) => Promise<T>, signal?: AbortSignal, retryForMs?: number): Promise<T>;
}

const RETRY: Backoff = { baseMs: 100, maxMs: 2_000 };

export function openEndpoints(addresses: readonly string[], options: EndpointsOptions): Endpoints {
  if (addresses.length === 0)
    throw new ConfigurationError(
      'DAAS_ENDPOINT_MISSING',
      'no Sui full node is named: set chain.endpoints, or pass --endpoint',
    );
  const { clock, random = Math.random } = options;
  const all = addresses.map((address) => openEndpoint(address, options));
  let preferred = 0;

  async function withOne<T>(
    body: (endpoint: Endpoint) => Promise<T>,
    signal?: AbortSignal,
    retryForMs = options.retryForMs ?? 0,
  ): Promise<T> {
    const giveUpAtMs = clock.monotonicMs() + retryForMs;
    for (let attempt = 0; ; attempt += 1) {
      let failure: unknown;
      const first = preferred;
      for (let step = 0; step < all.length; step += 1) {
        const index = (first + step) % all.length;
        try {
          const result = await body(all[index] as Endpoint);
          preferred = index;
          return result;
        } catch (error) {
          signal?.throwIfAborted();
          if (!(error instanceof DaasError && error.isRetryable)) throw error;
          failure = error;
        }
      }
      const delayMs = backoffDelayMs(attempt, RETRY, random);
      if (clock.monotonicMs() + delayMs > giveUpAtMs) throw failure;
      await clock.sleep(delayMs, signal);
    }
  }

  return {
    all,
    withOne,
    read: (what, body, signal) => withOne((endpoint) => endpoint.call(what, body, signal), signal),
  };
}
