import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Evidence } from './evidence.ts';
import { policyOf } from './policy.fixture.ts';
import { tpmProvider } from './provide-tpm.ts';
import { AK_HANDLE, missingTpmPrograms, type SoftTpm, startSwtpm, tpmNeeds } from './swtpm.fixture.ts';
import { verify } from './verify.ts';

/** Quotes of a TPM as the industry's own tools make them: TPM 2.0 in software (swtpm), and tpm2-tools. */
const REPORT_DATA = Buffer.alloc(64, 0xcd);
const PCRS = [0, 4, 11];

describe.skipIf(missingTpmPrograms.length > 0)(`a TPM in software${tpmNeeds}`, () => {
  let tpm: SoftTpm;
  beforeAll(async () => {
    tpm = await startSwtpm();
    for (const index of PCRS) await tpm.extend(index, `1${index.toString(16).padStart(63, '0')}`);
  }, 60_000);
  afterAll(() => tpm?.[Symbol.asyncDispose]());

  async function quoted(algorithm: 'ecc' | 'rsa'): Promise<{ evidence: Evidence; name: string }> {
    const name = await tpm.makeKey(algorithm);
    try {
      const { evidence } = await provider().provide(REPORT_DATA, AbortSignal.timeout(60_000));
      return { evidence, name };
    } finally {
      await tpm.tool('tpm2_evictcontrol', '-Q', '-c', AK_HANDLE);
    }
  }

  const provider = (attestationKey: string | undefined = AK_HANDLE) =>
    tpmProvider({ attestationKey, pcrs: PCRS, tcti: tpm.tcti });

  test.each(['ecc', 'rsa'] as const)(
    'a quote by an %s key is accepted for its key, its PCRs and its report data',
    { timeout: 60_000 },
    async (algorithm) => {
      const { evidence, name } = await quoted(algorithm);
      const seen = verify(evidence, policyOf({ tpm: { attestationKeys: [name], measurements: 'any' } }), {
        nowMs: 0,
      });
      const measured = seen.claims?.measurements ?? {};
      const pcrs = Object.fromEntries(PCRS.map((index) => [index, measured[`pcr${index}`]]));
      const policy = policyOf(
        { tpm: { attestationKeys: [name], measurements: [{ name: 'this machine', pcrs }] } },
        { minimumCoverage: 'firmware, kernel, initrd' },
      );
      expect(verify(evidence, policy, { nowMs: 0, reportData: REPORT_DATA })).toMatchObject({
        accepted: true,
        reasons: [],
        measurement: 'this machine',
        covers: 'firmware, kernel, initrd',
      });
      const other = verify(evidence, policy, { nowMs: 0, reportData: Buffer.alloc(64) });
      expect(other.reasons.map(({ check }) => check)).toEqual(['report-data-mismatch']);
    },
  );

  test('after something else was measured, the quote is of another machine', {
    timeout: 60_000,
  }, async () => {
    const before = await quoted('ecc');
    const first = verify(
      before.evidence,
      policyOf({ tpm: { attestationKeys: [before.name], measurements: 'any' } }),
      { nowMs: 0 },
    );
    await tpm.extend(4, '77'.repeat(32));
    const after = await quoted('ecc');
    const pcrs = { 4: first.claims?.measurements.pcr4 };
    const policy = policyOf({
      tpm: { attestationKeys: [before.name, after.name], measurements: [{ name: 'before', pcrs }] },
    });
    expect(verify(before.evidence, policy, { nowMs: 0 }).reasons).toEqual([]);
    expect(verify(after.evidence, policy, { nowMs: 0 }).reasons.map(({ check }) => check)).toEqual([
      'measurement-unknown',
    ]);
  });

  test('a key that is not there, or is none, makes no evidence', { timeout: 60_000 }, async () => {
    const signal = AbortSignal.timeout(60_000);
    await expect(provider().provide(REPORT_DATA, signal)).rejects.toMatchObject({
      code: 'DAAS_TEE_DEVICE_FAILED',
      message: expect.stringContaining('tpm2_readpublic failed') as string,
    });
    expect(await provider().find()).toMatchObject({ isHere: true });
    await expect(provider('--help').provide(REPORT_DATA, signal)).rejects.toMatchObject({
      code: 'DAAS_TEE_DEVICE_MISSING',
      message: expect.stringContaining('is no attestation key') as string,
    });
  });
});
