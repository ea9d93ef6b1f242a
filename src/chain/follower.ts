import {
  type Backoff,
  backoffDelayMs,
  type ChainReader,
  type Clock,
  type Cluster,
  ConfigurationError,
  DaasError,
} from '#base';

/** What one reading of the cluster object tells a follower. */
export interface ClusterChanges {
  readonly kind: 'changes';
  /** Records whose slash, unbonding, withdrawal or revocation is new, in the order of their last change. */
  readonly critical: readonly string[];
  /** Records that changed in another way, in the order of their last change. */
  readonly others: readonly string[];
  /**
   * A change may have fallen out of a ring (the follower has just begun, or was away for long): read every record you
   * know. `critical` and `others` still name what the rings have.
   */
  readonly isFullPassNeeded: boolean;
  /** All changes up to this one are named: what to go on from. */
  readonly sequence: bigint;
  readonly cluster: Cluster;
}

/** The chain could not be read. Facts are neither good nor bad by that: they are unknown. */
export interface FollowerOutage {
  readonly kind: 'outage';
  readonly error: DaasError;
  /** Readings that failed in a row. */
  readonly failures: number;
}

export type FollowerReport = ClusterChanges | FollowerOutage;

/**
 * The changes a reader has not seen. `seen` is the sequence up to which it has dealt with everything, `undefined` when
 * it knows nothing yet. `undefined` is the answer when the node is behind what was seen already.
 */
export function changesSince(seen: bigint | undefined, cluster: Cluster): ClusterChanges | undefined {
  if (seen !== undefined && cluster.changeSequence < seen) return undefined;
  const isNew = ({ sequence }: { sequence: bigint }) => seen === undefined || sequence > seen;
  const ids = (ring: Cluster['criticalRing']) => ring.filter(isNew).map(({ record }) => record);
  return {
    kind: 'changes',
    critical: ids(cluster.criticalRing),
    others: ids(cluster.otherRing),
    isFullPassNeeded: seen === undefined || seen < cluster.droppedCritical || seen < cluster.droppedOther,
    sequence: cluster.changeSequence,
    cluster,
  };
}

export interface FollowOptions {
  /** Where to go on; without it the first report asks for a full pass. */
  readonly since?: bigint;
  /** Between readings; default 1 s. */
  readonly intervalMs?: number;
  readonly signal: AbortSignal;
}

export interface ChangeFollower {
  /**
   * One report for each reading, also when nothing changed (the facts are known to be fresh then). The next reading
   * begins when the consumer asks for the next report, so a change is never skipped while an earlier one is being dealt
   * with. Ends when the signal aborts; throws configuration errors (another chain, no such cluster).
   */
  follow(options: FollowOptions): AsyncGenerator<FollowerReport, void, void>;
}

const DEFAULT_INTERVAL_MS = 1_000;
/** A node that is away is asked less often, but never less than every ten seconds. */
const MAX_DELAY_MS = 10_000;

/** Follows the change rings of the reader's cluster. */
export function createChangeFollower(reader: Pick<ChainReader, 'cluster'>, clock: Clock): ChangeFollower {
  return {
    async *follow({ since, intervalMs = DEFAULT_INTERVAL_MS, signal }) {
      let seen = since;
      let failures = 0;
      while (!signal.aborted) {
        const report = await read(reader, seen, failures, signal);
        if (signal.aborted) return;
        if (report?.kind === 'outage') failures = report.failures;
        else failures = 0;
        if (report) yield report;
        if (report?.kind === 'changes') seen = report.sequence;
        await pause(clock, nextDelayMs(failures, intervalMs), signal);
      }
    },
  };
}

async function read(
  reader: Pick<ChainReader, 'cluster'>,
  seen: bigint | undefined,
  failures: number,
  signal: AbortSignal,
): Promise<FollowerReport | undefined> {
  try {
    return changesSince(seen, await reader.cluster(signal));
  } catch (error) {
    if (signal.aborted) return undefined;
    // A node that refuses to answer says as little about the chain as one that is away.
    if (error instanceof DaasError && !(error instanceof ConfigurationError))
      return { kind: 'outage', error, failures: failures + 1 };
    throw error;
  }
}

/** Without jitter: a watcher that was told to read every second does, as soon as the node is back. */
export function nextDelayMs(failures: number, intervalMs: number): number {
  const backoff: Backoff = { baseMs: intervalMs, maxMs: Math.max(intervalMs, MAX_DELAY_MS) };
  return failures === 0 ? intervalMs : backoffDelayMs(failures - 1, backoff, () => 1);
}

async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(delayMs, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
