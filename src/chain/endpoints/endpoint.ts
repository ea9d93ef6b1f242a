import { SuiGrpcClient } from '@mysten/sui/grpc';
import { DaasError, traced } from '#base';
import {
  chainIdMismatch,
  chainRefused,
  chainUnavailable,
  endpointKeyNeeded,
  type NodeFacts,
} from './endpoint-errors.ts';
import { endpointUrl } from './endpoint-url.ts';
import {
  createNodeFetch,
  type EndpointSettings,
  type NodeFetchOptions,
  UnexpectedAnswer,
} from './node-fetch.ts';

export interface EndpointOptions extends NodeFetchOptions {
  /** Base58 digest of the genesis checkpoint; every reply is compared with it when given. */
  readonly chainId?: string;
  /** Each call ends after this long. */
  readonly timeoutMs: number;
  /** Allow http:// to other machines. */
  readonly allowInsecure?: boolean;
}

/** One full node, asked through the SDK's gRPC client. */
export interface Endpoint {
  readonly url: string;
  /** The chain that its last reply named. */
  readonly servedChainId: string | undefined;
  /** The chain the node serves. Throws `DAAS_CHAIN_ID_MISMATCH`. */
  chainId(signal?: AbortSignal): Promise<string>;
  /**
   * One call with a time-out, sent after the node has named the right chain. Throws a `DaasError`
   * (`DAAS_CHAIN_UNAVAILABLE`, `DAAS_CHAIN_REFUSED`, `DAAS_CHAIN_ID_MISMATCH`) or the reason of `signal`.
   */
  readonly call: <T>(
    what: string,
    body: (client: SuiGrpcClient, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ) => Promise<T>;
}

/** Throws `DAAS_ENDPOINT_INVALID`, `DAAS_ENDPOINT_INSECURE` and `DAAS_PROXY_INVALID` (exit 78). */
export function openEndpoint(settings: EndpointSettings, options: EndpointOptions): Endpoint {
  const url = endpointUrl(settings.url, options.allowInsecure ?? false);
  const node = createNodeFetch({ ...settings, url }, options);
  const client = new SuiGrpcClient({
    network: 'sui',
    baseUrl: url,
    // The default of the SDK is base64 text, which is a third longer.
    format: 'binary',
    fetch: node.fetch,
  });

  async function attempt<T>(
    what: string,
    body: (client: SuiGrpcClient, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    signal?.throwIfAborted();
    // `AbortSignal.timeout` would keep what the attempt used, and wake for it, long after the answer.
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), options.timeoutMs).unref();
    // A signal of this attempt alone: `failureOf` finds the failure by it.
    const ended = AbortSignal.any(signal ? [signal, timeout.signal] : [timeout.signal]);
    let result: T;
    try {
      result = await body(client, ended);
    } catch (error) {
      signal?.throwIfAborted();
      assertChain();
      if (error instanceof DaasError) throw error;
      const late = timeout.signal.aborted ? new Error(`no answer within ${options.timeoutMs} ms`) : undefined;
      const failure = late ?? node.failureOf(ended) ?? error;
      throw classify(failure, { what, url, proxy: node.proxy, retryAfterMs: node.waitAskedBy(ended) });
    } finally {
      clearTimeout(timer);
    }
    assertChain();
    return result;
  }

  function assertChain(): void {
    if (options.chainId !== undefined && node.served !== undefined && node.served !== options.chainId)
      throw chainIdMismatch(url, options.chainId, node.served);
  }

  // The host alone: the path of a URL may hold the key of a customer.
  const { host } = new URL(url);
  const spanOptions = (what: string) => () =>
    ({ kind: 'client', attributes: { 'k3s_daas.what': what, 'server.address': host } }) as const;

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
    get servedChainId() {
      return node.served ?? told;
    },
    chainId,
    call: (what, body, signal) =>
      traced('chain.call', spanOptions(what), async () => {
        await chainId(signal);
        return attempt(what, body, signal);
      }),
  };
}

/**
 * gRPC statuses that the same call would get again. All others say nothing about the chain; INTERNAL is one of them,
 * because the transport reports it for a refused connection too.
 */
const REFUSALS = new Set([
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'UNIMPLEMENTED',
  'OUT_OF_RANGE',
  'FAILED_PRECONDITION',
  'ABORTED',
]);

interface FailedCall extends NodeFacts {
  readonly what: string;
  readonly url: string;
}

/** How a node or a proxy says that it needs a key. */
const KEY_NEEDED: ReadonlySet<unknown> = new Set([401, 403, 'UNAUTHENTICATED', 'PERMISSION_DENIED']);

function classify(error: unknown, { what, url, ...facts }: FailedCall): DaasError {
  const code = (error as { code?: unknown } | null)?.code;
  const answer = error instanceof UnexpectedAnswer ? error.status : code;
  if (KEY_NEEDED.has(answer)) return endpointKeyNeeded(what, url, error);
  return typeof code === 'string' && REFUSALS.has(code)
    ? chainRefused(what, url, error)
    : chainUnavailable(what, url, error, facts);
}
