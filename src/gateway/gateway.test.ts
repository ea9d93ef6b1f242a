import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { World } from './world.fixture.ts';

describe('a worker with a good stake', () => {
  test('is told before it stakes that it would be admitted', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1');
    await using connection = worker.connection();
    const challenge = await connection.challenge({ nodeId: 'worker-1', staker: worker.staker });
    expect(challenge).toMatchObject({
      admissible: true,
      reason: undefined,
      timestampMs: world.clock.nowMs(),
      expiresAtMs: world.clock.nowMs() + 60_000,
    });
  });

  test('registers, joins, becomes a member, and its credential dies with its purpose', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    const registration = await worker.register();
    expect(registration).toMatchObject({
      nodeId: 'worker-1',
      incarnation: 1,
      heartbeatIntervalMs: 10_000,
      taints: ['k3s-daas.io/staked=basic:NoSchedule'],
      join: { server: 'https://k3s.example:6443' },
    });
    expect(registration.join?.token.reveal()).toMatch(/^K10[0-9a-f]{64}::[a-z0-9]{6}\.[a-z0-9]{16}$/);
    expect(world.kubernetes.names.get('worker-1')).toBe('basic');
    expect(world.kubernetes.credentials.size).toBe(1);

    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
    await settled();
    expect(world.kubernetes.credentials.size).toBe(0);
    expect(await world.kubernetes.node('worker-1')).toMatchObject({ stakeRecordId: worker.recordId });
  });

  test('has its heartbeats acknowledged', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    expect(await worker.heartbeat()).toMatchObject({ directives: [], timestampMs: world.clock.nowMs() });
  });

  test('takes the steps of its admission in the safe order', async () => {
    await using world = await World.start();
    await world.worker('worker-1').stake().register();
    expect(world.kubernetes.calls).toEqual([
      'removeName worker-1',
      'reserveNodePassword worker-1',
      'admitName worker-1',
      'createJoinCredential worker-1',
    ]);
  });
});

describe('a slash', () => {
  test('takes the node out: name, credential, taint, pods, Node, in this order, and bans it', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.pods.set('worker-1', 3);
    world.kubernetes.calls.length = 0;
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(100);
    expect(world.kubernetes.calls).toEqual([
      'removeName worker-1',
      'cordonAndTaint worker-1',
      'removePods worker-1',
      'deleteNode worker-1',
      'releaseNodePassword worker-1',
    ]);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect(world.kubernetes.taints.get('worker-1')).toBe('slashed');
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'slashed' }]);
    await expect(worker.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_STAKE_SLASHED',
      exitCode: 77,
      isRetryable: false,
    });
    expect(world.kubernetes.createNodeAs('worker-1')).toBe(403);
  });

  test('leaves the others alone', async () => {
    await using world = await World.start();
    const slashed = await world.member('worker-1');
    const other = await world.member('worker-2', { staker: `0x${'52'.repeat(32)}` });
    world.chain.change(slashed.recordId, { status: 'slashed' });
    await settled(100);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect(world.kubernetes.has('worker-2')).toBe(true);
    expect((await other.heartbeat()).directives).toEqual([]);
  });
});

test('state, audit file and socket are for their owner alone', async () => {
  await using world = await World.start();
  await world.member('worker-1');
  for (const name of ['gateway.db', 'gateway.db-wal', 'audit.jsonl', 'operator.sock'])
    expect([name, (await stat(join(world.config.stateDir, name))).mode & 0o777]).toEqual([name, 0o600]);
  expect((await stat(world.config.stateDir)).mode & 0o777).toBe(0o700);
});
