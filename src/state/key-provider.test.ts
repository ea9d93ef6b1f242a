import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type SealingPrograms, sealingPrograms } from '#testing';
import type { DerivedKeySource } from './derived-keys.ts';
import { addKey, openKeyRing } from './key-ring.ts';
import type { KmsKeySource } from './kms-keys.ts';

let directory: string;
let programs: SealingPrograms;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'providers-'));
  programs = await sealingPrograms(directory);
  await programs.measure('version-1');
  await programs.allow('version-1');
});
afterEach(() => rm(directory, { recursive: true }));

const derived = (changes: Partial<DerivedKeySource> = {}): { snp: DerivedKeySource } => ({
  snp: {
    program: programs.snpguest,
    idsFile: join(directory, 'ids'),
    rootKey: 'vcek',
    mix: ['guestPolicy', 'measurement'],
    guestSvn: 0,
    vmpl: 0,
    ...changes,
  },
});
const kms = (changes: Partial<KmsKeySource> = {}): { kms: KmsKeySource } => ({
  kms: {
    program: programs.kmstool,
    file: join(directory, 'encrypted'),
    region: 'eu-central-1',
    keyId: 'alias/k3s-daas',
    proxyPort: 8000,
    credentialsFile: programs.credentialsFile,
    ...changes,
  },
});
const keyOf = async (source: Parameters<typeof openKeyRing>[0], id?: string) => {
  const ring = await openKeyRing(source);
  return (id === undefined ? ring.current() : ring.find(id))?.key.export().toString('hex');
};

test('SEV-SNP derives a key for each id: the same at each start, another for each id', async () => {
  const first = await addKey(derived(), 0);
  const key = await keyOf(derived());
  expect(key).toMatch(/^[0-9a-f]{64}$/);
  expect(await keyOf(derived())).toBe(key);
  const second = await addKey(derived(), 0);
  expect(second?.ids).toEqual([expect.any(String), ...(first?.ids ?? [])]);
  expect(await keyOf(derived())).not.toBe(key);
  expect(await keyOf(derived(), first?.ids[0])).toBe(key);
  // What is on the disk are names of keys, and checks of them.
  const onDisk = await readFile(join(directory, 'ids'), 'utf8');
  expect(onDisk.trim().split('\n')).toEqual(
    second?.ids.map((id) => expect.stringMatching(new RegExp(`^${id} [\\w-]{16}$`)) as string),
  );
  await expect(stat(dirname(await readFile(programs.keyPath, 'utf8')))).rejects.toMatchObject({
    code: 'ENOENT',
  });
});

test('other code gets no key where the measurement is mixed in, and is not told that the state is forged', async () => {
  await addKey(derived(), 0);
  const key = await keyOf(derived());
  await programs.measure('version-2');
  await expect(openKeyRing(derived())).rejects.toMatchObject({
    code: 'DAAS_STATE_KEYS_INVALID',
    message: expect.stringMatching(/derives another key .* Move the state by a key that both get/) as string,
  });
  // A new key beside it would shut the earlier code out, too.
  await expect(addKey(derived(), 0)).rejects.toMatchObject({ code: 'DAAS_STATE_KEYS_INVALID' });
  await programs.measure('version-1');
  expect(await keyOf(derived())).toBe(key);
});

test('newer code gets the keys of older code where its security version is mixed in', async () => {
  const ofVersion = (guestSvn: number) =>
    derived({
      mix: ['imageId', 'familyId', 'guestSvn'],
      guestSvn,
      idsFile: join(directory, `ids-${guestSvn}`),
    });
  await addKey(ofVersion(4), 0);
  const key = await keyOf(ofVersion(4));
  await programs.measure('version-2');
  await addKey(ofVersion(5), 0);
  const ring = await openKeyRing({ ...ofVersion(5), earlier: [ofVersion(4)] });
  expect(ring.ids()).toHaveLength(2);
  expect(
    ring
      .find(ring.ids()[1] ?? '')
      ?.key.export()
      .toString('hex'),
  ).toBe(key);
});

test('a guest does not get the keys of a later security version', async () => {
  const later = derived({ mix: ['guestSvn'], guestSvn: 6 });
  await expect(addKey(later, 0)).rejects.toMatchObject({
    code: 'DAAS_STATE_KEYS_INVALID',
    message: expect.stringMatching(/snpguest derives no key: .*Failed to request derived key/) as string,
  });
});

test('ids that are missing or wrong are refused, and a program that is not there', async () => {
  await expect(openKeyRing(derived())).rejects.toThrow(/ids cannot be read/);
  await writeFile(join(directory, 'ids'), 'a b\n', { mode: 0o600 });
  await expect(openKeyRing(derived())).rejects.toThrow(/line 1 is not/);
  await rm(join(directory, 'ids'));
  await addKey(derived(), 0);
  await expect(openKeyRing(derived({ program: join(directory, 'none') }))).rejects.toMatchObject({
    exitCode: 78,
  });
});

test('KMS makes a key and opens it at each start, once while a gateway runs', async () => {
  const first = await addKey(kms(), 0);
  const file = join(directory, 'encrypted');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const ring = await openKeyRing(kms());
  const key = ring.current().key.export();
  expect(key).toHaveLength(32);
  expect(await readFile(file, 'utf8')).not.toContain(key.toString('base64'));
  expect(await ring.refresh()).toBe(false);
  const second = await addKey(kms(), 0);
  expect(second?.ids).toEqual([expect.any(String), ...(first?.ids ?? [])]);
  expect(await ring.refresh()).toBe(true);
  expect(ring.find(first?.ids[0] ?? '')?.key.export()).toEqual(key);
  expect((await readFile(programs.calls, 'utf8')).trim().split('\n')).toEqual([
    'genkey',
    'decrypt',
    'genkey',
    'decrypt',
  ]);
});

test('an image that the key policy does not name gets no key, and one that it names beside the first does', async () => {
  await addKey(kms(), 0);
  const key = await keyOf(kms());
  await programs.measure('version-2');
  await expect(openKeyRing(kms())).rejects.toMatchObject({
    code: 'DAAS_STATE_KEYS_INVALID',
    message: expect.stringMatching(/AccessDeniedException.*kms:RecipientAttestation/) as string,
  });
  await programs.allow('version-1', 'version-2');
  expect(await keyOf(kms())).toBe(key);
});

test('credentials for KMS that are missing, exposed or cut are refused, and no value of them is shown', async () => {
  await addKey(kms(), 0);
  await expect(openKeyRing(kms({ credentialsFile: join(directory, 'none') }))).rejects.toThrow(
    /cannot be used/,
  );
  const file = join(directory, 'credentials');
  await writeFile(file, '{"AccessKeyId":"AKIA","SecretAccessKey":"secret"', { mode: 0o600 });
  const message = await openKeyRing(kms({ credentialsFile: file })).then(
    () => 'it was taken',
    (failure: Error) => failure.message,
  );
  expect(message).toMatch(/is not JSON/);
  expect(message).not.toContain('secret');
  await writeFile(file, '{"AccessKeyId":"AKIA","SecretAccessKey":"secret"}');
  await expect(openKeyRing(kms({ credentialsFile: file }))).rejects.toThrow(/it lacks/);
  const exposed = join(directory, 'exposed');
  await writeFile(exposed, '{}', { mode: 0o644 });
  await expect(openKeyRing(kms({ credentialsFile: exposed }))).rejects.toMatchObject({
    code: 'DAAS_STATE_KEYS_EXPOSED',
  });
});
