import type { Evidence } from './evidence.ts';
import type { Policy } from './policy.ts';
import { attestationKeyOf } from './tpm.ts';
import type { Verdict } from './verdict.ts';
import { type Circumstances, verify } from './verify.ts';

/** Why a worker's evidence is refused beside the checks of its platform; docs/attestation.md explains it. */
export type WorkerCheck = 'attestation-key-changed';

export interface WorkerVerdict extends Omit<Verdict, 'reasons'> {
  readonly reasons: ReadonlyArray<{ readonly check: string; readonly message: string }>;
  /** Name of the key of its TPM, hexadecimal: from now on the stake record is bound to it. Of `tpm` alone. */
  readonly attestationKey: string | undefined;
}

export interface WorkerCircumstances extends Circumstances {
  readonly reportData: Uint8Array;
  readonly policy: Policy;
  /** The key that the stake record is bound to; `undefined`: to none yet. */
  readonly boundKey: string | undefined;
}

/**
 * Judges the evidence of a worker: by the policy, bound to the report data of this registration, and to the TPM that the stake
 * record has shown before: a copy of the disk in another machine has another one. Pure, as `verify`.
 */
export function judgeWorker(
  evidence: Evidence,
  { policy, boundKey, ...circumstances }: WorkerCircumstances,
): WorkerVerdict {
  const shown = evidence.kind === 'tpm' ? attestationKeyOf(evidence.bytes) : undefined;
  const verdict = verify(evidence, forKey(policy, shown), circumstances);
  const reasons = [...verdict.reasons, ...bindingFaults(evidence, shown, boundKey)];
  return {
    ...verdict,
    reasons,
    accepted: verdict.accepted && reasons.length === 0,
    attestationKey: shown,
  };
}

/** `first-seen`: the key is taken as it is shown; whether it is the one of before is judged by the binding. */
function forKey(policy: Policy, shown: string | undefined): Policy {
  const { tpm } = policy.accept;
  if (tpm?.attestationKeys !== 'first-seen' || shown === undefined) return policy;
  return { ...policy, accept: { ...policy.accept, tpm: { ...tpm, attestationKeys: [shown] } } };
}

interface Fault {
  readonly check: WorkerCheck;
  readonly message: string;
}

/** A record that is bound to a TPM stays with it, whatever kind of evidence comes now. */
function bindingFaults(
  { kind }: Evidence,
  shown: string | undefined,
  boundKey: string | undefined,
): readonly Fault[] {
  if (boundKey === undefined || shown === boundKey) return [];
  const message = `the stake record is bound to the TPM key ${boundKey}; the evidence is ${shown === undefined ? `of the kind '${kind}'` : `by ${shown}`}`;
  return [{ check: 'attestation-key-changed', message }];
}
