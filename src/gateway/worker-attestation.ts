import type { Clock } from '#base';
import type { Applicant } from './admission-context.ts';
import { ApiProblem } from './api-problem.ts';
import type { RunnableGatewayConfig } from './config.ts';
import type { Worker } from './worker.ts';

/** What a worker has shown of its machine, as it was judged at its last registration. */
export interface WorkerAttestation {
  readonly judgedAtMs: number;
  /** Of the evidence that was accepted, such as `sev-snp`; `none`: nothing was shown, or it was refused. */
  readonly kind: string;
  /** The policy's name for what was measured. */
  readonly measurement: string | undefined;
  /** What that measurement covers. */
  readonly covers: string | undefined;
  /** Why what was shown does not count. */
  readonly problem: string | undefined;
  /** Name of the TPM key that the stake record is bound to: its evidence comes from this TPM or does not count. */
  readonly boundKey: string | undefined;
}

/** Evidence as it came with a registration, and what it has to be bound to. */
export interface ShownMachine {
  readonly nodeId: string;
  /** Ed25519 public key, 32 bytes: the one that signed the registration. */
  readonly nodeKey: Uint8Array;
  /** Of the challenge that the registration has used up. */
  readonly nonce: string;
  /** An evidence file, as JSON. */
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly boundKey: string | undefined;
}

export interface MachineVerdict {
  readonly isAccepted: boolean;
  readonly kind: string;
  readonly measurement: string | undefined;
  readonly covers: string;
  /** Of a TPM: the name of its key. */
  readonly attestationKey: string | undefined;
  /** Each begins with the name of the check: docs/attestation.md lists them. */
  readonly reasons: readonly string[];
}

/** Judges evidence of workers by the policy of `gateway.admit.attestation`. */
export interface MachineJudge {
  judge(shown: ShownMachine): Promise<MachineVerdict>;
}

export interface MachineExamination {
  readonly config: Pick<RunnableGatewayConfig, 'admit'>;
  readonly machines?: MachineJudge | undefined;
  readonly clock: Clock;
}

interface Examined {
  readonly applicant: Pick<Applicant, 'nodeId' | 'holderKey' | 'machineEvidence'>;
  readonly worker: Worker | undefined;
  readonly recordId: string;
}

/**
 * Judges what an applicant has shown of its machine; `undefined`: this gateway asks for no evidence.
 * @throws `ApiProblem` evidence_missing and evidence_refused, where the policy is a condition of admission.
 */
export async function examineMachine(
  { config, machines, clock }: MachineExamination,
  { applicant, worker, recordId }: Examined,
): Promise<WorkerAttestation | undefined> {
  const { mode } = config.admit.attestation;
  if (mode === 'off') return undefined;
  if (!machines) throw new RangeError('gateway.admit.attestation needs machines');
  const boundKey = worker?.recordId === recordId ? worker.attestation?.boundKey : undefined;
  const judgedAtMs = clock.nowMs();
  const refuse = (
    code: 'evidence_missing' | 'evidence_refused',
    problem: string,
    checks: readonly string[] = [],
  ): WorkerAttestation => {
    if (mode === 'require')
      throw new ApiProblem(code, `node ${applicant.nodeId} is not admitted: ${problem}`, { checks });
    return { judgedAtMs, kind: 'none', measurement: undefined, covers: undefined, problem, boundKey };
  };
  const { machineEvidence: shown } = applicant;
  if (!shown) return refuse('evidence_missing', 'it shows no evidence of its machine');
  const verdict = await machines.judge({
    ...shown,
    nodeId: applicant.nodeId,
    nodeKey: Buffer.from(applicant.holderKey, 'base64url'),
    boundKey,
  });
  if (!verdict.isAccepted) return refuse('evidence_refused', problemOf(verdict), checksOf(verdict));
  const { kind, measurement, covers, attestationKey } = verdict;
  return {
    judgedAtMs,
    kind,
    measurement,
    covers,
    problem: undefined,
    boundKey: boundKey ?? attestationKey,
  };
}

/** What a program of the operator's says, or evidence that cannot be read, has no name. */
function checksOf({ reasons }: MachineVerdict): readonly string[] {
  const names = reasons.map((reason) => /^([a-z]+(?:-[a-z]+)*): /.exec(reason)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))].slice(0, MOST_CHECKS);
}

/** The names of the checks in a problem that was recorded, as far as it was kept. */
export function checksIn(problem: string): readonly string[] {
  const names = [...problem.matchAll(/(?:refused: |; )([a-z]+(?:-[a-z]+)*): /g)].map(([, name]) => name);
  return [...new Set(names.filter((name) => name !== undefined))].slice(0, MOST_CHECKS);
}

const MOST_CHECKS = 16;
const LONGEST_PROBLEM = 500;

/** Parts of the evidence are quoted in it: a stranger decides how long they are. */
function problemOf({ reasons }: MachineVerdict): string {
  const text = `its evidence is refused: ${reasons.join('; ')}`;
  return text.length > LONGEST_PROBLEM ? `${text.slice(0, LONGEST_PROBLEM)}…` : text;
}
