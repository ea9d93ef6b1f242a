import { describe, expect, test } from 'vitest';
import { DaasError } from '#base';
import { settled } from '#testing';
import { id } from './ids.fixture.ts';
import { type FakeWorker, World } from './world.fixture.ts';

const staker = (index: number) => `0x${(0x60 + index).toString(16).repeat(32)}`;

async function members(world: World, count: number): Promise<FakeWorker[]> {
  const all: FakeWorker[] = [];
  for (let index = 1; index <= count; index += 1)
    all.push(await world.member(`worker-${index}`, { staker: staker(index) }));
  return all;
}

const unavailable = () => new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'down', { isRetryable: true });

describe('what ends a stake ends the node', () => {
  test.each([
    [
      'unbonding',
      (world: World, { recordId }: FakeWorker) => world.chain.change(recordId, { status: 'unbonding' }),
    ],
    [
      'withdrawn',
      (world: World, { recordId }: FakeWorker) => world.chain.change(recordId, { status: 'withdrawn' }),
    ],
    ['token_revoked', (world: World, { tokenId }: FakeWorker) => world.chain.revoke(tokenId)],
  ])('%s evicts at once and bans nobody', async (reason, end) => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    end(world, worker);
    await settled(60);
    expect(world.cluster.has('worker-1')).toBe(false);
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason }]);
    const next = world.worker('worker-1').stake();
    expect((await next.comeBack()).join).toBeDefined();
    expect(await next.join()).toEqual({ certificate: 200, node: 201 });
  });

  test.each([
    ['an expired token', (world: World) => (world.chain.epoch += 1_000n)],
    ['a stake below a raised minimum', (world: World) => world.chain.requireStake(5_000n)],
  ])('%s refuses joins and lets the node run', async (_what, change) => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    change(world);
    await world.pass(65_000);
    expect(world.cluster.has('worker-1')).toBe(true);
    expect((await worker.heartbeat()).directives).toEqual([]);
    await expect(worker.register()).rejects.toMatchObject({
      code: expect.stringMatching(/TOKEN_EXPIRED|STAKE_TOO_LOW/),
    });
  });

  test('a change that the rings did not tell is found by the backstop', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' }, { announce: false });
    await world.pass(30_000);
    expect(world.cluster.has('worker-1')).toBe(true);
    await world.pass(35_000);
    expect(world.cluster.has('worker-1')).toBe(false);
  });

  test('a change that the answering node does not know yet is read a second time', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.lagging = new Map(world.chain.stakeRecords);
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.cluster.has('worker-1')).toBe(true);
    world.chain.lagging = undefined;
    await world.pass(4_000);
    expect(world.cluster.has('worker-1')).toBe(false);
  });

  test('readings that cannot be true are nobody’s guilt', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    // Records are never deleted on chain: whoever says so is behind, or lies.
    const record = world.chain.stakeRecords.get(worker.recordId);
    world.chain.stakeRecords.delete(worker.recordId);
    world.chain.report({ critical: [worker.recordId] });
    await world.pass(3_000);
    expect(world.cluster.has('worker-1')).toBe(true);
    // A token that is gone while its record names it.
    if (record) world.chain.stakeRecords.set(worker.recordId, record);
    world.chain.sealTokens.delete(worker.tokenId);
    world.chain.report({ critical: [worker.recordId] });
    await world.pass(3_000);
    expect(world.cluster.has('worker-1')).toBe(true);
  });

  test('what happened while the gateway was away is found at its start', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await world.stopGateway();
    world.chain.change(worker.recordId, { status: 'slashed' });
    await world.clock.advance(10_000);
    await world.startGateway();
    await settled(60);
    expect(world.cluster.has('worker-1')).toBe(false);
  });
});

