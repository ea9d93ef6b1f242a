import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Secret } from '#base';
import { openNodeKey, readNodeKey } from './node-key.ts';
import { hashNodePassword, isNodePassword, isNodePasswordHash, openNodePassword } from './node-password.ts';
import { openNodeIdentity } from './signer.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'seal-'));
});
afterEach(() => rm(directory, { recursive: true }));

describe('node key', () => {
  test('is made once, mode 0600, and read from then on', async () => {
    const path = join(directory, 'inner', 'node.key');
    const made = await openNodeKey(path);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await openNodeKey(path)).publicKey).toEqual(made.publicKey);
    expect(made.publicKey).toHaveLength(32);
  });

  test('is the same key as PEM, raw bytes and hex', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const { d = '' } = privateKey.export({ format: 'jwk' });
    const seed = Buffer.from(d, 'base64url');
    const expected = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
    for (const content of [
      privateKey.export({ type: 'pkcs8', format: 'pem' }),
      seed,
      `${seed.toString('hex')}\n`,
    ]) {
      const path = join(directory, randomBytes(4).toString('hex'));
      await writeFile(path, content, { mode: 0o600 });
      expect(Buffer.from((await openNodeKey(path)).publicKey)).toEqual(expected);
    }
  });

  test('that others can read is refused, with the fix', async () => {
    const path = join(directory, 'node.key');
    await openNodeKey(path);
    await chmod(path, 0o640);
    await expect(openNodeKey(path)).rejects.toMatchObject({ code: 'DAAS_NODE_KEY_EXPOSED', exitCode: 78 });
  });

  test.each([
    ['garbage', 'planted-secret-garbage'],
    ['nothing', ''],
    [
      'a key of another kind',
      generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
    ],
  ])('file with %s is refused and not quoted', async (_what, content) => {
    const path = join(directory, 'node.key');
    await writeFile(path, content, { mode: 0o600 });
    const error: unknown = await openNodeKey(path).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'DAAS_NODE_KEY_INVALID' });
    expect(inspect(error, { depth: 9 })).not.toContain('planted-secret');
  });

  test('is not made by reading', async () => {
    expect(await readNodeKey(join(directory, 'absent'))).toBeUndefined();
  });

  test('does not show itself when the identity is printed', async () => {
    const keyFile = join(directory, 'node.key');
    const identity = await openNodeIdentity({
      nodeId: 'worker-1',
      keyFile,
      passwordFile: join(directory, 'password'),
    });
    const pem = await readFile(keyFile, 'utf8');
    const body = pem.split('\n')[1] ?? 'missing';
    expect(`${inspect(identity, { depth: 9, showHidden: true })}${JSON.stringify(identity)}`).not.toContain(
      body,
    );
  });

  test('a node id that is no DNS label is refused', async () => {
    await expect(
      openNodeIdentity({
        nodeId: 'Worker.1',
        keyFile: join(directory, 'k'),
        passwordFile: join(directory, 'p'),
      }),
    ).rejects.toMatchObject({ code: 'DAAS_NODE_ID_INVALID', exitCode: 78 });
  });
});

describe('node password', () => {
  test('is made as k3s makes it: 16 random bytes as hex and a newline, mode 0600', async () => {
    const path = join(directory, 'etc', 'password');
    const password = await openNodePassword(path);
    expect(await readFile(path, 'utf8')).toMatch(/^[0-9a-f]{32}\n$/);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await openNodePassword(path)).reveal()).toBe(password.reveal());
  });

  test('that k3s made is kept', async () => {
    const path = join(directory, 'password');
    await writeFile(path, 'a-password-of-k3s\n', { mode: 0o600 });
    expect((await openNodePassword(path)).reveal()).toBe('a-password-of-k3s');
  });

  test('hashes to the form k3s stores, always the same, and verifies', async () => {
    const password = new Secret('0123456789abcdef0123456789abcdef');
    const hash = await hashNodePassword(password);
    expect(hash).toMatch(/^\$1:[0-9a-f]{16}:15:8:1:[A-Za-z0-9+/]{86}$/);
    expect(isNodePasswordHash(hash)).toBe(true);
    expect(await hashNodePassword(password)).toBe(hash);
    expect(await isNodePassword(password, hash)).toBe(true);
    expect(await isNodePassword(new Secret('another'), hash)).toBe(false);
  });

  test('hash agrees with scrypt of RFC 7914 for the parameters of k3s', async () => {
    // Computed with Python's hashlib.scrypt(b'password', salt=bytes(range(8)), n=2**15, r=8, p=1, dklen=64).
    const hash = await hashNodePassword(new Secret('password'), Uint8Array.from([0, 1, 2, 3, 4, 5, 6, 7]));
    expect(hash).toBe(
      '$1:0001020304050607:15:8:1:odM8mXOAHikTB2q/wldVA+yV7sZb43wkmCwQSgml9PJZ7UXEDTxgxOfStXyzQ/pe8heI2fnMSCOx2XktlwTblA',
    );
  });

  test.each(['', '$1:00:15:8:1:abc', '$2:0001020304050607:15:8:1:'.padEnd(120, 'A')])(
    'a hash of another form (%s) is told apart',
    async (text) => {
      expect(isNodePasswordHash(text)).toBe(false);
      expect(await isNodePassword(new Secret('x'), text)).toBe(false);
    },
  );
});
