import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { judgeGateway, type RegisteredGateway } from './judge-gateway.ts';
import { registeredMeasurement } from './registered-measurement.ts';
import { SAMPLES, sample } from './samples.fixture.ts';
import { NOW } from './trial.fixture.ts';
import { verify } from './verify.ts';

async function judged(name: string, registered: (measurement: Buffer) => RegisteredGateway) {
  const { evidence, policy } = await sample(name);
  const { claims } = verify(evidence, policy, { nowMs: NOW });
  const measurement = claims && registeredMeasurement(evidence.kind, claims.measurements);
  if (!claims?.reportData || !measurement) throw new Error(`${name} shows no measurement`);
  const { reportData } = claims;
  return judgeGateway(evidence, {
    policy,
    nowMs: NOW,
    reportData,
    registered: registered(measurement),
  });
}

const BASIC = { tier: 'basic' } as const;
const kindOf = async (name: string) => (await sample(name)).evidence.kind;
const checks = ({ reasons }: Awaited<ReturnType<typeof judged>>) => reasons.map(({ check }) => check);

// The samples of the others carry no report data, or a hash of it.
for (const name of SAMPLES.filter((one) => /SNP|TDX|SGX/.test(one))) {
  test(`${name} is good where the chain names its kind and its measurement, or its kind alone`, async () => {
    const attestationKind = await kindOf(name);
    const exact = await judged(name, (measurement) => ({ ...BASIC, attestationKind, measurement }));
    expect([exact.accepted, checks(exact), exact.isBound]).toEqual([true, [], true]);
    const any = await judged(name, () => ({ ...BASIC, attestationKind, measurement: new Uint8Array() }));
    expect(any.accepted).toBe(true);
  });

  test(`${name} is refused where the chain names another kind, another measurement, or nothing`, async () => {
    const attestationKind = await kindOf(name);
    const other = await judged(name, (measurement) => ({
      ...BASIC,
      attestationKind,
      measurement: measurement.map((byte) => byte ^ 1),
    }));
    expect([other.accepted, checks(other)]).toEqual([false, ['measurement-not-registered']]);
    const kind = await judged(name, (measurement) => ({ ...BASIC, attestationKind: 'arm-cca', measurement }));
    expect([kind.accepted, checks(kind)]).toEqual([false, ['kind-not-registered']]);
    const none = await judged(name, (measurement) => ({ ...BASIC, attestationKind: 'none', measurement }));
    expect([none.accepted, checks(none)]).toEqual([false, ['not-registered']]);
  });
}

test('a premium gateway has to show its application, whatever the policy demands', async () => {
  const name = 'a report of SEV-SNP';
  const at = (tier: RegisteredGateway['tier']) =>
    judged(name, (measurement) => ({ attestationKind: 'sev-snp', measurement, tier }));
  expect((await at('standard')).accepted).toBe(true);
  const premium = await at('premium');
  expect([premium.accepted, checks(premium)]).toEqual([false, ['tier-not-covered']]);
});

test('what was made for another connection is refused', async () => {
  const { evidence, policy } = await sample('a report of SEV-SNP');
  const { accepted, reasons } = judgeGateway(evidence, {
    policy,
    nowMs: NOW,
    reportData: Buffer.alloc(64, 7),
    registered: { ...BASIC, attestationKind: 'sev-snp', measurement: new Uint8Array() },
  });
  expect([accepted, reasons.map(({ check }) => check)]).toEqual([false, ['report-data-mismatch']]);
});

test('the measurement of an enclave is the one that the contracts compute: SHA-256 over PCR0, PCR1 and PCR2', () => {
  const [pcr0, pcr1, pcr2] = ['01', '02', '03'].map((byte) => byte.repeat(48));
  const expected = createHash('sha256')
    .update(Buffer.from(`${pcr0}${pcr1}${pcr2}`, 'hex'))
    .digest();
  const measurements = { pcr3: 'ff'.repeat(48), pcr0: pcr0 ?? '', pcr1: pcr1 ?? '', pcr2: pcr2 ?? '' };
  expect(registeredMeasurement('nitro', measurements)).toEqual(expected);
  expect(registeredMeasurement('nitro', { pcr0: pcr0 ?? '' })).toBeUndefined();
});

test('the measurement of a TPM counts the numbers of its registers, in their order', () => {
  const [one, two] = ['aa'.repeat(32), 'bb'.repeat(32)];
  const at = (measurements: Readonly<Record<string, string>>) =>
    registeredMeasurement('tpm', measurements)?.toString('hex');
  expect(at({ pcr10: two, pcr4: one })).toBe(at({ pcr4: one, pcr10: two }));
  expect(at({ pcr4: one, pcr10: two })).not.toBe(at({ pcr4: one, pcr11: two }));
  expect(at({})).toBeUndefined();
});
