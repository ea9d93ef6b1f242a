import { UNTAINTED } from '#domain';
import type { AdmissionOptions, Applicant } from './admission-context.ts';
import type { Standing } from './admission-policy.ts';
import { noCertificates } from './certificates.ts';
import { unsaidMachine } from './clones.ts';
import { isHeldBy } from './name-history.ts';
import type { Worker } from './worker.ts';
import type { WorkerAttestation } from './worker-attestation.ts';

/** What an applicant becomes; the status is still the earlier one. */
export function nextWorker(
  { config, clock }: Pick<AdmissionOptions, 'config' | 'clock'>,
  {
    applicant,
    worker,
    standing,
    attestation,
  }: {
    readonly applicant: Applicant;
    readonly worker: Worker | undefined;
    readonly standing: Standing;
    readonly attestation: WorkerAttestation | undefined;
  },
): Worker {
  const nowMs = clock.nowMs();
  const { recordId, staker } = standing;
  const isSameHolder =
    worker !== undefined && isHeldBy(worker, { recordId, staker, holderKey: applicant.holderKey });
  return {
    nodeId: applicant.nodeId,
    recordId: standing.recordId,
    tokenId: applicant.tokenId,
    tokenSequence: standing.tokenSequence,
    staker: standing.staker,
    holderKey: applicant.holderKey,
    tier: config.taintNodes ? standing.tier : UNTAINTED,
    incarnation: (worker?.incarnation ?? 0) + 1,
    registeredAtMs: nowMs,
    status: worker?.status ?? { kind: 'admitting' },
    statusSinceMs: worker?.statusSinceMs ?? nowMs,
    lockedAtMs: undefined,
    firstReadyAtMs: worker?.recordId === standing.recordId ? worker.firstReadyAtMs : undefined,
    heldFor: worker?.heldFor,
    host: applicant.host,
    // Of the same holder; another machine may have come with another one.
    certificates: isSameHolder && worker ? worker.certificates : noCertificates,
    isListingDue: worker !== undefined && (worker.isListingDue || !isSameHolder),
    machine: applicant.machine ?? (worker?.machine && unsaidMachine),
    attestation,
  };
}
