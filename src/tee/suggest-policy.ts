import type { Evidence } from './evidence.ts';
import type { Claims } from './verdict.ts';

/**
 * A policy to begin with, as JSON: production, accepting exactly what this evidence shows. An operator compares the
 * measurement with one that was computed from the image, before the policy is worth anything.
 */
export function suggestPolicy(evidence: Evidence, claims: Claims): Readonly<Record<string, unknown>> {
  return {
    format: 'k3s-daas-tee-policy/1',
    mode: 'production',
    minimumCoverage: 'platform only',
    accept: { [evidence.kind]: acceptOf(evidence, claims) },
  };
}

const NAME = 'as shown by the evidence';

function acceptOf({ kind, format = '' }: Evidence, { measurements, tcb, details }: Claims): object {
  const pcrs = (...indexes: readonly number[]) => ({
    name: NAME,
    pcrs: Object.fromEntries(
      indexes.flatMap((index) => {
        const value = measurements[`pcr${index}`];
        return value === undefined ? [] : [[String(index), value]];
      }),
    ),
  });
  switch (kind) {
    case 'nitro':
      return { measurements: [pcrs(0, 1, 2)], maxAge: '1h' };
    case 'nitrotpm':
      return { measurements: [pcrs(4, 7, 12)], maxAge: '1h' };
    case 'sev-snp':
      return {
        measurements: [{ name: NAME, measurement: measurements.measurement, covers: 'firmware only' }],
        minimumTcb: { [String(tcb?.product)]: tcb?.reported },
      };
    case 'tdx':
      return { measurements: [{ name: NAME, ...measurements }] };
    case 'sgx':
      return { measurements: [{ name: NAME, mrEnclave: measurements.mrEnclave }] };
    case 'tpm':
      return {
        attestationKeys: [details?.attestationKey],
        measurements: [pcrs(0, 2, 4, 7, 8, 9, 11)],
      };
    case 'command':
      return {
        programs: { [format]: { program: '/path/to/verifier' } },
        measurements: [{ name: NAME, measurement: measurements.measurement, covers: 'application' }],
      };
    default:
      return kind satisfies never;
  }
}
