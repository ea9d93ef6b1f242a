import { link, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openNodeKeys, successorPath } from './node-keys.ts';

let directory: string;
let keyFile: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'node-keys-'));
  keyFile = join(directory, 'node.key');
});
afterEach(() => rm(directory, { recursive: true }));

test('a successor is made once, mode 0600, and signs proofs for its own token alone', async () => {
  const keys = await openNodeKeys(keyFile);
  const before = keys.current();
  const next = await keys.prepare();
  expect(await keys.prepare()).toEqual(next);
  expect((await stat(successorPath(keyFile))).mode & 0o777).toBe(0o600);
  expect(await keys.adopt('0xnew', next)).toBe(true);
  expect(keys.keyFor('0xold')).toBe(before);
  expect(keys.keyFor('0xnew').publicKey).toEqual(next);
  expect(keys.current()).toBe(before);
});

test('an exchange leaves one key, the successor, and no copy of the earlier one', async () => {
  const keys = await openNodeKeys(keyFile);
  const next = await keys.prepare();
  expect(await keys.complete('0xnew')).toBe(false);
  await keys.adopt('0xnew', next);
  const handle = await import('node:fs/promises').then(({ open }) => open(keyFile, 'r'));
  expect(await keys.complete('0xnew')).toBe(true);
  // The file that was the key: its content is gone, not only its name.
  expect((await handle.readFile()).every((byte) => byte === 0)).toBe(true);
  await handle.close();
  expect(await readdir(directory)).toEqual(['node.key']);
  expect(keys.current().publicKey).toEqual(next);
  expect((await openNodeKeys(keyFile)).current().publicKey).toEqual(next);
});

test('a key of another process counts: a token rotated by a command is adopted', async () => {
  const host = await openNodeKeys(keyFile);
  const command = await openNodeKeys(keyFile);
  const next = await command.prepare();
  expect(await host.adopt('0xnew', next)).toBe(true);
  expect(await host.adopt('0xother', new Uint8Array(32))).toBe(false);
});

test('killed between any two steps of an exchange, the next start ends it', async () => {
  const retired = `${keyFile}.retired`;
  const keys = await openNodeKeys(keyFile);
  const before = keys.current().publicKey;
  const next = await keys.prepare();

  await link(keyFile, retired);
  const afterLink = await openNodeKeys(keyFile);
  expect(afterLink.current().publicKey).toEqual(before);
  expect((await readFile(keyFile)).some((byte) => byte !== 0)).toBe(true);
  expect(await afterLink.adopt('0xnew', next)).toBe(true);

  await link(keyFile, retired);
  await rename(successorPath(keyFile), keyFile);
  const afterRename = await openNodeKeys(keyFile);
  expect(afterRename.current().publicKey).toEqual(next);
  expect(await readdir(directory)).toEqual(['node.key']);
});

test('an earlier key that cannot be overwritten or removed does not stop a node whose key is good', async () => {
  const { publicKey } = (await openNodeKeys(keyFile)).current();
  // A directory in its place can be neither.
  await mkdir(`${keyFile}.retired`);
  expect((await openNodeKeys(keyFile)).current().publicKey).toEqual(publicKey);
});
