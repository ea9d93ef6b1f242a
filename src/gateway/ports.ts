import type { Cluster, DaasError } from '#base';

/**
 * What the gateway needs of whoever follows the cluster's change rings (the chain layer does): one report for each
 * reading, also when nothing changed, since then the facts are known to be fresh.
 */
export interface ChangeFollower {
  follow(options: { readonly signal: AbortSignal }): AsyncIterable<FollowerReport>;
}
export type FollowerReport = ChainChanges | ChainOutage;

export interface ChainChanges {
  readonly kind: 'changes';
  /** Records whose slash, unbonding, withdrawal or revocation is new. */
  readonly critical: readonly string[];
  /** Records that changed in another way. */
  readonly others: readonly string[];
  /** A change may have fallen out of a ring: every known record must be read. */
  readonly isFullPassNeeded: boolean;
  readonly cluster: Cluster;
}

export interface ChainOutage {
  readonly kind: 'outage';
  readonly error: DaasError;
  /** Readings that failed in a row. */
  readonly failures: number;
}
