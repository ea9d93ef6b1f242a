import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import type { FakeWorker } from './fake-worker.fixture.ts';
import { members, staker, unavailable } from './members.fixture.ts';
import { World } from './world.fixture.ts';

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
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason }]);
    const next = world.worker('worker-1').stake();
    expect((await next.comeBack()).join).toBeDefined();
    expect(await next.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('a slash that leaves less than the minimum evicts and bans nobody: a top-up makes the stake good', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { stakeMist: 1n, slashedMist: 1n });
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    const reason = 'stake_short_after_slash';
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason }]);
    await expect(worker.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_STAKE_SHORT_AFTER_SLASH',
    });
    world.chain.change(worker.recordId, { stakeMist: world.chain.parameters.minimumWorkerStakeMist });
    await settled(60);
    expect((await worker.comeBack()).join).toBeDefined();
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('a slash that leaves the minimum lets the node run', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const { minimumWorkerStakeMist: stakeMist } = world.chain.parameters;
    world.chain.change(worker.recordId, { stakeMist, slashedMist: 1n });
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(true);
    expect((await worker.heartbeat()).directives).toEqual([]);
  });

  test.each([
    ['an expired token', (world: World) => (world.chain.epoch += 1_000n), 'rotate', 'token_expired'],
    [
      'a stake below a raised minimum',
      (world: World) => world.chain.requireStake(5_000n),
      'top_up',
      'stake_too_low',
    ],
  ])('%s refuses joins, lets the node run and asks its host for the remedy', async (...row) => {
    const [, change, kind, reason] = row;
    await using world = await World.start();
    const worker = await world.member('worker-1');
    change(world);
    await world.pass(65_000);
    expect(world.kubernetes.has('worker-1')).toBe(true);
    expect((await worker.heartbeat()).directives).toEqual([{ kind, reason }]);
    await expect(worker.register()).rejects.toMatchObject({
      code: expect.stringMatching(/TOKEN_EXPIRED|STAKE_TOO_LOW/),
    });
  });

  test('a change that the rings did not tell is found by the backstop', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' }, { announce: false });
    await world.pass(30_000);
    expect(world.kubernetes.has('worker-1')).toBe(true);
    await world.pass(35_000);
    expect(world.kubernetes.has('worker-1')).toBe(false);
  });

  test('a change that the answering node does not know yet is read a second time', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.lagging = new Map(world.chain.stakeRecords);
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(true);
    world.chain.lagging = undefined;
    await world.pass(4_000);
    expect(world.kubernetes.has('worker-1')).toBe(false);
  });

  test('readings that cannot be true are nobody’s guilt', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    // Records are never deleted on chain: whoever says so is behind, or lies.
    const record = world.chain.stakeRecords.get(worker.recordId);
    world.chain.stakeRecords.delete(worker.recordId);
    world.chain.report({ critical: [worker.recordId] });
    await world.pass(3_000);
    expect(world.kubernetes.has('worker-1')).toBe(true);
    // A token that is gone while its record names it.
    if (record) world.chain.stakeRecords.set(worker.recordId, record);
    world.chain.sealTokens.delete(worker.tokenId);
    world.chain.report({ critical: [worker.recordId] });
    await world.pass(3_000);
    expect(world.kubernetes.has('worker-1')).toBe(true);
  });

  test('what happened while the gateway was away is found at its start', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await world.stopGateway();
    world.chain.change(worker.recordId, { status: 'slashed' });
    await world.clock.advance(10_000);
    await world.startGateway();
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
  });
});

describe('an eviction', () => {
  const order = ['removeName', 'cordonAndTaint', 'removePods', 'deleteNode', 'releaseNodePassword'];

  test.each(order)('that fails at %s is tried again until it is done', async (step) => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    let failures = 2;
    world.kubernetes.before = (method) => {
      if (method === step && failures-- > 0) throw unavailable();
    };
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    // The verdict is dropped at once, whatever the cluster does.
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'slashed' }]);
    await world.pass(10_000);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
    expect((await world.audit()).filter(({ event }) => event === 'eviction.done')).toHaveLength(1);
  });

  test.each(order)('that is killed before %s is gone on with at the next start', async (step) => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const killed = Promise.withResolvers<void>();
    world.kubernetes.before = async (method) => {
      if (method !== step || !world.gateway) return;
      world.kill();
      killed.resolve();
      await new Promise(() => undefined);
    };
    world.chain.change(worker.recordId, { status: 'slashed' });
    await killed.promise;
    world.kubernetes.before = undefined;
    await world.clock.advance(1_000);
    await world.startGateway();
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
    await expect(
      world
        .worker('worker-1', { staker: staker(9) })
        .stake()
        .register(),
    ).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_BANNED',
    });
  });

  test('takes off its Node the finalizers that would keep it, and says so in the audit file', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.finalizers.set('worker-1', ['example.com/stay']);
    world.chain.slash(worker.recordId);
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect((await world.audit()).find(({ event }) => event === 'node.finalizers_removed')).toMatchObject({
      node_id: 'worker-1',
      finalizers: 'example.com/stay',
    });
  });

  test('is repeated when the Node comes back by whatever way', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    world.kubernetes.addNode('worker-1');
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    await world.restartGateway();
    world.kubernetes.addNode('worker-1');
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
  });

  test('finds a Node that came back while nobody watched', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    await world.stopGateway();
    world.kubernetes.addNode('worker-1');
    await world.startGateway();
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
  });
});

describe('the breaker', () => {
  test('stops a mass eviction: the fourth of five stays, is not told to stop, and is not banned', async () => {
    await using world = await World.start();
    const all = await members(world, 5);
    for (const worker of all.slice(0, 4)) world.chain.change(worker.recordId, { status: 'slashed' });
    await world.pass(5_000);
    const left = all.filter(({ nodeId }) => world.kubernetes.has(nodeId));
    expect(left).toHaveLength(2);
    for (const worker of left) expect((await worker.heartbeat()).directives).toEqual([]);
    const held = left.filter(({ recordId }) => world.chain.stakeRecords.get(recordId)?.status === 'slashed');
    expect(held).toHaveLength(1);
    for (const { nodeId, recordId } of left)
      expect((await world.kubernetes.node(nodeId))?.cordonedFor).toBe(
        world.chain.stakeRecords.get(recordId)?.status === 'slashed' ? 'slashed' : undefined,
      );
    // It holds evictions, not the admission of a good stake.
    expect((await world.member('worker-9', { staker: staker(9) })).registration?.join).toBeDefined();

    // It stays tripped over a restart, until somebody resets it.
    await world.restartGateway();
    await world.pass(400_000);
    expect(left.every(({ nodeId }) => world.kubernetes.has(nodeId))).toBe(true);
  }, 60_000);

  test('asks for one eviction after the other, however many facts turn bad at the same moment', async () => {
    await using world = await World.start();
    const all = await members(world, 8);
    for (const { recordId } of all) world.chain.change(recordId, { status: 'slashed' }, { announce: false });
    world.chain.report({ critical: all.map(({ recordId }) => recordId) });
    await world.pass(5_000);
    expect(all.filter(({ nodeId }) => world.kubernetes.has(nodeId))).toHaveLength(5);
  }, 60_000);

  test('counts what stakers are said to have signed themselves too, since one liar could have said it', async () => {
    await using world = await World.start();
    const all = await members(world, 4);
    for (const worker of all) world.chain.change(worker.recordId, { status: 'unbonding' });
    await world.pass(5_000);
    expect(all.filter(({ nodeId }) => world.kubernetes.has(nodeId))).toHaveLength(1);
  });
});
