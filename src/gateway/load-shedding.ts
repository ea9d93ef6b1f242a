import { OPENAPI_PATH, PATHS } from '#api';
import type { Clock, Log } from '#base';
import type { RunnableGatewayConfig } from './config.ts';
import type { LoopDelay } from './loop-delay.ts';

/** Whom the gateway refuses while its event loop is behind. */
export interface LoadShedding {
  /** Whether it is behind: callers that are not known have to wait. */
  isBehind(): boolean;
  /** Whether a request is refused now. `isKnown`: a worker has proven itself on this connection. */
  refuses(request: { readonly route: string | undefined; readonly isKnown: boolean }): boolean;
}

export interface LoadSheddingOptions {
  readonly delay: Pick<LoopDelay, 'p99Ms'>;
  /** A reload replaces its members. */
  readonly config: Pick<RunnableGatewayConfig, 'limits'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long a caller that was refused is to wait. Hosts add a random part of their own. */
export const SHED_RETRY_MS = 5_000;
const reportEveryMs = 30_000;

/**
 * What can wait: a node that is not admitted yet loses nothing but time. Heartbeats, departures, certificates, event streams and
 * proofs of what the chain says are never refused for it, from no connection: they keep nodes in, or lock them out.
 */
const sheddable: ReadonlySet<string | undefined> = new Set([
  PATHS.challenge,
  PATHS.register,
  PATHS.attestation,
  OPENAPI_PATH,
  // What is no route.
  undefined,
]);

export function createLoadShedding({ delay, config, clock, log }: LoadSheddingOptions): LoadShedding {
  let reportedAtMs = Number.NEGATIVE_INFINITY;
  const isBehind = () => delay.p99Ms() > config.limits.loopDelayMs;
  const report = () => {
    const nowMs = clock.monotonicMs();
    if (nowMs - reportedAtMs < reportEveryMs) return;
    reportedAtMs = nowMs;
    log.warn('The gateway is behind: callers that it does not know have to wait', {
      event: 'gateway.sheds',
      delayMs: Math.round(delay.p99Ms()),
    });
  };
  return {
    isBehind,
    refuses({ route, isKnown }) {
      if (isKnown || !sheddable.has(route) || !isBehind()) return false;
      report();
      return true;
    },
  };
}
