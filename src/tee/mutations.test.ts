import { expect, test } from 'vitest';
import { seededRandom } from '#testing';
import { asBuffer } from './bytes.ts';
import { pemOf, readCertificate } from './certificate.ts';
import { issue } from './dev-chain.ts';
import type { Evidence } from './evidence.ts';
import { isSame, mutated } from './mutation.fixture.ts';
import { policyOf } from './policy.fixture.ts';
import { SAMPLES, sample } from './samples.fixture.ts';
import { NOW } from './trial.fixture.ts';
import { verify } from './verify.ts';

const COUNT = Number(process.env.K3S_DAAS_TEST_TEE_MUTATIONS ?? 400);
const SEED = Number(process.env.K3S_DAAS_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const timeout = 60_000 + 60 * COUNT;

test.each(SAMPLES)(
  `%s with a few bytes changed is never accepted, and breaks nothing (${COUNT} times, K3S_DAAS_TEST_SEED=${SEED})`,
  { timeout },
  async (name) => {
    const { evidence, policy } = await sample(name);
    expect(verify(evidence, policy, { nowMs: NOW }).reasons).toEqual([]);
    const random = seededRandom(SEED);
    const accepted: number[] = [];
    for (let round = 0; round < COUNT; round += 1) {
      const changed = mutated(evidence, random);
      const verdict = verify(changed, policy, { nowMs: NOW });
      if (verdict.accepted && !isSame(changed, evidence)) accepted.push(round);
    }
    expect(accepted).toEqual([]);
  },
);

/** The one form of a name that no vendor uses, and that any attacker can put into a chain. */
async function namelessCertificate(): Promise<Buffer> {
  return (await issue({ nowMs: NOW, name: '', algorithm: 'P-256', isCa: false })).certificate;
}

test('a certificate whose subject is empty is read, and has no name', async () => {
  expect(readCertificate(await namelessCertificate()).name).toBe('');
});

test.each(['a report of SEV-SNP', 'a quote of TDX, version 4'])(
  '%s with a certificate whose subject is empty is refused, and breaks nothing',
  async (name) => {
    const { evidence, policy } = await sample(name);
    const nameless = await namelessCertificate();
    for (const [changed, item] of evidence.collateral.entries()) {
      const issuerChain = item.issuerChain === undefined ? undefined : pemOf(nameless);
      const content = issuerChain === undefined ? nameless : asBuffer(item.content);
      const collateral = evidence.collateral.with(changed, { ...item, content, issuerChain });
      expect(verify({ ...evidence, collateral }, policy, { nowMs: NOW }).accepted).toBe(false);
    }
  },
);

test(`any answer of an operator’s program is judged without breaking (K3S_DAAS_TEST_SEED=${SEED})`, () => {
  const policy = policyOf({ command: { programs: { cca: { program: '/bin/true' } }, measurements: 'any' } });
  const answer = { accepted: true, platform: 'x', measurement: 'y', covers: 'application', reportData: null };
  const bytes = Buffer.from(JSON.stringify(answer));
  const evidence: Evidence = { kind: 'command', format: 'cca', bytes, collateral: [] };
  const random = seededRandom(SEED);
  for (let round = 0; round < COUNT; round += 1) {
    const output = Buffer.from(mutated(evidence, random).bytes).toString();
    const verdict = verify(evidence, policy, { nowMs: NOW, outcome: { kind: 'answered', output } });
    expect(verdict.accepted).toBe(verdict.reasons.length === 0);
  }
});
