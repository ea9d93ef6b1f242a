import { type Backoff, backoffDelayMs, type Clock, ConfigurationError, DaasError } from '#base';
import type { ChainChanges, ChainReader, ChangeFollower, Cluster, FollowerReport } from '#domain';

/**
 * The changes a reader has not seen. `seen` is the sequence up to which it has dealt with everything, `undefined` when
 * it knows nothing yet. `undefined` is the answer when the node is behind what was seen already.
 */
export function changesSince(seen: bigint | undefined, cluster: Cluster): ChainChanges | undefined {
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
