import type { Cluster, StakeRecord } from '#domain';

/** What says how new a proven stake record is. */
export interface ProofAge {
  readonly record: Pick<StakeRecord, 'id' | 'lastSequence' | 'writtenAtMs' | 'probedAtMs'>;
  readonly cluster: Pick<
    Cluster,
    | 'writtenAtMs'
    | 'probedAtMs'
    | 'changeSequence'
    | 'criticalRing'
    | 'otherRing'
    | 'droppedCritical'
    | 'droppedOther'
  >;
  /** How many full nodes have just shown nothing newer of the cluster. */
  readonly endpointsAgreed: number;
  readonly nowMs: number;
  readonly proofAgeMs: number;
}

/**
 * Whether a first admission may rest on a proven record. A full node that is asked alone can hide a slash behind an older
 * record, whose proof is genuine. Enough is: a second full node that shows nothing newer; a record that was written or probed
 * lately; or a cluster that was, and names no later change of the record.
 *
 * The token's own write is not looked at: its owner can write it anew after a slash, by a transaction that only takes it.
 */
export function isProofNewEnough(age: ProofAge): boolean {
  const { record, cluster, endpointsAgreed } = age;
  if (isChangedSince(record, cluster)) return false;
  if (endpointsAgreed >= 2) return true;
  return isRecent(record, age) || (isRecent(cluster, age) && covers(cluster, record));
}

type Times = Pick<StakeRecord, 'writtenAtMs' | 'probedAtMs'>;

/** By the local clock, which may be slow: no earlier than what validators have signed. */
function isRecent(proven: Times, { cluster, nowMs, proofAgeMs }: ProofAge): boolean {
  const newestMs = newestAtMs(proven);
  return newestMs !== undefined && Math.max(nowMs, newestAtMs(cluster) ?? 0) - newestMs <= proofAgeMs;
}

/** Until when this version is proven to be the newest one. */
function newestAtMs({ writtenAtMs, probedAtMs }: Times): number | undefined {
  return writtenAtMs === undefined ? undefined : Math.max(writtenAtMs, probedAtMs ?? 0);
}

function isChangedSince(
  { id, lastSequence }: ProofAge['record'],
  { criticalRing, otherRing }: ProofAge['cluster'],
): boolean {
  return [...criticalRing, ...otherRing].some(
    ({ record, sequence }) => record === id && sequence > lastSequence,
  );
}

/** Whether a change of the record after the one it shows would still be in the rings of the cluster. */
function covers(
  { changeSequence, droppedCritical, droppedOther }: ProofAge['cluster'],
  { lastSequence }: ProofAge['record'],
): boolean {
  return changeSequence >= lastSequence && droppedCritical <= lastSequence && droppedOther <= lastSequence;
}
