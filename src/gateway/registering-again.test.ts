import { describe, expect, test, vi } from 'vitest';
import { Secret } from '#base';
import { settled } from '#testing';
import { World } from './world.fixture.ts';

const OTHER = `0x${'52'.repeat(32)}`;

describe('a worker that registers again', () => {
  test('while its Node is there and was heard lately gets no credential, and keeps its Node', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.kubernetes.uidOf('worker-1');
    const again = await worker.register();
    expect(again).toMatchObject({ incarnation: 2, join: undefined });
    expect(world.kubernetes.uidOf('worker-1')).toBe(uid);
    expect(world.kubernetes.credentials.size).toBe(0);
  });

  test('with a token of another tier keeps the one it was admitted with until it joins anew', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake({ stakeMist: 10_000n });
    await worker.register();
    await worker.join();
    await worker.heartbeat();
    const token = world.chain.sealTokens.get(worker.tokenId);
    if (!token) throw new Error('no token');
    world.chain.sealTokens.set(worker.tokenId, { ...token, gatewayTier: 'premium' });
    world.chain.report({ others: [worker.recordId] });
    await settled(60);
    const taint = 'k3s-daas.io/staked=basic:NoSchedule';
    expect(await worker.register()).toMatchObject({ join: undefined, taints: [taint] });
    expect(world.kubernetes.names.get('worker-1')).toBe('basic');
    world.kubernetes.silenceKubelet('worker-1');
    expect((await worker.registerInTime()).join).toBeDefined();
    expect(world.kubernetes.names.get('worker-1')).toBe('premium');
  });

  test('even twice in a row gets none: a stolen key must not open the door by asking twice', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.kubernetes.uidOf('worker-1');
    worker.password = new Secret('the thief’s');
    await worker.register();
    expect((await worker.register()).join).toBeUndefined();
    expect(world.kubernetes.uidOf('worker-1')).toBe(uid);
  });

  test('gets none by saying that its agent is down, while the API server hears the kubelet', async () => {
    await using world = await World.start();
    const victim = await world.member('worker-1');
    const uid = world.kubernetes.uidOf('worker-1');
    const reserved = world.kubernetes.passwords.get('worker-1');
    const thief = world.worker('worker-1', { key: victim.key });
    thief.tokenId = victim.tokenId;
    world.kubernetes.calls.length = 0;
    for (const agentState of ['starting', 'ready'] as const) {
      await thief.register();
      await thief.heartbeat({ agentState });
      expect((await thief.register()).join).toBeUndefined();
    }
    await world.pass(120_000);
    expect((await thief.register()).join).toBeUndefined();
    expect(world.kubernetes.calls).toEqual([]);
    expect(world.kubernetes.credentials.size).toBe(0);
    expect(world.kubernetes.uidOf('worker-1')).toBe(uid);
    expect(world.kubernetes.passwords.get('worker-1')).toBe(reserved);
  });

  test('gets none from a gateway that was killed and has forgotten every heartbeat', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.kubernetes.uidOf('worker-1');
    world.kill();
    await world.clock.advance(64_000);
    await world.startGateway();
    world.kubernetes.calls.length = 0;
    expect(await worker.register()).toMatchObject({ incarnation: 2, join: undefined });
    expect(world.kubernetes.calls).toEqual([]);
    expect(world.kubernetes.uidOf('worker-1')).toBe(uid);
  });

  test('gets none from a gateway whose store was lost, while its Node is heard', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await world.stopGateway();
    world.config = { ...world.config, stateDir: `${world.config.stateDir}-new` };
    await world.clock.advance(1_000);
    await world.startGateway();
    expect((await worker.register()).join).toBeUndefined();
    expect(world.kubernetes.names.get('worker-1')).toBe('basic');
    await worker.heartbeat();
    worker.password = new Secret('the thief’s');
    expect((await worker.register()).join).toBeUndefined();
    expect(world.kubernetes.credentials.size).toBe(0);
  });

  test('gets none while its Lease is renewed, though the cluster has not heard its status yet', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.silenceKubelet('worker-1');
    world.kubernetes.leases.set('worker-1', world.clock.nowMs() - 5_000);
    expect((await worker.register()).join).toBeUndefined();
    await world.pass(40_000);
    expect((await worker.register()).join).toBeDefined();
  });

  test('when its kubelet has fallen silent gets a credential and keeps Node and reservation', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.kubernetes.uidOf('worker-1');
    const reserved = world.kubernetes.passwords.get('worker-1');
    world.kubernetes.silenceKubelet('worker-1');
    world.kubernetes.calls.length = 0;
    const again = await worker.register();
    expect(again.join).toBeDefined();
    expect(world.kubernetes.calls).toEqual(['createJoinCredential worker-1']);
    expect(world.kubernetes.uidOf('worker-1')).toBe(uid);
    expect(world.kubernetes.passwords.get('worker-1')).toBe(reserved);
    // It joins, and its heartbeat says so: the credential has served its purpose.
    world.kubernetes.wakeKubelet('worker-1');
    await worker.heartbeat({ agentState: 'ready' });
    expect(world.kubernetes.credentials.size).toBe(0);
  });

  test('when its kubelet has fallen silent, with another password, gives up its old Node first', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.kubernetes.silenceKubelet('worker-1');
    worker.password = new Secret('a new data directory');
    world.kubernetes.calls.length = 0;
    await worker.registerInTime();
    expect(world.kubernetes.calls).toEqual([
      'removeName worker-1',
      'deleteNode worker-1',
      'reserveNodePassword worker-1',
      'admitName worker-1',
      'createJoinCredential worker-1',
    ]);
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('because the reply was lost gets a new credential, and the old one is dead', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    const lost = await worker.register();
    const again = await worker.register();
    expect(again.incarnation).toBe(2);
    expect(world.kubernetes.credentials.size).toBe(1);
    expect(again.join?.token.reveal()).not.toBe(lost.join?.token.reveal());
    expect(await world.kubernetes.claim('worker-1', lost.join?.token.reveal() ?? '', worker.password)).toBe(
      401,
    );
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('late reserves its name anew: k3s sweeps a password that waits too long for its Node', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    await worker.register();
    await world.pass(120_000);
    world.kubernetes.calls.length = 0;
    await worker.register();
    expect(world.kubernetes.calls).toEqual([
      'revokeJoinCredential',
      'removeName worker-1',
      'reserveNodePassword worker-1',
      'admitName worker-1',
      'createJoinCredential worker-1',
    ]);
  });

  test('many times at once is admitted one after the other, one waits, and the rest come back later', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    const all = await Promise.allSettled([1, 2, 3, 4].map(() => worker.register()));
    const admitted = all.filter(({ status }) => status === 'fulfilled');
    expect(admitted.length).toBeGreaterThanOrEqual(2);
    for (const outcome of all)
      if (outcome.status === 'rejected')
        expect(outcome.reason).toMatchObject({ code: 'DAAS_GATEWAY_RATE_LIMITED', isRetryable: true });
    expect(world.kubernetes.credentials.size).toBe(1);
    expect((await worker.register()).incarnation).toBe(admitted.length + 1);
  });
});

