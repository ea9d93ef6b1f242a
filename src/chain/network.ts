import {
  type EndpointAddress,
  type Endpoints,
  type EndpointsOptions,
  openEndpoints,
} from './endpoints/index.ts';

export interface NetworkOptions
  extends Pick<EndpointsOptions, 'clock' | 'chainId' | 'allowInsecure' | 'environment'> {
  readonly timeoutMs?: number;
}

/** How long a read is retried. */
const RETRY_FOR_MS = 2_000;

/**
 * Opens full nodes whose chain is not known beforehand: the first reply names the chain, and all endpoints must serve that
 * one.
 */
export async function openNetwork(
  addresses: readonly EndpointAddress[],
  { chainId: expected, timeoutMs = 10_000, ...options }: NetworkOptions,
  signal?: AbortSignal,
): Promise<{ endpoints: Endpoints; chainId: string }> {
  const rest = { ...options, timeoutMs, retryForMs: RETRY_FOR_MS };
  const unpinned = openEndpoints(addresses, rest);
  const chainId = expected ?? (await unpinned.withOne((endpoint) => endpoint.chainId(signal), signal));
  return { endpoints: openEndpoints(addresses, { ...rest, chainId }), chainId };
}
