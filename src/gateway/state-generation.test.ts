import { generateKeyPairSync } from 'node:crypto';
import { cpSync, renameSync, rmSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Change, StoredRecord } from '#state';
import { type ChainHead, chainLines } from './audit-chain.ts';
import { parseAuditLine } from './audit-reading.ts';
import { CLUSTER_ID, GATEWAY_ID } from './ids.fixture.ts';
import { command } from './operator.fixture.ts';
import { OPERATOR_PATHS } from './operator-wire.ts';
import { createGenerations, generationIn, generationKey } from './state-generation.ts';
import { backUpState, emptyState, openBackup, verifyState } from './state-maintenance.ts';
import { World } from './world.fixture.ts';

const { privateKey: signingKey } = generateKeyPairSync('ed25519');
const rolledBack = { code: 'DAAS_STATE_ROLLED_BACK', exitCode: 78 };

/** A gateway whose audit file is signed: each clean stop ends with a checkpoint. */
async function signedWorld(): Promise<World> {
  const world = await World.create();
  world.options = { signingKey };
  await world.startGateway();
  return world;
}

const siteOf = ({ config }: World) => ({ config, clusterId: CLUSTER_ID });
const databaseOf = ({ config }: World) => join(config.stateDir, 'gateway.db');
const copyOf = (world: World) => join(world.directory, 'copy.db');
const ban = (world: World, value: string) =>
  command(world, OPERATOR_PATHS.ban, { target: { subject: 'node_id', value }, reason: 'by hand' });

async function stopAndCopy(world: World): Promise<void> {
  await world.stopGateway();
  cpSync(databaseOf(world), copyOf(world));
}

async function stopAndPutBack(world: World): Promise<void> {
  await world.stopGateway();
  removeState(world);
  cpSync(copyOf(world), databaseOf(world));
}

function removeState(world: World): void {
  for (const end of ['', '-wal', '-shm']) rmSync(`${databaseOf(world)}${end}`, { force: true });
}

const newest = async (world: World, event: string) =>
  (await world.audit()).findLast((line) => line.event === event);

