import type { ProblemCode } from '#api';
import { DaasError } from '#base';
import type { StakeRecord } from '#domain';
import type { ChainFacts } from '#seal';
import type { AdmissionOptions, Candidate } from './admission-context.ts';
import { isProofNewEnough } from './proof-age.ts';
import { isAdmitted } from './worker.ts';

type AgeContext = Pick<AdmissionOptions, 'config' | 'clock' | 'chain' | 'endpointsAgreed' | 'probe'>;
type AgeSubject = Pick<Candidate, 'applicant' | 'worker' | 'node' | 'until'> & { readonly recordId: string };

/** A first admission on a proof that one full node alone could have chosen to be old. A marked Node was admitted before. */
export async function ageProblem(
  context: AgeContext,
  { applicant: { facts }, worker, node, recordId, until }: AgeSubject,
): Promise<ProblemCode | undefined> {
  const { endpointsAgreed, probe } = context;
  if (!facts?.record || !endpointsAgreed) return undefined;
  const { record, cluster } = facts;
  const isKnown =
    (worker && isAdmitted(worker) && worker.recordId === recordId) || node?.stakeRecordId === recordId;
  if (isKnown || isNewEnough(context, record, cluster)) return undefined;
  if (!probe) return 'proof_too_old';
  if (await isProbed(context, record, until.reading)) return undefined;
  // The host comes again soon, and finds what the probe has shown.
  probe.ask(recordId);
  return 'proof_too_old';
}

function isNewEnough(
  { config, clock, endpointsAgreed }: AgeContext,
  record: StakeRecord,
  cluster: ChainFacts['cluster'],
): boolean {
  const { proofAgeMs } = config.admit;
  const agreed = endpointsAgreed?.() ?? 0;
  return isProofNewEnough({ record, cluster, endpointsAgreed: agreed, nowMs: clock.nowMs(), proofAgeMs });
}

/** Whether a probe has confirmed this very record since the gateway last read it. */
async function isProbed(
  context: AgeContext,
  { id, lastSequence }: StakeRecord,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { chain } = context;
  try {
    const [cluster, records] = await Promise.all([chain.cluster(signal), chain.records([id], signal)]);
    const again = records.get(id);
    return again?.lastSequence === lastSequence && isNewEnough(context, again, cluster);
  } catch (error) {
    if (error instanceof DaasError && error.isRetryable) return false;
    throw error;
  }
}
