import type { Evidence } from './evidence.ts';
import { type Policy, parsePolicy } from './policy.ts';
import { runCommand } from './run-command.ts';
import { attestationKeyOf } from './tpm.ts';
import type { Verdict } from './verdict.ts';
import { verify } from './verify.ts';

const anyMeasurement = { measurements: 'any' };
const ZERO = { fmc: 0, bootloader: 0, tee: 0, snp: 0, microcode: 0 };

export interface LookOptions {
  readonly nowMs: number;
  /** The program that reads evidence of the kind `command`. */
  readonly program?: string | undefined;
  /** SHA-256 of the root of a stand-in, hexadecimal. */
  readonly devRoot?: string | undefined;
}

/** Demands as little as a policy can: what it still refuses is wrong with the evidence itself. */
function mostLenient({ bytes, format }: Evidence, { program, devRoot }: LookOptions): Policy {
  return parsePolicy(
    JSON.stringify({
      format: 'k3s-daas-tee-policy/1',
      ...(devRoot === undefined ? { mode: 'production' } : { mode: 'dev', devRoots: [devRoot] }),
      minimumCoverage: 'platform only',
      accept: {
        nitro: { ...anyMeasurement, maxAge: '24h' },
        nitrotpm: { ...anyMeasurement, maxAge: '24h' },
        'sev-snp': {
          ...anyMeasurement,
          minimumTcb: { Milan: ZERO, Genoa: ZERO, Turin: ZERO },
          maxVmpl: 3,
          vlekProviders: 'any',
          revocation: 'when-present',
          maxCollateralAge: '9999d',
        },
        tdx: { ...anyMeasurement, maxCollateralAge: '9999d', maxRootCrlAge: '9999d' },
        sgx: { ...anyMeasurement, maxCollateralAge: '9999d', maxRootCrlAge: '9999d' },
        // Its own key: whether that key counts is a decision that nothing in the evidence can take.
        tpm: { ...anyMeasurement, attestationKeys: [attestationKeyOf(bytes) ?? '00'.repeat(34)] },
        command: {
          ...anyMeasurement,
          programs: format === undefined || program === undefined ? {} : { [format]: { program } },
        },
      },
    }),
    'the built-in policy',
  );
}

/** What evidence shows, and what is wrong with it whatever a policy says. For people; nothing may be admitted by it. */
export async function look(evidence: Evidence, options: LookOptions): Promise<Verdict> {
  const { nowMs } = options;
  const policy = mostLenient(evidence, options);
  const outcome = evidence.kind === 'command' ? await runCommand(evidence, policy, { nowMs }) : undefined;
  return verify(evidence, policy, { nowMs, outcome });
}
