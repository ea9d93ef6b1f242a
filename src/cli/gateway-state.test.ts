import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createStore, openSqliteEngine } from '#state';
import { stateCommand } from './gateway-state.ts';
import { createIo, type Io } from './io.ts';

const id = (digit: string) => `0x${digit.repeat(64)}`;
const ban = {
  key: '/bans/node_id/worker-1',
  value: { subject: 'node_id', value: 'worker-1', reason: 'slashed', since: 1, stake_record: id('5') },
};

let directory: string;
let config: string;
let database: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gateway-state-'));
  config = join(directory, 'k3s-daas.json');
  database = join(directory, 'state', 'gateway.db');
  await configure({ keys: { file: 'keys' } });
});
afterEach(() => rm(directory, { recursive: true }));

function configure(state: object): Promise<void> {
  return writeFile(
    config,
    JSON.stringify({
      chain: {
        endpoints: ['https://node.example'],
        chainId: '69WiPg3DAQiwdxfncX6wYQ2siKwAe6L9BZthQea3JNMD',
        packageId: id('2'),
        clusterId: id('3'),
      },
      gateway: {
        tls: { certFile: 'tls.crt', keyFile: 'tls.key' },
        server: 'https://k3s.example:6443',
        stateDir: 'state',
        state,
      },
    }),
    { mode: 0o600 },
  );
}

async function writeState(...changes: Array<{ key: string; value: unknown }>): Promise<void> {
  await using store = createStore(openSqliteEngine(database));
  await store.write(changes);
}

async function run(...words: string[]): Promise<Record<string, unknown>> {
  return runWith((io) => io, ...words);
}

async function runWith(change: (io: Io) => Io, ...words: string[]): Promise<Record<string, unknown>> {
  const printed: string[] = [];
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      printed.push(chunk.toString());
      done();
    },
  });
  const command = stateCommand(change(createIo({ json: true, stdout, stderr: stdout }))).exitOverride();
  await command.parseAsync([...words, '--config', config], { from: 'user' });
  return JSON.parse(printed.join('')) as Record<string, unknown>;
}

test('a state is verified, backed up and restored, and only somebody with the keys reads the backup', async () => {
  const [first, backup] = [await run('rotate-key'), join(directory, 'backup')];
  expect(first).toMatchObject({ written: true, earlier: [], file: join(directory, 'keys') });
  await writeState(ban);
  // As a version before sealing left it: it stays so until a gateway starts.
  expect(await run('verify')).toMatchObject({ ok: true, bans: 1, sealed: false });
  expect(await run('backup', '--out', backup, '--dry-run')).toMatchObject({ written: false });
  expect(await run('backup', '--out', backup)).toMatchObject({ written: true, records: 1 });
  expect((await stat(backup)).mode & 0o777).toBe(0o600);
  expect(await readFile(backup, 'utf8')).not.toContain('slashed');
  await expect(run('backup', '--out', backup)).rejects.toMatchObject({ code: 'DAAS_STATE_BACKUP_EXISTS' });

  await writeState({ key: ban.key, value: undefined });
  expect(await run('restore', backup, '--dry-run')).toMatchObject({ restored: false, bans: 1 });
  expect(await run('verify')).toMatchObject({ bans: 0 });
  expect(await run('rotate-key')).toMatchObject({ earlier: [first.key] });
  expect(await run('restore', backup, '--yes')).toMatchObject({ restored: true, replaced: 0, bans: 1 });
  expect(await run('verify')).toMatchObject({ ok: true, bans: 1, sealed: true });
  await configure({});
  await expect(run('verify')).rejects.toMatchObject({ code: 'DAAS_STATE_SEALED' });
});

test('what cannot be restored is refused before anything is replaced', async () => {
  const backup = join(directory, 'backup');
  await configure({});
  await expect(run('verify')).rejects.toMatchObject({ code: 'DAAS_STATE_MISSING' });
  await writeState(ban);
  await run('backup', '--out', backup);
  const text = await readFile(backup, 'utf8');
  const attempt = async (changed: string) => {
    await writeFile(backup, changed);
    return run('restore', backup, '--yes');
  };
  const invalid = { code: 'DAAS_STATE_BACKUP_INVALID', exitCode: 78 };
  await expect(attempt(text.slice(0, -5))).rejects.toMatchObject(invalid);
  await expect(attempt(text.replace('slashed', 'evicted'))).rejects.toMatchObject(invalid);
  await expect(attempt('{}\n')).rejects.toMatchObject(invalid);
  await expect(attempt(text.replace(id('3'), id('4')))).rejects.toMatchObject(invalid);
  await expect(run('rotate-key')).rejects.toMatchObject({ code: 'DAAS_STATE_KEYS_INVALID' });
  await using running = openSqliteEngine(database);
  await expect(attempt(text)).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STORE_BUSY' });
  expect(await running.list('/')).toHaveLength(1);
});

test('a path that is wrong is named, and an answer of no is a failure', async () => {
  const backup = join(directory, 'backup');
  await configure({});
  await writeState(ban);
  await expect(run('restore', backup, '--yes')).rejects.toMatchObject({
    code: 'DAAS_STATE_BACKUP_INVALID',
    message: expect.stringContaining('ENOENT'),
  });
  await expect(run('backup', '--out', join(directory, 'nowhere', 'backup'))).rejects.toMatchObject({
    code: 'DAAS_FILE_UNWRITABLE',
  });
  await run('backup', '--out', backup);
  const declines = (io: Io): Io => ({ ...io, confirm: async () => false });
  await expect(runWith(declines, 'restore', backup)).rejects.toMatchObject({ code: 'DAAS_NOT_CONFIRMED' });
});

test('a sealed backup of which the first line was changed is refused', async () => {
  const backup = join(directory, 'backup');
  await run('rotate-key');
  await writeState(ban);
  await run('backup', '--out', backup);
  const text = await readFile(backup, 'utf8');
  await writeFile(backup, text.replace('"records":1', '"records":0'));
  await expect(run('restore', backup, '--yes')).rejects.toMatchObject({ code: 'DAAS_STATE_FORGED' });
});
