import type { AdmissionOptions, Applicant } from './admission-context.ts';
import { bansFor } from './bans.ts';
import type { Worker } from './worker.ts';

/**
 * Bans an applicant that shows a slashed stake. A worker of this record is banned, and evicted, by the reconciler; this is
 * for one that never was a worker, and happens once: what the operator has lifted since stays lifted.
 */
export async function banSlashedApplicant(
  { registry, reconciler, chain, audit, clock }: AdmissionOptions,
  { applicant, worker }: { readonly applicant: Applicant; readonly worker: Worker | undefined },
  bannedRecords: Set<string>,
): Promise<void> {
  const record = applicant.facts?.record;
  if (!record) return;
  const { nodeId } = applicant;
  if (worker?.recordId === record.id) return reconciler.enqueue(nodeId);
  if (bannedRecords.has(record.id)) return;
  bannedRecords.add(record.id);
  const subject = { ...applicant, staker: record.staker, recordId: record.id };
  const all = bansFor(subject, 'slashed', clock.nowMs());
  // Another staker may have the name by now. The key was never seen to sign for an admitted node: it may be a stranger's.
  const isNameFree = worker === undefined && (await hasNoLiveRecord(chain, nodeId));
  const bans = all.filter((ban) => ban.subject === 'staker' || (ban.subject === 'node_id' && isNameFree));
  audit.recordLockOut('ban.set', {
    node_id: nodeId,
    stake_record: record.id,
    reason: 'slashed',
    bans: bans.map((ban) => ban.subject).join(','),
  });
  await registry.decide({ bans });
}

async function hasNoLiveRecord(chain: AdmissionOptions['chain'], nodeId: string): Promise<boolean> {
  try {
    return (await chain.liveRecordOf(nodeId)) === undefined;
  } catch {
    return false;
  }
}
