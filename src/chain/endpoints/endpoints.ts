import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { type Backoff, backoffDelayMs, type Clock, ConfigurationError, DaasError } from '#base';
import { type Endpoint, type EndpointOptions, openEndpoint } from './endpoint.ts';
import type { EndpointSettings } from './node-fetch.ts';

/** A full node by its URL, or with what belongs to that node alone. */
export type EndpointAddress = string | EndpointSettings;

export interface EndpointsOptions extends EndpointOptions {
  readonly clock: Clock;
  /** How long a failing read is retried; 0: each endpoint is asked once. */
  readonly retryForMs?: number;
  readonly random?: () => number;
}

/** Several full nodes: a read goes to the first that answers, and later reads stay with it. */
export interface Endpoints {
  readonly all: readonly Endpoint[];
  read<T>(
    what: string,
    body: (client: SuiGrpcClient, signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T>;
  /** As `read`, for several calls that must see the state of one node; `retryForMs` replaces that of the options. */
  withOne<T>(body: (endpoint: Endpoint) => Promise<T>, signal?: AbortSignal, retryForMs?: number): Promise<T>;
}

const RETRY: Backoff = { baseMs: 100, maxMs: 2_000 };

export function openEndpoints(addresses: readonly EndpointAddress[], options: EndpointsOptions): Endpoints {
  if (addresses.length === 0)
    throw new ConfigurationError(
      'DAAS_ENDPOINT_MISSING',
      'no Sui full node is named: set chain.endpoints, or pass --endpoint',
    );
  const { clock, random = Math.random } = options;
  const all = addresses.map((address) =>
    openEndpoint(typeof address === 'string' ? { url: address } : address, options),
  );
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