describe('registrations of one node', () => {
  test('do not take the places of others, however many wait', async () => {
    await using world = await World.start({ limits: { admissions: 2, admissionsWaiting: 2 } });
    const greedy = world.worker('greedy', { staker: OTHER }).stake();
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    world.kubernetes.before = async (method, nodeId) => {
      if (method !== 'reserveNodePassword' || nodeId !== 'greedy') return;
      reached.resolve();
      await held.promise;
    };
    const first = greedy.register();
    await reached.promise;
    const others = Promise.allSettled([1, 2, 3].map(() => greedy.register()));
    // One is at work and one waits, which takes one place: the other is free.
    await settled(60);
    for (const nodeId of ['worker-1', 'worker-2', 'worker-3']) {
      const worker = world.worker(nodeId).stake();
      expect((await worker.register()).join).toBeDefined();
    }
    held.resolve();
    await first;
    const codes = (await others).map((one) => (one.status === 'rejected' ? one.reason.code : 'admitted'));
    expect(codes.filter((code) => code === 'admitted')).toHaveLength(1);
    expect(codes.filter((code) => code === 'DAAS_GATEWAY_RATE_LIMITED')).toHaveLength(2);
  });

  test('that wait end with the connection of their caller, and leave no trace', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    world.kubernetes.before = async (method, nodeId) => {
      if (method !== 'reserveNodePassword' || nodeId !== 'worker-1') return;
      reached.resolve();
      await held.promise;
    };
    const first = worker.register();
    await reached.promise;
    const gone = new AbortController();
    const waiting = expect(worker.register(gone.signal)).rejects.toThrow();
    await vi.waitFor(async () =>
      expect((await world.audit()).filter(({ event }) => event === 'token.used')).toHaveLength(2),
    );
    gone.abort(new Error('the worker was stopped'));
    await waiting;
    await settled(60);
    // Its place in the line is free again.
    const third = worker.register();
    await settled(60);
    world.kubernetes.before = undefined;
    held.resolve();
    const [one, three] = await Promise.all([first, third]);
    expect([one.incarnation, three.incarnation]).toEqual([1, 2]);
    expect(world.kubernetes.credentials.size).toBe(1);
  });

  test('whose caller goes while the cluster is only read change nothing; one whose steps have begun is finished', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    for (const [step, expected] of [
      ['admittedName', 0],
      ['admitName', 1],
    ] as const) {
      const reached = Promise.withResolvers<void>();
      const held = Promise.withResolvers<void>();
      let isFirst = true;
      world.kubernetes.calls.length = 0;
      world.kubernetes.before = async (method) => {
        if (method !== step || !isFirst) return;
        isFirst = false;
        reached.resolve();
        await held.promise;
      };
      const gone = new AbortController();
      const failing = expect(worker.register(gone.signal)).rejects.toThrow();
      await reached.promise;
      gone.abort(new Error('the worker was stopped'));
      await failing;
      await settled(60);
      held.resolve();
      await settled(60);
      world.kubernetes.before = undefined;
      expect(world.kubernetes.calls.filter((call) => call.startsWith('createJoinCredential'))).toHaveLength(
        expected,
      );
    }
  });
});