describe('an eviction', () => {
  const order = ['removeName', 'cordonAndTaint', 'removePods', 'deleteNode', 'releaseNodePassword'];

  test.each(order)('that fails at %s is tried again until it is done', async (step) => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    let failures = 2;
    world.cluster.before = (method) => {
      if (method === step && failures-- > 0) throw unavailable();
    };
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    // The verdict is dropped at once, whatever the cluster does.
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'slashed' }]);
    await world.pass(10_000);
    expect(world.cluster.has('worker-1')).toBe(false);
    expect(world.cluster.names.has('worker-1')).toBe(false);
    expect((await world.audit()).filter(({ event }) => event === 'eviction.done')).toHaveLength(1);
  });

  test.each(order)('that is killed before %s is gone on with at the next start', async (step) => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const killed = Promise.withResolvers<void>();
    world.cluster.before = async (method) => {
      if (method !== step || !world.gateway) return;
      world.kill();
      killed.resolve();
      await new Promise(() => undefined);
    };
    world.chain.change(worker.recordId, { status: 'slashed' });
    await killed.promise;
    world.cluster.before = undefined;
    await world.clock.advance(1_000);
    await world.startGateway();
    await settled(60);
    expect(world.cluster.has('worker-1')).toBe(false);
    expect(world.cluster.names.has('worker-1')).toBe(false);
    await expect(
      world
        .worker('worker-1', { staker: staker(9) })
        .stake()
        .register(),
    ).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_BANNED',
    });
  });

  test('is repeated when the Node comes back by whatever way', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    world.cluster.addNode('worker-1');
    await settled(60);
    expect(world.cluster.has('worker-1')).toBe(false);
    await world.restartGateway();
    world.cluster.addNode('worker-1');
    await settled(60);
    expect(world.cluster.has('worker-1')).toBe(false);
  });

  test('finds a Node that came back while nobody watched', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    await world.stopGateway();
    world.cluster.addNode('worker-1');
    await world.startGateway();
    await settled(60);
    expect(world.cluster.has('worker-1')).toBe(false);
  });
});

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
    world.cluster.removeNode('worker-1');
    await settled(60);
    world.cluster.calls.length = 0;
    const goneAtMs = world.clock.nowMs();
    let reservedAtMs = 0;
    world.cluster.before = (method) => {
      if (method === 'reserveNodePassword') reservedAtMs = world.clock.nowMs();
    };
    await worker.registerInTime();
    expect(reservedAtMs - goneAtMs).toBeGreaterThanOrEqual(3_000);
  });

  test('does not wait for hours when the time of day was set back since', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.cluster.removeNode('worker-1');
    await settled(60);
    world.clock.step(-3_600_000);
    expect((await worker.registerInTime()).join).toBeDefined();
  });
});

describe('what is not ours is not touched', () => {
  test('Nodes that no stake admitted, marked or not, and their Secrets', async () => {
    await using world = await World.start();
    world.cluster.addNode('server-1');
    world.cluster.addNode('somebody-elses', { stakeRecordId: id('b7') });
    world.cluster.passwords.set('server-1', { nodeId: 'server-1', hash: 'x', recordId: undefined });
    world.cluster.names.set('server-1', 'ordinary');
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' });
    await world.pass(70_000);
    await world.restartGateway();
    await world.pass(5_000);
    expect(world.cluster.has('server-1')).toBe(true);
    expect(world.cluster.has('somebody-elses')).toBe(true);
    expect(world.cluster.passwords.has('server-1')).toBe(true);
    expect(world.cluster.calls.filter((call) => /server-1|somebody/.test(call))).toEqual([]);
  });

  test('nor a name that its administrator has given to an ordinary node after an eviction', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'unbonding' });
    await settled(60);
    world.cluster.names.set('worker-1', 'expected');
    await world.pass(65_000);
    world.cluster.addNode('worker-1');
    await world.pass(5_000);
    expect(world.cluster.has('worker-1')).toBe(true);
  });
});

