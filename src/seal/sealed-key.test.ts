import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Secret } from '#base';
import { nodeKeyFromSeed, openNodeKey, readNodeKey, readNodePublicKey } from './node-key.ts';
import { openNodeKeys, successorPath } from './node-keys.ts';
import type { KeySealer } from './sealed-key.ts';

/** A machine whose sealer knows what it has sealed, and nothing else. */
function machine(condition = 'now'): KeySealer & { readonly opened: () => number } {
  const kept = new Map<string, string>();
  let opened = 0;
  return {
    opened: () => opened,
    seal: async (secret) => {
      const id = String(kept.size);
      kept.set(id, secret.reveal());
      return { id, condition };
    },
    open: async ({ id }) => {
      opened += 1;
      const secret = kept.get(String(id));
      if (secret === undefined) throw new Error('another machine has sealed it');
      return new Secret(secret);
    },
    isCurrent: (sealed) => sealed.condition === condition,
  };
}

const keyFile = async () => join(await mkdtemp(join(tmpdir(), 'sealed-')), 'node.key');

test('a sealed key is the same key at each start, and its file shows no more than the public half', async () => {
  const [file, sealer] = [await keyFile(), machine()];
  const made = await openNodeKey(file, sealer);
  const { d = '' } = made.privateKey.export({ format: 'jwk' });
  const text = await readFile(file, 'utf8');
  expect(text).not.toContain(Buffer.from(d, 'base64url').toString('hex'));
  expect((await openNodeKey(file, sealer)).publicKey).toEqual(made.publicKey);
  expect(sealer.opened()).toBe(1);
  expect(Buffer.from((await readNodePublicKey(file)) ?? []).equals(made.publicKey)).toBe(true);
  expect(sealer.opened()).toBe(1);
});

test('a copy of the file opens nothing on another machine, nor without a sealer', async () => {
  const file = await keyFile();
  await openNodeKey(file, machine());
  await expect(openNodeKey(file, machine())).rejects.toThrow('another machine');
  await expect(openNodeKey(file)).rejects.toMatchObject({ code: 'DAAS_NODE_KEY_SEALED' });
  await expect(readNodeKey(file)).rejects.toMatchObject({ code: 'DAAS_NODE_KEY_SEALED' });
});

test('a key in clear text is sealed when it is opened, and stays the same; reading alone changes nothing', async () => {
  const [file, sealer] = [await keyFile(), machine()];
  const clear = await openNodeKey(file);
  const before = await readFile(file);
  expect((await readNodeKey(file, sealer))?.publicKey).toEqual(clear.publicKey);
  expect(await readFile(file)).toEqual(before);
  expect((await openNodeKey(file, sealer)).publicKey).toEqual(clear.publicKey);
  expect(await readFile(file, 'utf8')).toContain('k3s-daas-sealed-key/1');
});

test('a key of 32 raw bytes that begin as a sealed one does is read as what it is', async () => {
  const [file, sealer] = [await keyFile(), machine()];
  const seed = Buffer.alloc(32, '{');
  await writeFile(file, seed, { mode: 0o600 });
  const { publicKey } = nodeKeyFromSeed(new Secret(seed.toString('hex')));
  expect((await openNodeKey(file)).publicKey).toEqual(publicKey);
  expect(await readNodePublicKey(file)).toEqual(publicKey);
  expect((await openNodeKey(file, sealer)).publicKey).toEqual(publicKey);
  expect(await readFile(file, 'utf8')).toContain('k3s-daas-sealed-key/1');
});

test('a key that was sealed under other conditions is sealed anew', async () => {
  const [file, sealer] = [await keyFile(), machine()];
  const key = await openNodeKey(file, sealer);
  const stricter = { ...sealer, isCurrent: () => false };
  expect((await openNodeKey(file, stricter)).publicKey).toEqual(key.publicKey);
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ sealed: { id: '1' } });
});

test('the successor of a rotation is sealed, too', async () => {
  const [file, sealer] = [await keyFile(), machine()];
  const keys = await openNodeKeys(file, sealer);
  const next = await keys.prepare();
  expect(await readFile(successorPath(file), 'utf8')).toContain('k3s-daas-sealed-key/1');
  expect(await keys.adopt('token', next)).toBe(true);
  expect(await keys.complete('token')).toBe(true);
  expect((await openNodeKeys(file, sealer)).current().publicKey).toEqual(next);
});

test('a file that was changed, or names another key than it holds, is refused', async () => {
  const [file, sealer] = [await keyFile(), machine()];
  await openNodeKey(file, sealer);
  const good = JSON.parse(await readFile(file, 'utf8')) as object;
  for (const change of [{ publicKey: '00'.repeat(32) }, { format: 'k3s-daas-sealed-key/2' }, { more: 1 }]) {
    await writeFile(file, JSON.stringify({ ...good, ...change }));
    await expect(openNodeKey(file, sealer)).rejects.toMatchObject({ code: 'DAAS_NODE_KEY_INVALID' });
  }
});
