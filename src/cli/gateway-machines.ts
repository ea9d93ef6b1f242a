import { type Clock, ConfigurationError, type Log, messageOf } from '#base';
import type { MachineJudge, MachineVerdict, RunnableGatewayConfig, ShownMachine } from '#gateway';
import { readTrustedText } from '#infrastructure';
import { type Evidence, judgeWorker, parseEvidence, parsePolicy, runCommand, workerReportDataOf } from '#tee';
import { collateralOf } from './machine-evidence.ts';

export interface MachineJudgeOptions {
  readonly config: Pick<RunnableGatewayConfig, 'admit' | 'gatewayId'>;
  readonly chainId: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Judges what workers show of their machines, by the policy of `gateway.admit.attestation`; `undefined`: its mode is off.
 * @throws `DAAS_TEE_POLICY_MISSING`, `DAAS_TEE_POLICY_INVALID`, and what makes the collateral file none
 */
export async function openMachineJudge(options: MachineJudgeOptions): Promise<MachineJudge | undefined> {
  const { mode, policyFile, collateralFile } = options.config.admit.attestation;
  if (mode === 'off') return undefined;
  if (policyFile === undefined)
    throw new ConfigurationError(
      'DAAS_TEE_POLICY_MISSING',
      `gateway.admit.attestation.mode is ${mode}, and nothing says which machines are good: set gateway.admit.attestation.policyFile. \`k3s-daas tee policy EVIDENCE\` writes one to begin with`,
      { details: { mode } },
    );
  // It decides who is admitted, and which programs run here: others must not be able to write it.
  const text = await readTrustedText(policyFile, {
    what: 'the attestation policy',
    origin: 'gateway.admit.attestation.policyFile',
  });
  const policy = parsePolicy(text, policyFile);
  if (policy.mode === 'dev')
    options.log.warn(
      'The policy for workers has the mode dev: it accepts stand-ins, whose evidence proves nothing',
    );
  await collateralOf(collateralFile);
  return { judge: (shown) => judge({ ...options, policy, collateralFile }, shown) };
}

interface Judging extends MachineJudgeOptions {
  readonly policy: ReturnType<typeof parsePolicy>;
  readonly collateralFile: string | undefined;
}

async function judge(
  { config: { gatewayId }, chainId, clock, policy, collateralFile }: Judging,
  { evidence: shown, nodeId, nodeKey, nonce, boundKey }: ShownMachine,
): Promise<MachineVerdict> {
  const parsed = evidenceIn(shown);
  if (typeof parsed === 'string') return unread(parsed);
  const evidence = { ...parsed, collateral: [...parsed.collateral, ...(await collateralOf(collateralFile))] };
  const nowMs = clock.nowMs();
  const reportData = workerReportDataOf({ nodeKey, nodeId, gatewayId, chainId, nonce });
  const outcome =
    evidence.kind === 'command' ? await runCommand(evidence, policy, { nowMs, reportData }) : undefined;
  const verdict = judgeWorker(evidence, { policy, nowMs, reportData, outcome, boundKey });
  const { accepted: isAccepted, kind, measurement, covers, attestationKey } = verdict;
  const reasons = verdict.reasons.map(({ check, message }) => `${check}: ${message}`);
  return { isAccepted, kind, measurement, covers, attestationKey, reasons };
}

/** What a worker sends is no fault of this gateway's configuration: a text says what is wrong with it. */
function evidenceIn(shown: Readonly<Record<string, unknown>>): Evidence | string {
  try {
    return parseEvidence(Buffer.from(JSON.stringify(shown)), 'the registration');
  } catch (error) {
    return messageOf(error);
  }
}

function unread(why: string): MachineVerdict {
  const nothing = { measurement: undefined, covers: 'platform only', attestationKey: undefined };
  return { isAccepted: false, kind: 'none', ...nothing, reasons: [why] };
}