describe("a name of the operator's is open to nobody else", () => {
  const asIfUninvited = (world: World) => world.cluster.createNodeAs('server-1');
  async function withServer(): Promise<World> {
    const world = await World.start();
    world.cluster.names.set('server-1', 'ordinary');
    world.cluster.addNode('server-1');
    await world.pass(5_000);
    return world;
  }

  test('an ordinary name is reserved as soon as its Node is deleted', async () => {
    await using world = await withServer();
    world.cluster.removeNode('server-1');
    await settled(60);
    expect(world.cluster.names.get('server-1')).toBe('reserved');
    expect(asIfUninvited(world)).toBe(403);
  });

  test('also when somebody was faster than the gateway, who then stays out at the next attempt', async () => {
    await using world = await withServer();
    world.cluster.removeNode('server-1');
    expect(asIfUninvited(world)).toBe(201);
    await settled(60);
    expect(world.cluster.names.get('server-1')).toBe('reserved');
  });

  test('also when the Node went while the gateway was down', async () => {
    await using world = await World.start();
    world.cluster.names.set('server-1', 'ordinary');
    await world.restartGateway();
    await world.pass(5_000);
    expect(world.cluster.names.get('server-1')).toBe('reserved');
  });

  test('one that is expected stays open for 15 minutes, and is an ordinary one when its Node has come', async () => {
    await using world = await World.start();
    for (const name of ['server-1', 'server-2']) world.cluster.names.set(name, 'expected');
    await world.pass(14 * 60_000);
    expect(world.cluster.names.get('server-1')).toBe('expected');
    expect(asIfUninvited(world)).toBe(201);
    await world.pass(3 * 60_000);
    expect(world.cluster.names.get('server-1')).toBe('ordinary');
    expect(world.cluster.names.get('server-2')).toBe('reserved');
  });

  test('one that is expected is an ordinary one as soon as its Node has come, and reserved as soon as it has gone', async () => {
    await using world = await World.start();
    await world.pass(5_000);
    world.cluster.names.set('server-1', 'expected');
    expect(asIfUninvited(world)).toBe(201);
    await settled(60);
    expect(world.cluster.names.get('server-1')).toBe('ordinary');
    world.cluster.removeNode('server-1');
    await settled(60);
    expect(world.cluster.names.get('server-1')).toBe('reserved');
  });

  test('a Node that comes and goes between two looks is found in the audit, and its name is closed', async () => {
    await using world = await World.start();
    await world.pass(5_000);
    world.cluster.names.set('server-1', 'expected');
    expect(asIfUninvited(world)).toBe(201);
    world.cluster.removeNode('server-1');
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
    world.cluster.names.set('server-1', 'expected');
    let failures = 3;
    world.cluster.before = (method) => {
      if (method === 'relistName' && failures-- > 0) throw unavailable();
    };
    expect(asIfUninvited(world)).toBe(201);
    world.cluster.removeNode('server-1');
    await world.pass(20_000);
    expect(failures).toBeLessThan(0);
    expect(world.cluster.names.get('server-1')).toBe('reserved');
  });

  test('the operator who opens a name again while its reservation is under way has the last word', async () => {
    await using world = await withServer();
    world.cluster.before = (method, name) => {
      if (method === 'relistName' && name === 'server-1') world.cluster.names.set('server-1', 'expected');
    };
    world.cluster.removeNode('server-1');
    await settled(60);
    expect(world.cluster.names.get('server-1')).toBe('expected');
  });
});

