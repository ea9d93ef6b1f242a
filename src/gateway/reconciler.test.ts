import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { id } from './ids.fixture.ts';
import { unavailable } from './members.fixture.ts';
import { World } from './world.fixture.ts';

describe('what drifts is set right', () => {
  test('a mark that was removed comes back', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.updateNode('worker-1', { stakeRecordId: undefined });
    await settled(60);
    expect((await world.kubernetes.node('worker-1'))?.stakeRecordId).toBe(worker.recordId);
  });

  test('a name leaves the list when anybody deletes its Node, and the worker is told to register', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.removeNode('worker-1');
    await settled(60);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
    expect(world.kubernetes.createNodeAs('worker-1')).toBe(403);
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'reregister', reason: 'node_deleted' }]);
    expect((await worker.comeBack()).join).toBeDefined();
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('a name that was deleted while nobody watched leaves the list at the next start', async () => {
    await using world = await World.start();
    await world.member('worker-1');
    await world.stopGateway();
    world.kubernetes.removeNode('worker-1');
    await world.startGateway();
    await settled(60);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
  });

  test('an admission that is never used ends with its credential', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    await worker.register();
    await world.pass(479_000);
    expect(world.kubernetes.names.has('worker-1')).toBe(true);
    await world.pass(5_000);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
    expect(world.kubernetes.passwords.has('worker-1')).toBe(false);
    expect(world.kubernetes.credentials.size).toBe(0);
    expect(await worker.join()).toEqual({ certificate: 401, node: 0 });
  }, 60_000);

  test('names and credentials that nobody knows any more are taken back', async () => {
    await using world = await World.start();
    world.kubernetes.names.set('left-over', 'basic');
    await world.kubernetes.createJoinCredential({
      nodeId: 'left-over',
      recordId: id('b7'),
      expiresAtMs: world.clock.nowMs() + 400_000,
    });
    await world.pass(65_000);
    expect(world.kubernetes.names.has('left-over')).toBe(false);
    expect(world.kubernetes.credentials.size).toBe(0);
  });

  test('a name that was lost from the list comes back beside its Node', async () => {
    await using world = await World.start();
    await world.member('worker-1');
    world.kubernetes.names.delete('worker-1');
    await world.pass(65_000);
    expect(world.kubernetes.names.get('worker-1')).toBe('basic');
  });

  test('a watch that fails is begun again', async () => {
    await using world = await World.create();
    let failures = 3;
    world.kubernetes.before = (method) => {
      if (method === 'watchNodes' && failures-- > 0) throw unavailable();
    };
    await world.startGateway();
    await world.pass(5_000);
    const worker = await world.member('worker-1');
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
  });
});
