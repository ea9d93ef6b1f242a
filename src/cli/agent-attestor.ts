import { type Attestor, notAttested, type ShownEvidence } from '#api';
import { type Clock, ConfigurationError, messageOf } from '#base';
import { readTrustedText } from '#infrastructure';
import type { Policy } from '#tee';
import { type Loaded, pathOf, rowOf } from './settings.ts';

/**
 * Judges what gateways run, by the policy of `attestation.policyFile`; `undefined`: `teeMode` is none.
 * @throws `DAAS_TEE_POLICY_MISSING`, `DAAS_TEE_POLICY_INVALID`
 */
export async function openAttestor(
  settings: Loaded,
  { chainId, clock }: { readonly chainId: string; readonly clock: Clock },
): Promise<Attestor | undefined> {
  const { teeMode, attestation } = settings.value;
  if (teeMode === 'none') return undefined;
  const file = pathOf(settings, 'attestation.policyFile');
  const { origin } = rowOf(settings, 'teeMode');
  if (file === undefined)
    throw new ConfigurationError(
      'DAAS_TEE_POLICY_MISSING',
      `teeMode is ${teeMode} (${origin}), and nothing says which gateways are good: set attestation.policyFile to a policy. \`k3s-daas tee policy EVIDENCE\` writes one to begin with`,
      { details: { teeMode } },
    );
  const tee = await import('#tee');
  // It decides whom this machine trusts, and which programs it runs: others must not be able to write it.
  const text = await readTrustedText(file, {
    what: 'the attestation policy',
    origin: 'attestation.policyFile',
  });
  const policy = tee.parsePolicy(text, file);
  if (policy.mode !== teeMode)
    throw new ConfigurationError(
      'DAAS_TEE_POLICY_MISSING',
      `teeMode is ${teeMode} (${origin}), and the policy ${file} has the mode ${policy.mode}: name a policy of the mode ${teeMode}`,
      { details: { teeMode, file } },
    );
  return {
    maxAgeMs: attestation.maxAgeMs,
    judge: (shown) => judge(tee, { policy, chainId, nowMs: clock.nowMs() }, shown),
  };
}

type Tee = typeof import('#tee');

interface Judging {
  readonly policy: Policy;
  readonly chainId: string;
  readonly nowMs: number;
}

async function judge(
  tee: Tee,
  { policy, chainId, nowMs }: Judging,
  { gateway, spki, nonce, evidence: shown }: ShownEvidence,
): Promise<void> {
  const evidence = parsed(() => tee.parseEvidence(Buffer.from(JSON.stringify(shown)), gateway.url));
  if (!evidence.isRead) throw notAttested(gateway, evidence.why);
  const reportData = tee.reportDataOf({ spki, gatewayId: gateway.id, chainId, nonce });
  const outcome =
    evidence.value.kind === 'command'
      ? await tee.runCommand(evidence.value, policy, { nowMs, reportData })
      : undefined;
  const { accepted, reasons } = tee.judgeGateway(evidence.value, {
    policy,
    nowMs,
    reportData,
    outcome,
    registered: gateway,
  });
  if (!accepted)
    throw notAttested(gateway, reasons.map(({ check, message }) => `${check}: ${message}`).join('; '));
}

type Parsed<T> =
  | { readonly isRead: true; readonly value: T }
  | { readonly isRead: false; readonly why: string };

/** What a gateway sends is no fault of this machine's configuration. */
function parsed<T>(read: () => T): Parsed<T> {
  try {
    return { isRead: true, value: read() };
  } catch (error) {
    return { isRead: false, why: messageOf(error) };
  }
}