describe('what drifts is set right', () => {
  test('a mark that was removed comes back', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.cluster.updateNode('worker-1', { stakeRecordId: undefined });
    await settled(60);
    expect((await world.cluster.node('worker-1'))?.stakeRecordId).toBe(worker.recordId);
  });

  test('a name leaves the list when anybody deletes its Node, and the worker is told to register', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.cluster.removeNode('worker-1');
    await settled(60);
    expect(world.cluster.names.has('worker-1')).toBe(false);
    expect(world.cluster.createNodeAs('worker-1')).toBe(403);
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'reregister', reason: 'node_deleted' }]);
    expect((await worker.comeBack()).join).toBeDefined();
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('a name that was deleted while nobody watched leaves the list at the next start', async () => {
    await using world = await World.start();
    await world.member('worker-1');
    await world.stopGateway();
    world.cluster.removeNode('worker-1');
    await world.startGateway();
    await settled(60);
    expect(world.cluster.names.has('worker-1')).toBe(false);
  });

  test('an admission that is never used ends with its credential', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    await worker.register();
    await world.pass(479_000);
    expect(world.cluster.names.has('worker-1')).toBe(true);
    await world.pass(5_000);
    expect(world.cluster.names.has('worker-1')).toBe(false);
    expect(world.cluster.passwords.has('worker-1')).toBe(false);
    expect(world.cluster.credentials.size).toBe(0);
    expect(await worker.join()).toEqual({ certificate: 401, node: 0 });
  }, 60_000);

  test('names and credentials that nobody knows any more are taken back', async () => {
    await using world = await World.start();
    world.cluster.names.set('left-over', 'basic');
    await world.cluster.createJoinCredential({
      nodeId: 'left-over',
      recordId: id('b7'),
      expiresAtMs: world.clock.nowMs() + 400_000,
    });
    await world.pass(65_000);
    expect(world.cluster.names.has('left-over')).toBe(false);
    expect(world.cluster.credentials.size).toBe(0);
  });

  test('a name that was lost from the list comes back beside its Node', async () => {
    await using world = await World.start();
    await world.member('worker-1');
    world.cluster.names.delete('worker-1');
    await world.pass(65_000);
    expect(world.cluster.names.get('worker-1')).toBe('basic');
  });

  test('a watch that fails is begun again', async () => {
    await using world = await World.create();
    let failures = 3;
    world.cluster.before = (method) => {
      if (method === 'watchNodes' && failures-- > 0) throw unavailable();
    };
    await world.startGateway();
    await world.pass(5_000);
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.cluster.has('worker-1')).toBe(false);
  });
});

describe('the breaker', () => {
  test('stops a mass eviction: the fourth of five stays, is not told to stop, and is not banned', async () => {
    await using world = await World.start();
    const all = await members(world, 5);
    for (const worker of all.slice(0, 4)) world.chain.change(worker.recordId, { status: 'slashed' });
    await world.pass(5_000);
    const left = all.filter(({ nodeId }) => world.cluster.has(nodeId));
    expect(left).toHaveLength(2);
    for (const worker of left) expect((await worker.heartbeat()).directives).toEqual([]);
    const held = left.filter(({ recordId }) => world.chain.stakeRecords.get(recordId)?.status === 'slashed');
    expect(held).toHaveLength(1);
    for (const { nodeId, recordId } of left)
      expect((await world.cluster.node(nodeId))?.heldFor).toBe(
        world.chain.stakeRecords.get(recordId)?.status === 'slashed' ? 'slashed' : undefined,
      );
    await expect(
      world
        .worker('worker-9', { staker: staker(9) })
        .stake()
        .register(),
    ).rejects.toMatchObject({ code: 'DAAS_GATEWAY_BREAKER_TRIPPED', isRetryable: true });

    // It stays tripped over a restart, until somebody resets it.
    await world.restartGateway();
    await world.pass(400_000);
    expect(left.every(({ nodeId }) => world.cluster.has(nodeId))).toBe(true);
  }, 60_000);

  test('asks for one eviction after the other, however many facts turn bad at the same moment', async () => {
    await using world = await World.start();
    const all = await members(world, 8);
    for (const { recordId } of all) world.chain.change(recordId, { status: 'slashed' }, { announce: false });
    world.chain.report({ critical: all.map(({ recordId }) => recordId) });
    await world.pass(5_000);
    expect(all.filter(({ nodeId }) => world.cluster.has(nodeId))).toHaveLength(5);
  }, 60_000);

  test('counts what stakers are said to have signed themselves too, since one liar could have said it', async () => {
    await using world = await World.start();
    const all = await members(world, 4);
    for (const worker of all) world.chain.change(worker.recordId, { status: 'unbonding' });
    await world.pass(5_000);
    expect(all.filter(({ nodeId }) => world.cluster.has(nodeId))).toHaveLength(1);
  });
});
