import { DaasError, EXIT } from '#base';
import type { Evidence } from './evidence.ts';
import { TPM_PCRS } from './tpm.ts';
import type { Claims } from './verdict.ts';

/**
 * A policy to begin with, as JSON: production, accepting exactly what this evidence shows. An operator compares the
 * measurement with one that was computed from the image, before the policy is worth anything.
 * @param options `program`: what reads evidence of the kind `command`; `devRoot`: SHA-256 of a stand-in's root, for the mode `dev`
 * @throws DaasError `DAAS_TEE_EVIDENCE_REFUSED`, when nothing was measured that a policy could name
 */
export function suggestPolicy(
  evidence: Evidence,
  claims: Claims,
  { program, devRoot }: { readonly program?: string | undefined; readonly devRoot?: string | undefined } = {},
): Readonly<Record<string, unknown>> {
  return {
    format: 'k3s-daas-tee-policy/1',
    ...(devRoot === undefined ? { mode: 'production' } : { mode: 'dev', devRoots: [devRoot] }),
    minimumCoverage: 'platform only',
    accept: { [evidence.kind]: acceptOf(evidence, claims, program) },
  };
}

const NAME = 'as shown by the evidence';

function acceptOf(
  { kind, format = '' }: Evidence,
  { measurements, tcb, details }: Claims,
  program: string | undefined,
): object {
  const pcrs = (...indexes: readonly number[]) => measuredPcrs(measurements, indexes);
  switch (kind) {
    case 'nitro':
      return { measurements: [pcrs(0, 1, 2)], maxAge: '1h' };
    case 'nitrotpm':
      return { measurements: [pcrs(4, 7, 12)], maxAge: '1h' };
    case 'sev-snp':
      return {
        measurements: [{ name: NAME, measurement: measurements.measurement, covers: 'firmware only' }],
        minimumTcb: { [String(tcb?.product)]: tcb?.reported },
        ...(details?.vlekProvider !== undefined && { vlekProviders: [details.vlekProvider] }),
        ...(Number(details?.vmpl) > 0 && { maxVmpl: details?.vmpl }),
      };
    case 'tdx':
      return { measurements: [{ name: NAME, ...measurements }] };
    case 'sgx':
      return { measurements: [{ name: NAME, mrEnclave: measurements.mrEnclave }] };
    case 'tpm':
      return {
        attestationKeys: [details?.attestationKey],
        measurements: [pcrs(...TPM_PCRS)],
      };
    case 'command':
      return {
        programs: { [format]: { program } },
        measurements: [{ name: NAME, measurement: measurements.measurement, covers: details?.covers }],
      };
    default:
      return kind satisfies never;
  }
}

/** Of the registers those that something was measured into: a policy that names another one accepts nothing. */
function measuredPcrs(measurements: Claims['measurements'], indexes: readonly number[]): object {
  const measured = indexes.flatMap((index): [string, string][] => {
    const value = measurements[`pcr${index}`];
    return value === undefined || /^(?:0+|f+)$/.test(value) ? [] : [[String(index), value]];
  });
  if (measured.length > 0) return { name: NAME, pcrs: Object.fromEntries(measured) };
  throw new DaasError(
    'DAAS_TEE_EVIDENCE_REFUSED',
    `no policy can name what this evidence measures: it shows no value of PCR ${indexes.join(', ')}`,
    { exitCode: EXIT.unexpected, details: { registers: indexes } },
  );
}
