import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { lastDecisions } from './audit-tail.ts';
import { call } from './operator.fixture.ts';
import { WhyReply } from './why-wire.ts';
import { World } from './world.fixture.ts';

const why = async (world: World, nodeId: string) =>
  WhyReply.parse((await call(world, 'GET', `/v1/why/${nodeId}`)).json);

describe('gateway why', () => {
  test('of a member: its stake, facts, policy entry, password, Node and decisions, and that it lacks nothing', async () => {
    await using world = await World.start();
    const { recordId, tokenId } = await world.member('worker-1');
    const reply = await why(world, 'worker-1');
    expect(reply).toMatchObject({
      summary: 'it is in the cluster',
      worker: { stake_record: recordId, status: 'member' },
      facts: { kind: 'good', certain: false, live_record: recordId, live_record_error: null },
      token: { id: tokenId, sequence: '1', tier: 'basic' },
      policy: { listing: 'basic', read: true },
      password: 'ours',
      vouches: [],
      node: { ready: true, stake_record: recordId },
      lets_it_in: [],
    });
    const events = reply.decisions.map(({ event }) => event);
    expect(events).toContain('credential.issued');
    expect(events).toContain('name.admitted');
    expect(events).not.toContain('token.used');
  });

  test('of a slashed node: the ban of name, key and staker, and what each has to do', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.slash(worker.recordId);
    await settled(60);
    const reply = await why(world, 'worker-1');
    expect(reply).toMatchObject({
      summary: 'it is out: evicted (slashed)',
      facts: { kind: 'stake_slashed', live_record: null },
      policy: { listing: null },
      password: 'none',
      node: null,
      decisions: [{ event: 'eviction.done' }, {}, {}, {}, {}, {}, {}, {}],
    });
    expect(reply.bans.map(({ subject }) => subject)).toEqual(['node_id', 'node_key', 'staker']);
    expect(reply.lets_it_in.map(({ command }) => command)).toEqual([
      'k3s-daas agent --stake-again',
      'k3s-daas gateway unban worker-1',
      expect.stringContaining('gateway unban key:'),
      expect.stringContaining('gateway unban staker:'),
    ]);
  });

  test('of a name that was never admitted: whether a stake holds it, and what its registration would be answered', async () => {
    await using world = await World.start({ admit: { nodeIdPattern: 'rack-.*' } });
    const { recordId } = world.worker('worker-1').stake();
    expect(await why(world, 'worker-1')).toMatchObject({
      worker: null,
      facts: { kind: 'good', live_record: recordId },
      lets_it_in: [{ by: 'operator', what: expect.stringContaining('nodeIdPattern') }],
    });
    expect(await why(world, 'nobody')).toMatchObject({
      summary: 'no stake holds this name, and this gateway has never admitted it',
      facts: { kind: 'none' },
      lets_it_in: [{ by: 'staker' }],
    });
  });

  test('with the chain away it answers with what is known, and says what could not be read', async () => {
    await using world = await World.start();
    await world.member('worker-1');
    world.chain.isDown = true;
    expect(await why(world, 'worker-1')).toMatchObject({
      summary: 'it is in the cluster',
      facts: { live_record: null, live_record_error: expect.stringContaining('no endpoint') },
    });
  });

  test('of what is no node id: refused as malformed', async () => {
    await using world = await World.start();
    expect(await call(world, 'GET', '/v1/why/NOT_A_NAME')).toMatchObject({
      status: 400,
      json: { code: 'request_invalid' },
    });
  });
});

describe('the last decisions about a node', () => {
  let directory = '';
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const line = (nodeId: string, number: number, padding = '') =>
    JSON.stringify({
      seq: number,
      at: `t${number}`,
      event: 'name.admitted',
      node_id: nodeId,
      padding,
      prev: 'p',
      hash: 'h',
      mac: 'm',
    });

  test('are found backwards over many chunks, newest first, and others’ lines are passed over', async () => {
    directory = await mkdtemp(join(tmpdir(), 'audit-tail-'));
    const path = join(directory, 'audit.jsonl');
    const lines = Array.from({ length: 2_000 }, (_, index) =>
      line(index % 400 === 7 ? 'worker-1' : 'other', index, 'x'.repeat(index === 1_207 ? 600_000 : 500)),
    );
    await writeFile(path, `${lines.join('\n')}\n{"cut":`);
    const found = await lastDecisions(path, 'worker-1', { most: 4 });
    expect(found.map(({ at }) => at)).toEqual(['t1607', 't1207', 't807', 't407']);
    expect(found[0]).toEqual({ at: 't1607', event: 'name.admitted', facts: { padding: 'x'.repeat(500) } });
    // No further than it is told to read.
    expect(await lastDecisions(path, 'worker-1', { mostBytes: 300_000 })).toHaveLength(1);
    expect((await lastDecisions(path, 'worker-1')).map(({ at }) => at).at(-1)).toBe('t7');
  });
});
