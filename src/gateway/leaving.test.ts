import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Machine } from '#seal';
import { settled } from '#testing';
import { FakeWorker, newKey } from './fake-worker.fixture.ts';
import { members, staker, unavailable } from './members.fixture.ts';
import { World } from './world.fixture.ts';

const home: Machine = { machineId: 'machine-a', bootId: 'boot-a', runId: 'host' };
/** `k3s-daas leave` on the machine of the host. */
const command: Machine = { ...home, runId: 'command' };
const left = [{ kind: 'stop', reason: 'left' }];

let world: World;
let node: FakeWorker;
beforeEach(async () => {
  world = await World.start();
  node = world.worker('worker-1');
  node.machine = home;
  node.stake();
  await node.register();
  await node.join();
  world.kubernetes.updateNode('worker-1', { bootId: 'boot-a' });
  await node.heartbeat();
});
afterEach(() => world[Symbol.asyncDispose]());

function besides(machine: Machine | undefined, key = node.key): FakeWorker {
  const other = new FakeWorker(world, node.nodeId, node.staker, key);
  other.tokenId = node.tokenId;
  other.password = node.password;
  other.machine = machine;
  return other;
}

test('a node that leaves is gone with its name and credential, nothing is banned, and its host has to stop', async () => {
  await besides(command).leave();
  expect(world.kubernetes.has('worker-1')).toBe(false);
  expect(world.kubernetes.names.has('worker-1')).toBe(false);
  expect((await node.heartbeat()).directives).toEqual(left);
  const events = (await world.audit()).map(({ event, reason }) => [event, reason]);
  expect(events).toContainEqual(['node.leaves', undefined]);
  expect(events).toContainEqual(['eviction.decided', 'left']);
  expect(events).toContainEqual(['eviction.done', 'left']);
  const [decided] = (await world.audit()).filter(({ event }) => event === 'eviction.decided');
  expect(decided).not.toHaveProperty('bans');
});

test('leaving again says that it is done, and does nothing', async () => {
  const leaver = besides(command);
  await leaver.leave();
  const calls = (await world.audit()).filter(({ event }) => event === 'eviction.decided').length;
  expect(await leaver.leave()).toBe('left');
  expect((await world.audit()).filter(({ event }) => event === 'eviction.decided')).toHaveLength(calls);
});

test('while the cluster is away a node is on its way out, and is out once that is back', async () => {
  world.kubernetes.before = (method) => {
    if (method === 'deleteNode') throw unavailable();
  };
  expect(await besides(command).leave()).toBe('leaving');
  expect((await node.heartbeat()).directives).toEqual(left);
  world.kubernetes.before = () => undefined;
  await world.pass(10_000);
  expect(world.kubernetes.has('worker-1')).toBe(false);
  expect(await besides(command).leave()).toBe('left');
});

test('the process that was running does not come back by itself; a host that is started again does, on the same stake', async () => {
  await besides(command).leave();
  await world.pass(3_000);
  await expect(node.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NODE_LEFT', exitCode: 77 });
  expect((await node.heartbeat()).directives).toEqual(left);
  const next = besides({ ...home, runId: 'host-2' });
  expect((await next.comeBack()).join).toBeDefined();
  expect(await next.join()).toEqual({ certificate: 200, node: 201 });
});

describe('somebody else', () => {
  test('with another node key does not take a node out', async () => {
    const stranger = besides(command, newKey());
    await expect(stranger.leave()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID' });
    expect(world.kubernetes.has('worker-1')).toBe(true);
  });

  test('with a stake of their own does not take another node out', async () => {
    const other = world.worker('worker-2', { staker: staker(2) }).stake();
    await other.register();
    const posing = new FakeWorker(world, 'worker-1', other.staker, other.key);
    posing.tokenId = other.tokenId;
    await expect(posing.leave()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID' });
    expect(world.kubernetes.has('worker-1')).toBe(true);
  });

  test('with the stolen node key on another machine does not take the node out, whether its Node is Ready or silent', async () => {
    for (const machine of [{ machineId: 'machine-b', bootId: 'boot-b', runId: 'thief' }, undefined]) {
      await expect(besides(machine).leave()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NODE_IN_USE' });
    }
    world.kubernetes.silenceKubelet('worker-1');
    await world.pass(41_000);
    const thief = besides({ machineId: 'machine-b', bootId: 'boot-b', runId: 'thief' });
    await expect(thief.leave()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NODE_IN_USE' });
    expect(world.kubernetes.has('worker-1')).toBe(true);
    expect((await node.heartbeat()).directives).toEqual([]);
  });

  test('who replays the proof of a leave does nothing', async () => {
    const leaver = besides(command);
    await using connection = leaver.connection();
    const challenge = await connection.challenge({ nodeId: 'worker-1', staker: node.staker });
    await connection.leave({ challenge, sealTokenId: node.tokenId });
    await settled(60);
    const next = besides({ ...home, runId: 'host-2' });
    await next.comeBack();
    await next.join();
    // The same nonce, as every proof that was seen before has it.
    await expect(connection.leave({ challenge, sealTokenId: node.tokenId })).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID',
    });
    expect(world.kubernetes.has('worker-1')).toBe(true);
  });
});

test('a machine that was restarted without its host still takes its node out', async () => {
  world.kubernetes.silenceKubelet('worker-1');
  await world.pass(41_000);
  await besides({ ...command, bootId: 'boot-a2' }).leave();
  expect(world.kubernetes.has('worker-1')).toBe(false);
});

test('nodes that leave do not count for the breaker', async () => {
  await using crowd = await World.start();
  const all = await members(crowd, 6);
  for (const each of all) await each.leave();
  await crowd.pass(1_000);
  expect(all.filter(({ nodeId }) => crowd.kubernetes.has(nodeId))).toEqual([]);
  expect((await crowd.audit()).map(({ event }) => event)).not.toContain('breaker.tripped');
});

test('a leave survives the death of the gateway', async () => {
  world.kubernetes.before = (method) => {
    if (method === 'deleteNode') throw unavailable();
  };
  await besides(command).leave();
  world.kill();
  world.kubernetes.before = () => undefined;
  await world.clock.advance(1_000);
  await world.startGateway();
  await world.pass(3_000);
  expect(world.kubernetes.has('worker-1')).toBe(false);
});
