import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { id } from './ids.fixture.ts';
import { unavailable } from './members.fixture.ts';
import { World } from './world.fixture.ts';

describe('a name', () => {
  test('stays bound for a day after record and Node have gone, so that its host hears why', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'unbonding' });
    await settled(60);
    await world.clock.advance(23 * 3_600_000, 600_000);
    world.chain.report();
    await settled();
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'unbonding' }]);
    await world.clock.advance(2 * 3_600_000, 600_000);
    world.chain.report();
    await settled(60);
    await expect(worker.heartbeat()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID' });
  });

  test('is not made anew while k3s may still sweep the password of the Node that has gone', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.removeNode('worker-1');
    await settled(60);
    world.kubernetes.calls.length = 0;
    const goneAtMs = world.clock.nowMs();
    let reservedAtMs = 0;
    world.kubernetes.before = (method) => {
      if (method === 'reserveNodePassword') reservedAtMs = world.clock.nowMs();
    };
    await worker.registerInTime();
    expect(reservedAtMs - goneAtMs).toBeGreaterThanOrEqual(3_000);
  });

  test('does not wait for hours when the time of day was set back since', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.removeNode('worker-1');
    await settled(60);
    world.clock.step(-3_600_000);
    expect((await worker.registerInTime()).join).toBeDefined();
  });
});

describe('what is not ours is not touched', () => {
  test('Nodes that no stake admitted, marked or not, and their Secrets', async () => {
    await using world = await World.start();
    world.kubernetes.addNode('server-1');
    world.kubernetes.addNode('somebody-elses', { stakeRecordId: id('b7') });
    world.kubernetes.passwords.set('server-1', { nodeId: 'server-1', hash: 'x', recordId: undefined });
    world.kubernetes.names.set('server-1', 'ordinary');
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' });
    await world.pass(70_000);
    await world.restartGateway();
    await world.pass(5_000);
    expect(world.kubernetes.has('server-1')).toBe(true);
    expect(world.kubernetes.has('somebody-elses')).toBe(true);
    expect(world.kubernetes.passwords.has('server-1')).toBe(true);
    expect(world.kubernetes.calls.filter((call) => /server-1|somebody/.test(call))).toEqual([]);
  });

  test('nor a name that its administrator has given to an ordinary node after an eviction', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'unbonding' });
    await settled(60);
    world.kubernetes.names.set('worker-1', 'expected');
    await world.pass(65_000);
    world.kubernetes.addNode('worker-1');
    await world.pass(5_000);
    expect(world.kubernetes.has('worker-1')).toBe(true);
  });
});

test('nor one that the operator opens after an eviction, however soon its Node registers', async () => {
  await using world = await World.start();
  const worker = await world.member('worker-1');
  world.chain.change(worker.recordId, { status: 'unbonding' });
  await settled(60);
  expect(world.kubernetes.has('worker-1')).toBe(false);
  world.kubernetes.names.set('worker-1', 'expected');
  world.kubernetes.addNode('worker-1');
  await settled(60);
  expect(world.kubernetes.has('worker-1')).toBe(true);
  // Nor is the node looked at over and over: the newer list is what the next look decides on.
  expect(world.logged.map(({ message }) => message)).not.toContain(
    'A node could not be reconciled and is retried',
  );
});

describe("a name of the operator's is open to nobody else", () => {
  const asIfUninvited = (world: World) => world.kubernetes.createNodeAs('server-1');
  async function withServer(): Promise<World> {
    const world = await World.start();
    world.kubernetes.names.set('server-1', 'ordinary');
    world.kubernetes.addNode('server-1');
    await world.pass(5_000);
    return world;
  }

  test('an ordinary name is reserved as soon as its Node is deleted', async () => {
    await using world = await withServer();
    world.kubernetes.removeNode('server-1');
    await settled(60);
    expect(world.kubernetes.names.get('server-1')).toBe('reserved');
    expect(asIfUninvited(world)).toBe(403);
  });

  test('also when somebody was faster than the gateway, who then stays out at the next attempt', async () => {
    await using world = await withServer();
    world.kubernetes.removeNode('server-1');
    expect(asIfUninvited(world)).toBe(201);
    await settled(60);
    expect(world.kubernetes.names.get('server-1')).toBe('reserved');
  });

  test('also when the Node went while the gateway was down', async () => {
    await using world = await World.start();
    world.kubernetes.names.set('server-1', 'ordinary');
    await world.restartGateway();
    await world.pass(5_000);
    expect(world.kubernetes.names.get('server-1')).toBe('reserved');
  });

  test('one that is expected stays open for 15 minutes, and is an ordinary one when its Node has come', async () => {
    await using world = await World.start();
    for (const name of ['server-1', 'server-2']) world.kubernetes.names.set(name, 'expected');
    await world.pass(14 * 60_000);
    expect(world.kubernetes.names.get('server-1')).toBe('expected');
    expect(asIfUninvited(world)).toBe(201);
    await world.pass(3 * 60_000);
    expect(world.kubernetes.names.get('server-1')).toBe('ordinary');
    expect(world.kubernetes.names.get('server-2')).toBe('reserved');
  });

  test('one that is expected is an ordinary one as soon as its Node has come, and reserved as soon as it has gone', async () => {
    await using world = await World.start();
    await world.pass(5_000);
    world.kubernetes.names.set('server-1', 'expected');
    expect(asIfUninvited(world)).toBe(201);
    await settled(60);
    expect(world.kubernetes.names.get('server-1')).toBe('ordinary');
    world.kubernetes.removeNode('server-1');
    await settled(60);
    expect(world.kubernetes.names.get('server-1')).toBe('reserved');
  });

  test('a Node that comes and goes between two looks is found in the audit, and its name is closed', async () => {
    await using world = await World.start();
    await world.pass(5_000);
    world.kubernetes.names.set('server-1', 'expected');
    expect(asIfUninvited(world)).toBe(201);
    world.kubernetes.removeNode('server-1');
    await settled(60);
    expect(asIfUninvited(world)).toBe(403);
    const relisted = (await world.audit()).filter(({ event }) => event === 'name.relisted');
    expect(relisted).toMatchObject([
      { node_id: 'server-1', from: 'expected', to: 'ordinary' },
      { node_id: 'server-1', from: 'ordinary', to: 'reserved' },
    ]);
  });

  test('nor does it stay open when the API server was away meanwhile', async () => {
    await using world = await World.start();
    await world.pass(5_000);
    world.kubernetes.names.set('server-1', 'expected');
    let failures = 3;
    world.kubernetes.before = (method) => {
      if (method === 'relistName' && failures-- > 0) throw unavailable();
    };
    expect(asIfUninvited(world)).toBe(201);
    world.kubernetes.removeNode('server-1');
    await world.pass(20_000);
    expect(failures).toBeLessThan(0);
    expect(world.kubernetes.names.get('server-1')).toBe('reserved');
  });

  test('the operator who opens a name again while its reservation is under way has the last word', async () => {
    await using world = await withServer();
    world.kubernetes.before = (method, name) => {
      if (method === 'relistName' && name === 'server-1') world.kubernetes.names.set('server-1', 'expected');
    };
    world.kubernetes.removeNode('server-1');
    await settled(60);
    expect(world.kubernetes.names.get('server-1')).toBe('expected');
  });
});