test('a state that was put back as a whole is found at the start: the ban that it has forgotten is not passed over', async () => {
  await using world = await signedWorld();
  await stopAndCopy(world);
  await world.startGateway();
  await ban(world, 'worker-1');
  await stopAndPutBack(world);
  await expect(verifyState(siteOf(world))).rejects.toMatchObject(rolledBack);
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
  expect(await newest(world, 'state.rolled_back')).toMatchObject({ generation: 1, seen: 2 });
  // What the failed start has written does not make it young.
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('an old state counts by the word of the operator, who restores it; the audit file says so, and once alone', async () => {
  await using world = await signedWorld();
  await stopAndCopy(world);
  await world.startGateway();
  await ban(world, 'worker-1');
  await stopAndPutBack(world);
  const { text } = await backUpState(siteOf(world), 1_000);
  const opened = await openBackup(siteOf(world), { text, path: 'backup', nowMs: 2_000 });
  await opened.restore();
  await verifyState(siteOf(world));
  await world.startGateway();
  expect(await newest(world, 'state.restored')).toMatchObject({
    restored_at: '1970-01-01T00:00:02.000Z',
    backup_made_at: '1970-01-01T00:00:01.000Z',
  });
  await world.restartGateway();
  const restored = (await world.audit()).filter(({ event }) => event === 'state.restored');
  expect(restored).toHaveLength(1);
});

test('a state file that was taken away is found, until the operator says that the state is empty', async () => {
  await using world = await signedWorld();
  await ban(world, 'worker-1');
  await world.stopGateway();
  removeState(world);
  await expect(world.startGateway()).rejects.toMatchObject({
    ...rolledBack,
    message: expect.stringContaining('gateway state restore --empty'),
  });
  await world.stopGateway();
  removeState(world);
  expect(await emptyState(siteOf(world), 3_000)).toBe(0);
  await world.startGateway();
  expect(await newest(world, 'state.restored')).toMatchObject({ restored_at: '1970-01-01T00:00:03.000Z' });
});

test('a gateway that was killed, or whose audit file is behind its state, starts', async () => {
  await using world = await signedWorld();
  await ban(world, 'worker-1');
  await world.pass(61_000);
  await expect.poll(() => newest(world, 'audit.checkpoint')).toMatchObject({ generation: 1 });
  world.kill();
  await world.startGateway();
  await world.stopGateway();
  // As a crash between the two leaves them: the state is ahead.
  const path = join(world.config.stateDir, 'audit.jsonl');
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  await writeFile(path, `${lines.slice(0, -1).join('\n')}\n`);
  rmSync(join(world.config.stateDir, 'audit-head.json'));
  await world.startGateway();
});

test('the state remembers the end of the audit file: one that was put back with its newest checkpoint is named', async () => {
  await using world = await signedWorld();
  await world.stopGateway();
  const [path, headPath] = ['audit.jsonl', 'audit-head.json'].map((name) =>
    join(world.config.stateDir, name),
  );
  const [audit, head] = [await readFile(path ?? ''), await readFile(headPath ?? '')];
  await world.startGateway();
  await ban(world, 'worker-1');
  await world.stopGateway();
  await writeFile(path ?? '', audit);
  await writeFile(headPath ?? '', head);
  await world.startGateway();
  expect(world.logged).toContainEqual(
    expect.objectContaining({ fields: expect.objectContaining({ event: 'gateway.audit-shortened' }) }),
  );
});

test('a checkpoint is found behind many lines, and a line that is none does not count', async () => {
  await using world = await signedWorld();
  await stopAndCopy(world);
  await world.startGateway();
  await stopAndPutBack(world);
  rmSync(join(world.config.stateDir, 'audit-head.json'));
  const filler = `${JSON.stringify({ event: 'thing.done', text: 'audit.checkpoint', pad: 'x'.repeat(400) })}\n`;
  await appendFile(join(world.config.stateDir, 'audit.jsonl'), filler.repeat(2_000));
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('a state that was put back is found where the audit file was set aside and the checkpoint beside it is gone', async () => {
  await using world = await signedWorld();
  await stopAndCopy(world);
  await world.startGateway();
  await stopAndPutBack(world);
  const { stateDir } = world.config;
  const path = join(stateDir, 'audit.jsonl');
  const last = parseAuditLine((await readFile(path, 'utf8')).trimEnd().split('\n').at(-1) ?? '');
  renameSync(path, join(stateDir, `audit-until-${String(last?.seq).padStart(12, '0')}.jsonl`));
  rmSync(join(stateDir, 'audit-head.json'));
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

test('a checkpoint that was written without the signing key makes no state young', async () => {
  await using world = await signedWorld();
  await stopAndCopy(world);
  await world.startGateway();
  await stopAndPutBack(world);
  const { stateDir } = world.config;
  const path = join(stateDir, 'audit.jsonl');
  const last = parseAuditLine((await readFile(path, 'utf8')).trimEnd().split('\n').at(-1) ?? '');
  const { seq: sequence = 0, hash = '', at = '' } = last ?? {};
  const forged = { at, event: 'audit.checkpoint', facts: { generation: 1 } };
  await appendFile(path, chainLines({ sequence, hash }, [forged]).text);
  rmSync(join(stateDir, 'audit-head.json'));
  await expect(world.startGateway()).rejects.toMatchObject(rolledBack);
});

/** What one gateway of several knows of a state that it shares. */
function generationsOf(records: StoredRecord[], { seenCount = 0, mayWrite = (): boolean => true } = {}) {
  const write = async (changes: readonly Change[]) => {
    for (const { key, value } of changes) records.splice(0, records.length, [key, value]);
  };
  const store = { write };
  const generations = createGenerations({
    store,
    gatewayId: GATEWAY_ID,
    mayWrite,
    nowMs: () => 5,
    seenCount,
  });
  const nothing = async () => undefined;
  return { ...generations, anchor: (at: ChainHead, sync = nothing) => generations.anchor(at, sync) };
}
const head = (sequence: number) => ({ sequence, hash: `${sequence}`.padStart(64, '0') });

test('a gateway that follows changes nothing, and its audit file remembers what the leader has written', async () => {
  const records: StoredRecord[] = [];
  const [leader, follower] = [generationsOf(records), generationsOf(records)];
  expect(leader.lead(undefined)).toBeUndefined();
  expect(await leader.anchor(head(4))).toBe(1);
  expect(await follower.anchor(head(2))).toBeUndefined();
  follower.learn({ kind: 'listed', records });
  follower.learn({ kind: 'changed', changes: [{ key: '/bans/node_id/a', value: {} }] });
  expect(await follower.anchor(head(3))).toBe(1);
  expect(generationIn(records)).toMatchObject({ count: 1, audited: { sequence: 4 } });
  // The same line is not anchored twice, also when its checkpoint could not be written.
  expect(await leader.anchor(head(4))).toBe(1);
  expect(await leader.anchor(head(5))).toBe(2);
});

test('a follower does not take over a state that was put back while it ran', async () => {
  const records: StoredRecord[] = [];
  const follower = generationsOf(records);
  const value = { count: 7, audited: null, at: 1, restored: null };
  follower.learn({ kind: 'changed', changes: [{ key: generationKey, value }] });
  expect(() => follower.lead(undefined)).toThrow(expect.objectContaining({ code: 'DAAS_STATE_ROLLED_BACK' }));
  expect(await follower.anchor(head(9))).toBe(7);
  expect(records).toEqual([]);
});

test('the state forgets a restore once the line of it survives a loss of power', async () => {
  const value = { count: 7, audited: null, at: 1, restored: { at: 1, backup_made_at: null } };
  const records: StoredRecord[] = [[generationKey, value]];
  const generations = generationsOf(records);
  generations.lead(generationIn(records));
  const failing = () => Promise.reject(new Error('the disk is gone'));
  expect(await generations.anchor(head(9), failing)).toBe(7);
  expect(generationIn(records)?.restored).toBeDefined();
  expect(await generations.anchor(head(9))).toBe(8);
  expect(generationIn(records)?.restored).toBeUndefined();
  // Later ones need not wait for the disk.
  expect(await generations.anchor(head(10), failing)).toBe(9);
});

test('a take-over that has to be tried again is not refused for what this gateway has written meanwhile', async () => {
  const records: StoredRecord[] = [];
  const generations = generationsOf(records);
  const value = { count: 7, audited: null, at: 1, restored: { at: 1, backup_made_at: null } };
  const found = generationIn([[generationKey, value]]);
  expect(generations.lead(found)).toMatchObject({ atMs: 1 });
  expect(await generations.anchor(head(9))).toBe(8);
  // Nor is the operator's restore written down twice.
  expect(generations.lead(found)).toBeUndefined();
});

test('a leader that may not write any more names the generation that it knows', async () => {
  let mayWrite = true;
  const records: StoredRecord[] = [];
  const generations = generationsOf(records, { mayWrite: () => mayWrite });
  generations.lead(undefined);
  await generations.anchor(head(1));
  mayWrite = false;
  expect(await generations.anchor(head(2))).toBe(1);
});
