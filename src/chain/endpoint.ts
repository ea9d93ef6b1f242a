import { SuiGrpcClient } from '@mysten/sui/grpc';
import { type Backoff, backoffDelayMs, type Clock, ConfigurationError, DaasError } from '#base';
import { chainIdMismatch, chainRefused, chainUnavailable } from './errors.ts';

interface EndpointOptions {
  /** Base58 digest of the genesis checkpoint; every reply is held against it when given. */
  readonly chainId?: string;
  /** Each call ends after this long. */
  readonly timeoutMs: number;
  /** For tests that cut a connection at a given moment; the global `fetch` otherwise. */
  readonly fetch?: typeof globalThis.fetch;
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

/** Throws `DAAS_ENDPOINT_INVALID` (exit 78) for what is no http(s) URL. */
function openEndpoint(address: string, options: EndpointOptions): Endpoint {
  const url = endpointUrl(address);
  const fetch = options.fetch ?? globalThis.fetch;
  let served: string | undefined;
  const client = new SuiGrpcClient({
    network: 'sui',
    baseUrl: url,
    // The SDK's default is base64 text: a third more bytes for nothing.
    format: 'binary',
    fetch: async (input, init) => {
      const response = await fetch(input, init);
      // A node behind the same address may have been replaced since the first call.
      served = response.headers.get('x-sui-chain-id') ?? served;
      // gRPC-web says everything in replies with status 200: this one is of a proxy whose node is away, and says nothing.
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new Error(`HTTP status ${response.status} from something that is no Sui node`);
      }
      return bounded(response);
    },
  });

  async function attempt<T>(
    what: string,
    body: (client: SuiGrpcClient, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    const timeout = AbortSignal.timeout(options.timeoutMs);
    let result: T;
    try {
      result = await body(client, signal ? AbortSignal.any([signal, timeout]) : timeout);
    } catch (error) {
      signal?.throwIfAborted();
      assertChain();
      throw classify(error, what, url);
    }
    assertChain();
    return result;
  }

  function assertChain(): void {
    if (options.chainId !== undefined && served !== undefined && served !== options.chainId)
      throw chainIdMismatch(url, options.chainId, served);
  }

  async function chainId(signal?: AbortSignal): Promise<string> {
    if (served === undefined) {
      const id = await attempt(
        'its chain id',
        async (sui, ended) => (await sui.ledgerService.getServiceInfo({}, { abort: ended })).response.chainId,
        signal,
      );
      if (!id) throw chainRefused('its chain id', url, new Error('the reply has none'));
      served ??= id;
      assertChain();
    }
    return served;
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

/** A cluster object with its rings has some hundred kilobytes, a page of records some hundred more. */
const longestReplyBytes = 64 * 1024 * 1024;

/** A reply without end fails, instead of filling the memory until the call's time-out. */
function bounded(response: Response): Response {
  let length = 0;
  const body = response.body?.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        length += chunk.length;
        if (length > longestReplyBytes)
          controller.error(new Error(`the reply is longer than ${longestReplyBytes} bytes`));
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Response(body ?? null, { status: response.status, headers: response.headers });
}

function endpointUrl(address: string): string {
  const parsed = URL.parse(address);
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol) || parsed.username || parsed.search) {
    // A password or a key is not told, not even to refuse it.
    const shown = address.replace(/\/\/[^/]*@/, '//[secret]@').replace(/\?.*$/s, '?[secret]');
    throw new ConfigurationError(
      'DAAS_ENDPOINT_INVALID',
      `'${shown}' is not the address of a Sui full node: give a URL such as https://fullnode.testnet.sui.io:443, without a user or a query`,
      { details: { endpoint: shown } },
    );
  }
  return parsed.href.replace(/\/$/, '');
}

/**
 * Answers that would be the same the next time; all others, INTERNAL among them (which the transport also reports for
 * a refused connection), say nothing about the chain.
 */
const REFUSALS = new Set([
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'PERMISSION_DENIED',
  'UNAUTHENTICATED',
  'UNIMPLEMENTED',
  'OUT_OF_RANGE',
  'FAILED_PRECONDITION',
  'ABORTED',
]);

function classify(error: unknown, what: string, url: string): DaasError {
  if (error instanceof DaasError) return error;
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && REFUSALS.has(code)
    ? chainRefused(what, url, error)
    : chainUnavailable(what, url, error);
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
