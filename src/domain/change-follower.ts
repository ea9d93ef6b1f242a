import type { DaasError } from '#base';
import type { Cluster } from './chain-facts.ts';

/** What one reading of the cluster object says that the follower did not know. */
export interface ChainChanges {
  readonly kind: 'changes';
  /** Records whose slash, unbonding, withdrawal or revocation is new, in the order of their last change. */
  readonly critical: readonly string[];
  /** Records that changed in another way, in the order of their last change. */
  readonly others: readonly string[];
  /**
   * A change may have fallen out of a ring (the follower has just begun, or was away for long): every known record must
   * be read. `critical` and `others` still name what the rings have.
   */
  readonly isFullPassNeeded: boolean;
  /** All changes up to this one are named: what to go on from. */
  readonly sequence: bigint;
  readonly cluster: Cluster;
}

/** The chain could not be read. Facts are neither good nor bad by that: they are unknown. */
export interface ChainOutage {
  readonly kind: 'outage';
  readonly error: DaasError;
  /** Readings that failed in a row. */
  readonly failures: number;
}

export type FollowerReport = ChainChanges | ChainOutage;

export interface FollowOptions {
  /** Where to go on; without it the first report asks for a full pass. */
  readonly since?: bigint;
  /** Between readings; default 1 s. */
  readonly intervalMs?: number;
  readonly signal: AbortSignal;
}

/** Follows the change rings of one cluster on chain. */
export interface ChangeFollower {
  /**
   * One report for each reading, also when nothing changed, since then the facts are known to be fresh. The next reading
   * begins when the consumer asks for the next report, so a change is never skipped while an earlier one is handled.
   * Ends when the signal aborts; throws configuration errors (another chain, no such cluster).
   */
  follow(options: FollowOptions): AsyncIterable<FollowerReport>;
}
