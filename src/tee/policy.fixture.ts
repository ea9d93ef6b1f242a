import { type Policy, parsePolicy } from './policy.ts';

/** A policy of the given kinds; `minimumCoverage` and `devRoots` as the test needs them. */
export function policyOf(
  accept: Readonly<Record<string, unknown>>,
  rest: Readonly<Record<string, unknown>> = {},
): Policy {
  const base = { format: 'k3s-daas-tee-policy/1', mode: 'production', minimumCoverage: 'platform only' };
  return parsePolicy(JSON.stringify({ ...base, ...rest, accept }), 'the test');
}

/** Every kind, any measurement: what is left are the checks of the platforms themselves. */
export const ANYTHING = {
  nitro: { measurements: 'any' },
  nitrotpm: { measurements: 'any' },
  'sev-snp': {
    measurements: 'any',
    vlekProviders: 'any',
    minimumTcb: {
      Milan: { bootloader: 0, tee: 0, snp: 0, microcode: 0 },
      Genoa: { bootloader: 0, tee: 0, snp: 0, microcode: 0 },
      Turin: { bootloader: 0, tee: 0, snp: 0, microcode: 0 },
    },
  },
  tdx: { measurements: 'any' },
  sgx: { measurements: 'any' },
} as const;
