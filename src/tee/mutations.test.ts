import { expect, test } from 'vitest';
import { devQuote } from './dev-intel.ts';
import { devNitro } from './dev-nitro.ts';
import { devSnp } from './dev-snp.ts';
import { devTpm } from './dev-tpm.ts';
import type { Evidence, EvidenceKind } from './evidence.ts';
import { isSame, mutated, randomFrom } from './mutation.fixture.ts';
import { ANYTHING, policyOf } from './policy.fixture.ts';
import { devPolicy, NOW } from './trial.fixture.ts';
import { verify } from './verify.ts';

const COUNT = Number(process.env.K3S_DAAS_TEST_TEE_MUTATIONS ?? 500);
const SEED = Number(process.env.K3S_DAAS_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const title = `with a few bytes changed is never accepted, and breaks nothing (${COUNT} times, K3S_DAAS_TEST_SEED=${SEED})`;
const timeout = 20_000 + 60 * COUNT;

type Made = Evidence & { readonly root?: Buffer; readonly keyName?: string };
const made: Readonly<Record<string, () => Promise<Made>>> = {
  'a document of Nitro': () => devNitro({ nowMs: NOW }),
  'a document of NitroTPM': () => devNitro({ nowMs: NOW, kind: 'nitrotpm' }),
  'a report of SEV-SNP': () => devSnp({ nowMs: NOW, product: 'Turin', version: 5 }),
  'a quote of TDX, version 4': () => devQuote({ nowMs: NOW, version: 4 }),
  'a quote of TDX, version 5': () => devQuote({ nowMs: NOW, version: 5 }),
  'a quote of SGX': () => devQuote({ nowMs: NOW, version: 3 }),
  'a quote of a TPM': async () => devTpm(),
};

test.each(Object.entries(made))(`%s ${title}`, { timeout }, async (_, make) => {
  const evidence = await make();
  const { kind, root, keyName } = evidence;
  const accept = kind === 'tpm' ? { attestationKeys: [keyName], measurements: 'any' } : lenient(kind);
  const policy = devPolicy(kind, accept, root, 'platform only');
  expect(verify(evidence, policy, { nowMs: NOW }).reasons).toEqual([]);
  const random = randomFrom(SEED);
  const accepted: string[] = [];
  for (let round = 0; round < COUNT; round += 1) {
    const changed = mutated(evidence, random);
    const verdict = verify(changed, policy, { nowMs: NOW });
    if (verdict.accepted && !isSame(changed, evidence)) accepted.push(`round ${round}`);
  }
  expect(accepted).toEqual([]);
});

function lenient(kind: EvidenceKind): Readonly<Record<string, unknown>> {
  return (ANYTHING as Readonly<Record<string, Readonly<Record<string, unknown>>>>)[kind] ?? {};
}

test(`any answer of an operator’s program is judged without breaking (K3S_DAAS_TEST_SEED=${SEED})`, {
  timeout,
}, () => {
  const policy = policyOf({ command: { programs: { cca: { program: '/bin/true' } }, measurements: 'any' } });
  const answer = Buffer.from(
    JSON.stringify({
      accepted: true,
      platform: 'x',
      measurement: 'y',
      covers: 'application',
      reportData: null,
    }),
  );
  const evidence: Evidence = { kind: 'command', format: 'cca', bytes: answer, collateral: [] };
  const random = randomFrom(SEED);
  for (let round = 0; round < COUNT; round += 1) {
    const output = Buffer.from(mutated(evidence, random).bytes).toString();
    const verdict = verify(evidence, policy, { nowMs: NOW, outcome: { kind: 'answered', output } });
    expect(verdict.accepted).toBe(verdict.reasons.length === 0);
  }
});
