import type { Cluster, StakeRecord } from '#domain';

/** What says how new a proven stake record is. */
export interface ProofAge {
  readonly record: Pick<StakeRecord, 'id' | 'lastSequence' | 'writtenAtMs'>;
  readonly cluster: Pick<
    Cluster,
    'writtenAtMs' | 'changeSequence' | 'criticalRing' | 'otherRing' | 'droppedCritical' | 'droppedOther'
  >;
  /** How many full nodes have just shown nothing newer of the cluster. */
  readonly endpointsAgreed: number;
  readonly nowMs: number;
  readonly proofAgeMs: number;
}

/**
 * Whether a first admission may rest on a proven record. A full node that is asked alone can hide a slash behind an older
 * record, whose proof is genuine. Enough is: a second full node that shows nothing newer; a record that was written lately;
 * or a cluster that was written lately and names no later change of the record.
 *
 * The token's own write is not looked at: its owner can write it anew after a slash, by a transaction that only takes it.
 */
export function isProofNewEnough(age: ProofAge): boolean {
  const { record, cluster, endpointsAgreed } = age;
  if (isChangedSince(record, cluster)) return false;
  if (endpointsAgreed >= 2) return true;
  return isRecent(record.writtenAtMs, age) || (isRecent(cluster.writtenAtMs, age) && covers(cluster, record));
}

/** By the local clock, which may be slow: no earlier than what validators have signed. */
function isRecent(writtenAtMs: number | undefined, { cluster, nowMs, proofAgeMs }: ProofAge): boolean {
  return writtenAtMs !== undefined && Math.max(nowMs, cluster.writtenAtMs ?? 0) - writtenAtMs <= proofAgeMs;
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
