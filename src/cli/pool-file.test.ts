import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openNodeKey, readNodeKey } from '#seal';
import { makePoolKey, nodeOfPoolFile, readPoolFile, takePoolFile, writePoolFile } from './pool-file.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pool-'));
});
afterEach(() => rm(directory, { recursive: true }));

const file = () => join(directory, 'worker-1.pool.json');
const stateDir = (name = 'state') => join(directory, name);
const take = (name?: string) => takePoolFile({ file: file(), stateDir: stateDir(name), nowMs: 0 });

async function write(): Promise<string> {
  const key = makePoolKey();
  await writePoolFile(file(), { nodeId: 'worker-1', clusterId: '0x1', staker: '0x2', ...key });
  return key.holderKey;
}

const ownKey = async (name?: string) => {
  const key = await readNodeKey(join(stateDir(name), 'node.key'));
  return key && Buffer.from(key.publicKey).toString('hex');
};

test('the node key goes to the state directory, and the file is renamed and holds it no more', async () => {
  const holderKey = await write();
  expect((await stat(file())).mode & 0o777).toBe(0o600);
  await take();
  expect(await ownKey()).toBe(holderKey);
  expect(await readdir(directory)).toEqual(['state', 'worker-1.pool.json.used']);
  const used = await readFile(`${file()}.used`, 'utf8');
  expect(used).toContain(holderKey);
  expect(used).not.toContain('PRIVATE');
  expect(await nodeOfPoolFile(file())).toBe('worker-1');
});

test('the same machine may start again', async () => {
  const holderKey = await write();
  await take();
  await take();
  expect(await ownKey()).toBe(holderKey);
});

test('a second machine is refused', async () => {
  await write();
  await take();
  await expect(take('another')).rejects.toMatchObject({ code: 'DAAS_POOL_FILE_USED', exitCode: 78 });
});

test('killed after the key was written, the next start goes on', async () => {
  const holderKey = await write();
  const pool = await readPoolFile(file());
  await take();
  if (pool) await writePoolFile(file(), pool);
  await take();
  expect(await ownKey()).toBe(holderKey);
  expect(await readPoolFile(file())).toBeUndefined();
});

test('a state directory with another key is left alone', async () => {
  await write();
  const { publicKey } = await openNodeKey(join(stateDir(), 'node.key'));
  await expect(take()).rejects.toMatchObject({ code: 'DAAS_POOL_KEY_CONFLICT' });
  expect(await ownKey()).toBe(Buffer.from(publicKey).toString('hex'));
  expect(await readPoolFile(file())).toBeDefined();
});

test('a file that others can read, that is missing or something else is refused, and its content is not shown', async () => {
  await expect(nodeOfPoolFile(file())).rejects.toMatchObject({ code: 'DAAS_POOL_FILE_INVALID' });
  await write();
  const text = await readFile(file(), 'utf8');
  await chmod(file(), 0o644);
  await expect(take()).rejects.toMatchObject({ code: 'DAAS_NODE_KEY_EXPOSED' });
  await chmod(file(), 0o600);
  for (const wrong of [
    text.replace(/"holderKey": "../, '"holderKey": "00'),
    text.replace('PRIVATE KEY', 'PUBLIC KEY'),
    'secret-secret',
  ]) {
    await writeFile(file(), wrong);
    const refused = await take().catch((error: Error & { code: string }) => error);
    expect(refused).toMatchObject({ code: 'DAAS_POOL_FILE_INVALID' });
    expect(String(refused)).not.toMatch(/secret-secret|PRIVATE/);
  }
});
