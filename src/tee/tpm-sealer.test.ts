import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Secret } from '#base';
import { missingTpmPrograms, type SoftTpm, startSwtpm, tpmNeeds } from './swtpm.fixture.ts';
import { tpmSealer } from './tpm-sealer.ts';

const SEED = 'ab'.repeat(32);
const withinMs = { timeout: 60_000 };

test('without a TPM nothing is sealed, and the error says what is missing', async () => {
  await expect(
    tpmSealer({ pcrs: [7], directories: [], tcti: 'none' }).seal(new Secret(SEED)),
  ).rejects.toMatchObject({
    code: 'DAAS_TEE_DEVICE_MISSING',
  });
});

test('what another program wrote is not opened', async () => {
  await expect(tpmSealer({ pcrs: [7] }).open({ by: 'somebody' })).rejects.toMatchObject({
    code: 'DAAS_NODE_KEY_NOT_OPENED',
  });
});

describe.skipIf(missingTpmPrograms.length > 0)(`secrets that a TPM in software seals${tpmNeeds}`, () => {
  let tpm: SoftTpm;
  let other: SoftTpm;
  beforeAll(async () => {
    [tpm, other] = await Promise.all([startSwtpm(), startSwtpm()]);
  }, 60_000);
  afterAll(async () => {
    await tpm?.[Symbol.asyncDispose]();
    await other?.[Symbol.asyncDispose]();
  });
  const sealer = (pcrs: readonly number[], { tcti }: SoftTpm = tpm) => tpmSealer({ pcrs, tcti });

  test(
    'a secret comes back on the machine that sealed it, and its file does not show it',
    withinMs,
    async () => {
      const sealed = await sealer([7, 0]).seal(new Secret(SEED));
      expect(sealed).toMatchObject({ by: 'tpm', pcrs: [0, 7] });
      expect(Buffer.from(JSON.stringify(sealed)).includes(SEED)).toBe(false);
      expect((await sealer([7]).open(sealed)).reveal()).toBe(SEED);
    },
  );

  test('another TPM does not open it', withinMs, async () => {
    const sealed = await sealer([]).seal(new Secret(SEED));
    await expect(sealer([], other).open(sealed)).rejects.toMatchObject({
      code: 'DAAS_NODE_KEY_NOT_OPENED',
      message: expect.stringContaining('another TPM') as string,
    });
  });

  test(
    'after something else was measured it does not open, unless it is sealed to no register',
    withinMs,
    async () => {
      const bound = await sealer([14]).seal(new Secret(SEED));
      const free = await sealer([]).seal(new Secret(SEED));
      await tpm.extend(14, '77'.repeat(32));
      await expect(sealer([14]).open(bound)).rejects.toMatchObject({
        code: 'DAAS_NODE_KEY_NOT_OPENED',
        message: expect.stringContaining('PCR14') as string,
      });
      expect((await sealer([14]).open(free)).reveal()).toBe(SEED);
      expect([sealer([14]).isCurrent(bound), sealer([14]).isCurrent(free)]).toEqual([true, false]);
    },
  );

  test('the policy of its registers cannot be gone round by an empty password', withinMs, async () => {
    const sealed = (await sealer([7]).seal(new Secret(SEED))) as { public: string; private: string };
    for (const part of ['public', 'private'] as const)
      await writeFile(join(tpm.directory, part), Buffer.from(sealed[part], 'base64'));
    await tpm.tool('tpm2_createprimary', '-Q', '-C', 'o', '-g', 'sha256', '-G', 'ecc', '-c', 'parent');
    await tpm.tool('tpm2_flushcontext', '-t');
    await tpm.tool('tpm2_load', '-Q', '-C', 'parent', '-u', 'public', '-r', 'private', '-c', 'object');
    await tpm.tool('tpm2_flushcontext', '-t');
    await expect(tpm.tool('tpm2_unseal', '-c', 'object')).rejects.toThrow();
  });
});
