import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { devNitro } from './dev-nitro.ts';
import { devSnp } from './dev-snp.ts';
import { formatEvidence } from './evidence-file.ts';
import { nitroTpmProvider } from './provide-nitrotpm.ts';
import { nitroProvider, programProvider } from './provide-program.ts';
import { NOW, REPORT_DATA } from './trial.fixture.ts';

const signal = AbortSignal.timeout(60_000);
let directory: string;
let program: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tee-provide-'));
  program = join(directory, 'make');
});
afterEach(() => rm(directory, { recursive: true }));

async function script(text: string, path = program, mode = 0o755): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${text}\n`);
  await chmod(path, mode);
}

test('a program gets the report data and hands evidence out in any form that files have', async () => {
  const made = await devSnp({ nowMs: NOW, reportData: REPORT_DATA });
  const hex = Buffer.from(made.bytes).toString('hex');
  await script(`read -r question; echo "$question" >${directory}/question; echo ${hex}`);
  const { evidence } = await programProvider({ program }).provide(REPORT_DATA, signal);
  expect(evidence.kind).toBe('sev-snp');
  expect(Buffer.from(evidence.bytes).equals(Buffer.from(made.bytes))).toBe(true);
  const list = { name: 'crl', content: Buffer.alloc(300_000) } as const;
  await writeFile(
    join(directory, 'evidence'),
    formatEvidence({ ...made, collateral: [...made.collateral, list] }),
  );
  await script(`cat ${directory}/evidence`);
  const whole = await programProvider({ program }).provide(REPORT_DATA, signal);
  expect(whole.evidence.collateral).toHaveLength(made.collateral.length + 1);
});

test('evidence of another request, or none, is not passed on', async () => {
  const { bytes } = await devSnp({ nowMs: NOW, reportData: Buffer.alloc(64, 9) });
  await script(`echo ${Buffer.from(bytes).toString('hex')}`);
  const provider = programProvider({ program });
  await expect(provider.provide(REPORT_DATA, signal)).rejects.toThrow('does not carry the report data');
  await script('echo no enclave >&2; exit 4');
  await expect(provider.provide(REPORT_DATA, signal)).rejects.toMatchObject({
    code: 'DAAS_TEE_DEVICE_FAILED',
    message: expect.stringContaining('it ended with 4: no enclave') as string,
  });
  await script('echo evidence', program, 0o777);
  await expect(provider.provide(REPORT_DATA, signal)).rejects.toMatchObject({ code: 'DAAS_FILE_UNTRUSTED' });
  await expect(programProvider({ program: undefined }).provide(REPORT_DATA, signal)).rejects.toMatchObject({
    code: 'DAAS_TEE_DEVICE_MISSING',
  });
});

test('a Nitro enclave is known by its device, and asked by the program', async () => {
  const { bytes } = await devNitro({ nowMs: NOW, userData: REPORT_DATA });
  await writeFile(join(directory, 'document'), bytes);
  await script(`cat ${directory}/document`);
  expect((await nitroProvider(program, join(directory, 'nsm')).find()).isHere).toBe(false);
  await writeFile(join(directory, 'nsm'), '');
  expect(await nitroProvider(undefined, join(directory, 'nsm')).find()).toMatchObject({
    isHere: false,
    what: expect.stringContaining('--program') as string,
  });
  const provider = nitroProvider(program, join(directory, 'nsm'));
  expect((await provider.find()).isHere).toBe(true);
  expect((await provider.provide(REPORT_DATA, signal)).evidence.kind).toBe('nitro');
});

test('an instance with NitroTPM is asked by AWS’ program, which reads the report data from a file', async () => {
  const { bytes } = await devNitro({ nowMs: NOW, kind: 'nitrotpm', userData: REPORT_DATA });
  await writeFile(join(directory, 'document'), bytes);
  await writeFile(join(directory, 'wanted'), REPORT_DATA);
  const provider = nitroTpmProvider([directory]);
  expect((await provider.find()).isHere).toBe(false);
  await expect(provider.provide(REPORT_DATA, signal)).rejects.toMatchObject({
    code: 'DAAS_TEE_DEVICE_MISSING',
  });
  await script(
    `[ "$1" = --user-data ] && cmp -s "$2" ${directory}/wanted && cat ${directory}/document`,
    join(directory, 'nitro-tpm-attest'),
  );
  expect((await provider.find()).isHere).toBe(true);
  const { evidence } = await provider.provide(REPORT_DATA, signal);
  expect(evidence.kind).toBe('nitrotpm');
  await expect(provider.provide(Buffer.alloc(64), signal)).rejects.toMatchObject({
    code: 'DAAS_TEE_DEVICE_FAILED',
  });
});
