import { asBuffer, toHex } from './bytes.ts';
import type { Evidence } from './evidence.ts';
import type { Policy } from './policy.ts';
import { registeredMeasurement } from './registered-measurement.ts';
import { coversAtLeast, type Verdict } from './verdict.ts';
import { type Circumstances, verify } from './verify.ts';

/** What the cluster on chain says of a gateway. */
export interface RegisteredGateway {
  /** `none`, or the kind of evidence that it has to show. */
  readonly attestationKind: string;
  /** Empty: any that the policy accepts. */
  readonly measurement: Uint8Array;
  readonly tier: 'basic' | 'standard' | 'premium';
}

/** Why a gateway is not the one that the chain names; docs/attestation.md lists them. */
export type RegistrationCheck =
  | 'not-registered'
  | 'kind-not-registered'
  | 'measurement-not-registered'
  | 'tier-not-covered';

/** A premium gateway shows what it runs itself, not only on which platform. */
const LEAST_COVERAGE = { basic: 'platform only', standard: 'platform only', premium: 'application' } as const;

export interface GatewayVerdict extends Omit<Verdict, 'reasons'> {
  readonly reasons: ReadonlyArray<{ readonly check: string; readonly message: string }>;
}

/**
 * Judges the evidence of a gateway: by the policy of the one who asks, bound to the report data of this connection, and against
 * what the proven cluster object names. Pure, as `verify`.
 */
export function judgeGateway(
  evidence: Evidence,
  { policy, registered, ...circumstances }: GatewayCircumstances,
): GatewayVerdict {
  const verdict = verify(evidence, policy, circumstances);
  const reasons = [...verdict.reasons, ...registrationFaults(evidence, verdict, registered)];
  return { ...verdict, reasons, accepted: verdict.accepted && reasons.length === 0 };
}

export interface GatewayCircumstances extends Circumstances {
  readonly reportData: Uint8Array;
  readonly policy: Policy;
  readonly registered: RegisteredGateway;
}

interface Fault {
  readonly check: RegistrationCheck;
  readonly message: string;
}

function registrationFaults(
  { kind }: Evidence,
  { claims, covers }: Verdict,
  { attestationKind, measurement, tier }: RegisteredGateway,
): readonly Fault[] {
  if (attestationKind === 'none')
    return [{ check: 'not-registered', message: 'the chain names no kind of evidence for this gateway' }];
  if (attestationKind !== kind)
    return [
      {
        check: 'kind-not-registered',
        message: `the chain names '${attestationKind}', the evidence is '${kind}'`,
      },
    ];
  const least = LEAST_COVERAGE[tier];
  if (claims && !coversAtLeast(covers, least))
    return [
      {
        check: 'tier-not-covered',
        message: `what was measured covers: ${covers}; a gateway of the tier ${tier} has to show: ${least}`,
      },
    ];
  if (measurement.length === 0 || !claims) return [];
  const shown = registeredMeasurement(kind, claims.measurements);
  if (shown && asBuffer(measurement).equals(shown)) return [];
  const message = `the chain names the measurement ${toHex(measurement)}, the evidence shows ${shown ? toHex(shown) : 'none'}`;
  return [{ check: 'measurement-not-registered', message }];
}
