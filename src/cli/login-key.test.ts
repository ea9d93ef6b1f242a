import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { forgetKeyring, keyFileBeside, keyOfLogin, nextKeyOf } from './login-key.ts';

let directory = '';
const file = (name: string) => join(directory, name);
const login = () => file('login.json');
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'login-key-'));
  // Behaves as secret-tool does with an item for each key.
  const script = `#!/bin/sh
for last; do :; done
case $1 in
  store) cat >${file('item')}-"$last" ;;
  lookup) cat ${file('item')}-"$last" 2>/dev/null || exit 1 ;;
esac
`;
  await writeFile(file('secret-tool'), script, { mode: 0o755 });
  vi.stubEnv('PATH', `${directory}:/usr/bin:/bin`);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(directory, { recursive: true });
});

const keyring = { loginKey: 'keyring' } as const;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('the key that a login has in a keyring is found again, and a rotation replaces it', async () => {
  const { publicKey: first } = await keyOfLogin(login(), keyring, false);
  expect((await keyOfLogin(login(), keyring, false)).publicKey).toEqual(first);
  const next = await nextKeyOf(login(), keyring, first);
  expect(next?.key).toEqual({ kind: 'keyring', publicKey: next?.publicKey });
  expect(next?.publicKey).not.toEqual(first);
  // Killed before the new key was on chain.
  expect((await nextKeyOf(login(), keyring, first))?.publicKey).toEqual(next?.publicKey);
});

test('a key that the keyring has lost is replaced by a rotation', async () => {
  const { publicKey: first } = await keyOfLogin(login(), keyring, false);
  await rm(file(`item-${hex(first)}`));
  await expect(keyOfLogin(login(), keyring, false)).rejects.toMatchObject({
    code: 'DAAS_LOGIN_KEYRING_NO_KEY',
  });
  expect((await nextKeyOf(login(), keyring, first))?.publicKey).not.toEqual(first);
});

test('a login that has left the keyring gets another key when it comes back', async () => {
  const { publicKey: first } = await keyOfLogin(login(), keyring, false);
  await forgetKeyring(login());
  const elsewhere = new Uint8Array(32);
  expect((await nextKeyOf(login(), keyring, elsewhere))?.publicKey).not.toEqual(first);
  expect(await readFile(file(`item-${hex(first)}`), 'utf8')).not.toBe('');
});

test('the key beside a login that is named by a relative path is named by a whole one', () => {
  expect(keyFileBeside('logins/mine.json')).toBe(resolve('logins/mine.key'));
});

test('a key of an ssh-agent that is named for another place is refused', async () => {
  const conflict = { code: 'DAAS_FLAGS_CONFLICT', message: expect.stringContaining('--login-key ssh-agent') };
  const sshKey = file('mine.pub');
  await expect(keyOfLogin(login(), { sshKey }, true)).rejects.toMatchObject(conflict);
  await expect(nextKeyOf(login(), { sshKey }, new Uint8Array(32))).rejects.toMatchObject(conflict);
  await expect(keyOfLogin(login(), { ...keyring, sshKey }, true)).rejects.toMatchObject(conflict);
});
