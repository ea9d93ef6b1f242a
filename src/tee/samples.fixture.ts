import { devQuote } from './dev-intel.ts';
import { devNitro } from './dev-nitro.ts';
import { devSnp } from './dev-snp.ts';
import { devTpm } from './dev-tpm.ts';
import type { Evidence, EvidenceKind } from './evidence.ts';
import { ANYTHING } from './policy.fixture.ts';
import type { Policy } from './policy.ts';
import { devPolicy, NOW } from './trial.fixture.ts';

/** Evidence of the development PKI with a policy by which it is accepted at `NOW`, whatever it measures. */
export interface Sample {
  readonly name: string;
  readonly evidence: Evidence;
  readonly policy: Policy;
}

type Made = Evidence & { readonly root?: Buffer; readonly keyName?: string };

const makers: Readonly<Record<string, () => Promise<Made>>> = {
  'a document of Nitro': () => devNitro({ nowMs: NOW }),
  'a document of NitroTPM': () => devNitro({ nowMs: NOW, kind: 'nitrotpm' }),
  'a report of SEV-SNP': () => devSnp({ nowMs: NOW, product: 'Turin', version: 5 }),
  'a report of SEV-SNP by a VLEK': () => devSnp({ nowMs: NOW, signer: 'VLEK' }),
  'a quote of TDX, version 4': () => devQuote({ nowMs: NOW, version: 4 }),
  'a quote of TDX, version 5': () => devQuote({ nowMs: NOW, version: 5 }),
  'a quote of SGX': () => devQuote({ nowMs: NOW, version: 3 }),
  'a quote of a TPM': async () => devTpm(),
};

export const SAMPLES: readonly string[] = Object.keys(makers);

export async function sample(name: string): Promise<Sample> {
  const make = makers[name];
  if (!make) throw new Error(`no sample is called '${name}'`);
  const evidence = await make();
  const { kind, root, keyName } = evidence;
  const accept = kind === 'tpm' ? { attestationKeys: [keyName], measurements: 'any' } : lenient(kind);
  return { name, evidence, policy: devPolicy(kind, accept, root, 'platform only') };
}

function lenient(kind: EvidenceKind): Readonly<Record<string, unknown>> {
  return (ANYTHING as Readonly<Record<string, Readonly<Record<string, unknown>>>>)[kind] ?? {};
}
