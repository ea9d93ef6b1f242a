import { asBuffer, toHex } from './bytes.ts';
import { type CommandOutcome, examineCommand } from './command.ts';
import type { Evidence, EvidenceKind } from './evidence.ts';
import { Examination, type Reason, Refusal } from './examination.ts';
import { examineNitro } from './nitro.ts';
import { type Policy, VENDOR_ROOTS } from './policy.ts';
import { tpmExtraDataOf } from './report-data.ts';
import { examineSgx } from './sgx.ts';
import { examineSnp } from './snp.ts';
import { examineTdx } from './tdx.ts';
import { examineTpm } from './tpm.ts';
import { coversAtLeast, type Findings, type Verdict } from './verdict.ts';

export interface Circumstances {
  readonly nowMs: number;
  /** What the evidence must be bound to (`reportDataOf`); without it, the verdict says that it is not bound. */
  readonly reportData?: Uint8Array | undefined;
  /** For the kind `command`: how its program ended (`runCommand`). */
  readonly outcome?: CommandOutcome | undefined;
}

/** Longer than any evidence of a kind; a TDX quote comes padded to 8000 bytes. */
export const LONGEST: Readonly<Record<EvidenceKind, number>> = {
  nitro: 32_768,
  nitrotpm: 32_768,
  'sev-snp': 4_096,
  tdx: 32_768,
  sgx: 32_768,
  tpm: 16_384,
  command: 1_048_576,
};

/**
 * Judges evidence by a policy at a point in time. Pure: no network, no clock, no file; it never throws for what evidence or
 * collateral contain. Which checks are made is listed in docs/attestation.md.
 */
export function verify(evidence: Evidence, policy: Policy, circumstances: Circumstances): Verdict {
  const roots = policy.mode === 'dev' ? policy.devRoots : [];
  const examination = new Examination(circumstances.nowMs, [...Object.values(VENDOR_ROOTS), ...roots]);
  const findings = examined(evidence, policy, circumstances, examination);
  return {
    accepted: examination.reasons.length === 0 && findings !== undefined,
    kind: evidence.kind,
    reasons: examination.reasons,
    claims: findings?.claims,
    measurement: findings?.measured?.name,
    covers: findings?.measured?.covers ?? 'platform only',
    isBound: circumstances.reportData !== undefined,
  };
}

function examined(
  evidence: Evidence,
  policy: Policy,
  circumstances: Circumstances,
  examination: Examination,
): Findings | undefined {
  try {
    examination.demand(
      evidence.bytes.length <= LONGEST[evidence.kind],
      'evidence-size',
      `the evidence has ${evidence.bytes.length} bytes, more than any of its kind`,
    );
    const findings = byKind(evidence, policy, circumstances, examination);
    checkMeasurement(findings, policy, examination);
    checkReportData(evidence.kind, findings, circumstances.reportData, examination);
    return findings;
  } catch (error) {
    examination.reasons.push(reasonOf(error));
    return undefined;
  }
}

/** Anything but a refusal is a mistake of this code; evidence that provokes it is not accepted. */
function reasonOf(error: unknown): Reason {
  if (error instanceof Refusal) return { check: error.check, message: error.message };
  throw error;
}

function byKind(
  evidence: Evidence,
  { accept }: Policy,
  { outcome }: Circumstances,
  examination: Examination,
): Findings {
  const { kind } = evidence;
  const known = Object.keys(accept).join(', ');
  const refusal = new Refusal('kind-not-accepted', `the policy accepts ${known}; this is '${kind}'`);
  const policyOf = <Kind extends EvidenceKind>(name: Kind) => {
    const policy = accept[name];
    if (!policy) throw refusal;
    return policy;
  };
  switch (kind) {
    case 'nitro':
    case 'nitrotpm':
      return examineNitro(evidence, kind, policyOf(kind), examination);
    case 'sev-snp':
      return examineSnp(evidence, policyOf(kind), examination);
    case 'tdx':
      return examineTdx(evidence, policyOf(kind), examination);
    case 'sgx':
      return examineSgx(evidence, policyOf(kind), examination);
    case 'tpm':
      return examineTpm(evidence, policyOf(kind), examination);
    case 'command':
      return examineCommand(evidence, policyOf(kind), outcome, examination);
    default:
      throw new Refusal(
        'kind-not-accepted',
        `evidence of the kind '${String(kind satisfies never)}' is not known`,
      );
  }
}

function checkMeasurement({ measured }: Findings, policy: Policy, examination: Examination): void {
  if (!measured) {
    examination.fault('measurement-unknown', 'the policy names no measurement like this one');
    return;
  }
  examination.expect(
    coversAtLeast(measured.covers, policy.minimumCoverage),
    'coverage-too-small',
    `what was measured ('${measured.name}') covers: ${measured.covers}; the policy demands: ${policy.minimumCoverage}`,
  );
}

function checkReportData(
  kind: EvidenceKind,
  { claims: { reportData } }: Findings,
  expected: Uint8Array | undefined,
  examination: Examination,
): void {
  if (expected === undefined) return;
  if (reportData === undefined) {
    examination.fault('report-data-missing', 'the evidence carries no report data');
    return;
  }
  const wanted = kind === 'tpm' ? tpmExtraDataOf(expected) : asBuffer(expected);
  examination.expect(
    wanted.equals(asBuffer(reportData)),
    'report-data-mismatch',
    `the evidence is bound to ${toHex(reportData)}, not to ${toHex(wanted)}`,
  );
}
