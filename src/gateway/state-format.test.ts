import { generateKeyPairSync } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { auditPlace } from './audit-reading.ts';
import { verifyAudit } from './audit-verify.ts';
import { CLUSTER_ID } from './ids.fixture.ts';
import { call } from './operator.fixture.ts';
import { OPERATOR_PATHS } from './operator-wire.ts';
import { formatKey, STATE_FORMAT } from './state-format.ts';
import { verifyState } from './state-maintenance.ts';
import { World } from './world.fixture.ts';

/**
 * States and audit files that gateways of earlier versions have left, named `<format>-<commit>`: four workers, of which
 * the second was slashed and the third evicted and locked, the fourth is joining, and a ban by the operator. Another one
 * is made in the same way, with that version's own `World`, and never changed.
 */
const directory = join(import.meta.dirname, 'states');
const earlier = readdirSync(directory)
  .filter((name) => name.endsWith('.sql'))
  .map((name) => name.slice(0, -'.sql'.length));

/** A gateway that has not started yet, on the state of another version. */
async function worldOn(name: string): Promise<World> {
  const world = await World.create();
  world.options = { signingKey: generateKeyPairSync('ed25519').privateKey };
  const { stateDir } = world.config;
  mkdirSync(stateDir, { mode: 0o700 });
  const database = new DatabaseSync(join(stateDir, 'gateway.db'));
  database.exec(readFileSync(join(directory, `${name}.sql`), 'utf8'));
  database.close();
  const audit = join(directory, `${name}.audit.jsonl`);
  if (existsSync(audit)) cpSync(audit, join(stateDir, 'audit.jsonl'));
  return world;
}

function recordsOf({ config }: World): Map<string, Record<string, unknown>> {
  const database = new DatabaseSync(join(config.stateDir, 'gateway.db'));
  const rows = database.prepare('SELECT key, value FROM records').all();
  database.close();
  return new Map(rows.map(({ key, value }) => [String(key), JSON.parse(String(value))]));
}

function setFormat({ config }: World, version: number): void {
  const database = new DatabaseSync(join(config.stateDir, 'gateway.db'));
  const insert = database.prepare('INSERT OR REPLACE INTO records VALUES (?, ?)');
  insert.run(formatKey, JSON.stringify({ version, since: 'a later version' }));
  insert.run('/workers/worker-1', JSON.stringify({ node_id: 'worker-1', invention: true }));
  database.close();
}

test.each(earlier)(
  'the state of version %s is read: bans, locks and admissions count, and the audit file goes on',
  async (name) => {
    await using world = await worldOn(name);
    const before = recordsOf(world);
    // Nothing is decided anew: what counts is what the state says.
    world.chain.isDown = true;
    const { stake_record: stakeRecordId } = before.get('/workers/worker-1') ?? {};
    world.kubernetes.addNode('worker-1', { stakeRecordId: String(stakeRecordId) });
    world.kubernetes.names.set('worker-1', 'basic');
    await world.startGateway();
    const { json: bans } = await call(world, 'GET', OPERATOR_PATHS.bans);
    const values = (bans.bans as ReadonlyArray<{ value: string }>).map(({ value }) => value);
    expect(values).toEqual(expect.arrayContaining(['worker-2', 'worker-9']));
    expect(values).toHaveLength([...before.keys()].filter((key) => key.startsWith('/bans/')).length);
    const { json: nodes } = await call(world, 'GET', OPERATOR_PATHS.nodes);
    const statuses = Object.fromEntries(
      (nodes.nodes as ReadonlyArray<{ node_id: string; status: string }>).map((node) => [
        node.node_id,
        node.status,
      ]),
    );
    expect(statuses).toMatchObject({ 'worker-1': 'member', 'worker-2': 'evicted', 'worker-3': 'evicted' });
    await world.stopGateway();

    const after = recordsOf(world);
    expect(after.get(formatKey)).toEqual({ version: STATE_FORMAT });
    expect([...after.keys()]).toEqual(expect.arrayContaining([...before.keys()]));
    for (const [key, value] of before) if (key.startsWith('/bans/')) expect(after.get(key)).toEqual(value);
    const lockedAt = before.get('/workers/worker-3')?.locked_at;
    expect(lockedAt).toEqual(expect.any(Number));
    expect(after.get('/workers/worker-3')?.locked_at).toBe(lockedAt);
    const report = await verifyAudit(await auditPlace(world.config.stateDir), { keys: [] });
    expect(report).toMatchObject({ problems: [], first: 1 });
  },
);

test('a state of each format is here, also of the one that this version writes', () => {
  const formats = new Set(earlier.map((name) => Number(name.split('-')[0])));
  expect([...formats]).toEqual(Array.from({ length: STATE_FORMAT }, (_value, index) => index + 1));
});

test('a state of a later version is refused by name before a record of it is read', async () => {
  await using world = await worldOn(earlier[0] ?? '');
  setFormat(world, STATE_FORMAT + 1);
  const refused = {
    code: 'DAAS_STATE_NEWER',
    exitCode: 78,
    message: expect.stringContaining(`format ${STATE_FORMAT + 1}`),
  };
  await expect(verifyState({ config: world.config, clusterId: CLUSTER_ID })).rejects.toMatchObject(refused);
  await expect(world.startGateway()).rejects.toMatchObject(refused);
  expect(recordsOf(world).get(formatKey)).toMatchObject({ version: STATE_FORMAT + 1 });
});
