import { describe, expect, test, vi } from 'vitest';
import { DaasError, Secret } from '#base';
import { settled } from '#testing';
import { STAKER } from './ids.fixture.ts';
import { World } from './world.fixture.ts';

const OTHER = `0x${'52'.repeat(32)}`;

/** The calls of an admission that change the cluster, in their order. */
const steps = ['removeName', 'reserveNodePassword', 'admitName', 'createJoinCredential'] as const;

/**
 * Somebody who was admitted under his own name, and holds a live credential, tries another's name: at the supervisor,
 * and, with whatever certificate he got while the name was not admitted, at the API server.
 */
class Mallory {
  readonly world: World;
  readonly token: string;
  readonly password = new Secret('mallory');
  readonly got: string[] = [];

  private constructor(world: World, token: string) {
    this.world = world;
    this.token = token;
  }
  static async arrive(world: World): Promise<Mallory> {
    const own = world.worker('mallory', { staker: OTHER }).stake();
    const registration = await own.register();
    return new Mallory(world, registration.join?.token.reveal() ?? '');
  }
  /** Succeeds only with a certificate for a name that is admitted, or that has a Node, at the same moment. */
  async tryName(nodeId: string, moment: string): Promise<void> {
    const { cluster } = this.world;
    const reservedBefore = cluster.passwords.get(nodeId);
    const status = await cluster.claim(nodeId, this.token, this.password);
    if (status === 200 && (cluster.names.has(nodeId) || cluster.has(nodeId))) this.got.push(moment);
    // The claim itself is undone: a certificate for a name nobody has reserved yet is what docs/security.md leaves open.
    if (status === 200 && !reservedBefore) cluster.passwords.delete(nodeId);
  }
}

describe('an admission', () => {
  test.each(steps)('killed just before %s leaves nothing that anybody could use', async (step) => {
    await using world = await World.start();
    const mallory = await Mallory.arrive(world);
    const worker = world.worker('worker-1').stake();
    const killed = Promise.withResolvers<void>();
    world.cluster.before = async (method, nodeId) => {
      await mallory.tryName('worker-1', `before ${method}`);
      if (method === step && nodeId === 'worker-1' && world.gateway) {
        world.kill();
        killed.resolve();
        await new Promise(() => undefined);
      }
    };
    void worker.register().catch(() => undefined);
    await killed.promise;
    world.cluster.before = (method) => mallory.tryName('worker-1', `after the kill, before ${method}`);
    await mallory.tryName('worker-1', 'while nobody guards');

    await world.clock.advance(1_000);
    await world.startGateway();
    await world.pass(3_000);
    expect(world.cluster.names.has('worker-1')).toBe(false);
    expect(world.cluster.passwords.has('worker-1')).toBe(false);
    expect([...world.cluster.credentials.values()].map(({ nodeId }) => nodeId)).toEqual(['mallory']);

    // And the worker, which has lost its connection, simply registers again.
    await worker.register();
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
    expect(mallory.got).toEqual([]);
  });

  test.each(steps)('killed just after %s leaves nothing that anybody could use', async (step) => {
    await using world = await World.start();
    const mallory = await Mallory.arrive(world);
    const worker = world.worker('worker-1').stake();
    let hasPassed = false;
    const killed = Promise.withResolvers<void>();
    world.cluster.before = async (method, nodeId) => {
      await mallory.tryName('worker-1', `before ${method}`);
      if (method === step && nodeId === 'worker-1') hasPassed = true;
    };
    void worker.register().catch(() => undefined);
    // The first moment after the step was carried out.
    const watch = async () => {
      while (!hasPassed || !wasDone()) await new Promise((resolve) => setImmediate(resolve));
      if (world.gateway) world.kill();
      killed.resolve();
    };
    const wasDone = () => {
      switch (step) {
        case 'removeName':
          return true;
        case 'reserveNodePassword':
          return world.cluster.passwords.get('worker-1')?.recordId !== undefined;
        case 'admitName':
          return world.cluster.names.has('worker-1');
        default:
          return [...world.cluster.credentials.values()].some(({ nodeId }) => nodeId === 'worker-1');
      }
    };
    await watch();
    await killed.promise;
    world.cluster.before = undefined;
    await mallory.tryName('worker-1', 'while nobody guards');
    await world.clock.advance(1_000);
    await world.startGateway();
    await world.pass(3_000);
    await mallory.tryName('worker-1', 'after the restart');
    await worker.register();
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
    expect(mallory.got).toEqual([]);
  });

  test('of a worker that comes back is as closed to others as its first', async () => {
    await using world = await World.start();
    const mallory = await Mallory.arrive(world);
    const worker = await world.member('worker-1');
    // Its Node is deleted, its password is new: everything has to be made anew.
    world.cluster.removeNode('worker-1');
    await settled(60);
    world.cluster.before = (method, nodeId) =>
      mallory.tryName('worker-1', `before ${method} (${nodeId ?? ''})`);
    worker.password = new Secret('another data directory');
    await worker.registerInTime();
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
    expect(mallory.got).toEqual([]);
  });

  test('that cannot reach the cluster is refused as "later", and takes back what it began', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    world.cluster.before = (method) => {
      if (method === 'createJoinCredential')
        throw new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'down', { isRetryable: true });
    };
    await expect(worker.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_CLUSTER_UNAVAILABLE',
      isRetryable: true,
      details: { status: 503, retryAfterMs: 2_000 },
    });
    world.cluster.before = undefined;
    expect(world.cluster.names.has('worker-1')).toBe(false);
    expect(world.cluster.passwords.has('worker-1')).toBe(false);
    await worker.register();
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test.each([
    ['premium', 10_000n, 'premium'],
    ['premium', 9_999n, 'standard'],
    ['premium', 1_000n, 'standard'],
    ['standard', 10_000n, 'standard'],
    ['basic', 10_000n, 'basic'],
  ] as const)(
    'by a token of tier %s over a stake of %d MIST gives the tier %s',
    async (minted, stakeMist, tier) => {
      await using world = await World.start();
      const worker = world.worker('worker-1').stake({ stakeMist });
      const token = world.chain.sealTokens.get(worker.tokenId);
      if (!token) throw new Error('no token');
      world.chain.sealTokens.set(worker.tokenId, { ...token, gatewayTier: minted });
      await worker.register();
      expect(world.cluster.names.get('worker-1')).toBe(tier);
    },
  );

  test('that is under way when the gateway stops is taken back', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    world.cluster.before = async (method) => {
      if (method !== 'createJoinCredential') return;
      reach();
      await settled(5);
      throw new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'the connection was cut', { isRetryable: true });
    };
    const failing = expect(worker.register()).rejects.toMatchObject({ isRetryable: true });
    await reached;
    await world.stopGateway();
    await failing;
    world.cluster.before = undefined;
    await world.clock.advance(1_000);
    await world.startGateway();
    await settled(60);
    expect(world.cluster.names.has('worker-1')).toBe(false);
    expect(world.cluster.credentials.size).toBe(0);
  });

  test('of a name that an administrator reserves at the same moment is refused', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    world.cluster.before = (method) => {
      if (method === 'admitName') world.cluster.names.set('worker-1', 'ordinary');
    };
    await expect(worker.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NAME_NOT_OURS' });
    expect(world.cluster.names.get('worker-1')).toBe('ordinary');
    expect(world.cluster.credentials.size).toBe(0);
  });

  test('that fails for another reason says so to nobody but the log', async () => {
    await using world = await World.start();
    world.cluster.before = (method) => {
      if (method === 'reserveNodePassword') throw new Error('inner detail');
    };
    const worker = world.worker('worker-1').stake();
    const error: unknown = await worker.register().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'DAAS_GATEWAY_INTERNAL' });
    expect(String((error as Error).message)).not.toContain('inner detail');
    expect(world.logged.some(({ fields }) => String(fields.detail).includes('inner detail'))).toBe(true);
    expect(world.cluster.names.has('worker-1')).toBe(false);
  });
});

describe('a worker that registers again', () => {
  test('while its Node is there and was heard lately gets no credential, and keeps its Node', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.cluster.uidOf('worker-1');
    const again = await worker.register();
    expect(again).toMatchObject({ incarnation: 2, join: undefined });
    expect(world.cluster.uidOf('worker-1')).toBe(uid);
    expect(world.cluster.credentials.size).toBe(0);
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
    expect(world.cluster.names.get('worker-1')).toBe('basic');
    world.cluster.silenceKubelet('worker-1');
    expect((await worker.registerInTime()).join).toBeDefined();
    expect(world.cluster.names.get('worker-1')).toBe('premium');
  });

  test('even twice in a row gets none: a stolen key must not open the door by asking twice', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.cluster.uidOf('worker-1');
    worker.password = new Secret('the thief’s');
    await worker.register();
    expect((await worker.register()).join).toBeUndefined();
    expect(world.cluster.uidOf('worker-1')).toBe(uid);
  });

  test('gets none by saying that its agent is down, while the API server hears the kubelet', async () => {
    await using world = await World.start();
    const victim = await world.member('worker-1');
    const uid = world.cluster.uidOf('worker-1');
    const reserved = world.cluster.passwords.get('worker-1');
    const thief = world.worker('worker-1', { key: victim.key });
    thief.tokenId = victim.tokenId;
    world.cluster.calls.length = 0;
    for (const agentState of ['starting', 'ready'] as const) {
      await thief.register();
      await thief.heartbeat({ agentState });
      expect((await thief.register()).join).toBeUndefined();
    }
    await world.pass(120_000);
    expect((await thief.register()).join).toBeUndefined();
    expect(world.cluster.calls).toEqual([]);
    expect(world.cluster.credentials.size).toBe(0);
    expect(world.cluster.uidOf('worker-1')).toBe(uid);
    expect(world.cluster.passwords.get('worker-1')).toBe(reserved);
  });

  test('gets none from a gateway that was killed and has forgotten every heartbeat', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.cluster.uidOf('worker-1');
    world.kill();
    await world.clock.advance(64_000);
    await world.startGateway();
    world.cluster.calls.length = 0;
    expect(await worker.register()).toMatchObject({ incarnation: 2, join: undefined });
    expect(world.cluster.calls).toEqual([]);
    expect(world.cluster.uidOf('worker-1')).toBe(uid);
  });

  test('gets none from a gateway whose store was lost, while its Node is heard', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await world.stopGateway();
    world.config = { ...world.config, stateDir: `${world.config.stateDir}-new` };
    await world.clock.advance(1_000);
    await world.startGateway();
    expect((await worker.register()).join).toBeUndefined();
    expect(world.cluster.names.get('worker-1')).toBe('basic');
    await worker.heartbeat();
    worker.password = new Secret('the thief’s');
    expect((await worker.register()).join).toBeUndefined();
    expect(world.cluster.credentials.size).toBe(0);
  });

  test('gets none while its Lease is renewed, though the cluster has not heard its status yet', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.cluster.silenceKubelet('worker-1');
    world.cluster.leases.set('worker-1', world.clock.nowMs() - 5_000);
    expect((await worker.register()).join).toBeUndefined();
    await world.pass(40_000);
    expect((await worker.register()).join).toBeDefined();
  });

  test('when its kubelet has fallen silent gets a credential and keeps Node and reservation', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.cluster.uidOf('worker-1');
    const reserved = world.cluster.passwords.get('worker-1');
    world.cluster.silenceKubelet('worker-1');
    world.cluster.calls.length = 0;
    const again = await worker.register();
    expect(again.join).toBeDefined();
    expect(world.cluster.calls).toEqual(['createJoinCredential worker-1']);
    expect(world.cluster.uidOf('worker-1')).toBe(uid);
    expect(world.cluster.passwords.get('worker-1')).toBe(reserved);
    // It joins, and its heartbeat says so: the credential has served its purpose.
    world.cluster.wakeKubelet('worker-1');
    await worker.heartbeat({ agentState: 'ready' });
    expect(world.cluster.credentials.size).toBe(0);
  });

  test('when its kubelet has fallen silent, with another password, gives up its old Node first', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    world.cluster.silenceKubelet('worker-1');
    worker.password = new Secret('a new data directory');
    world.cluster.calls.length = 0;
    await worker.registerInTime();
    expect(world.cluster.calls).toEqual([
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
    expect(world.cluster.credentials.size).toBe(1);
    expect(again.join?.token.reveal()).not.toBe(lost.join?.token.reveal());
    expect(await world.cluster.claim('worker-1', lost.join?.token.reveal() ?? '', worker.password)).toBe(401);
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('late reserves its name anew: k3s sweeps a password that waits too long for its Node', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    await worker.register();
    await world.pass(120_000);
    world.cluster.calls.length = 0;
    await worker.register();
    expect(world.cluster.calls).toEqual([
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
    expect(world.cluster.credentials.size).toBe(1);
    expect((await worker.register()).incarnation).toBe(admitted.length + 1);
  });
});

describe('registrations of one node', () => {
  test('do not take the places of others, however many wait', async () => {
    await using world = await World.start({ limits: { admissions: 2, admissionsWaiting: 2 } });
    const greedy = world.worker('greedy', { staker: OTHER }).stake();
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    world.cluster.before = async (method, nodeId) => {
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
    world.cluster.before = async (method, nodeId) => {
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
    world.cluster.before = undefined;
    held.resolve();
    const [one, three] = await Promise.all([first, third]);
    expect([one.incarnation, three.incarnation]).toEqual([1, 2]);
    expect(world.cluster.credentials.size).toBe(1);
  });

  test('whose caller goes while the cluster is only read change nothing; one whose steps have begun is finished', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    for (const [step, expected] of [
      ['admittedNames', 0],
      ['admitName', 1],
    ] as const) {
      const reached = Promise.withResolvers<void>();
      const held = Promise.withResolvers<void>();
      let isFirst = true;
      world.cluster.calls.length = 0;
      world.cluster.before = async (method) => {
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
      world.cluster.before = undefined;
      expect(world.cluster.calls.filter((call) => call.startsWith('createJoinCredential'))).toHaveLength(
        expected,
      );
    }
  });
});

describe('whom the operator admits', () => {
  test.each([
    ['staker_not_admitted', { admit: { stakers: [OTHER] } }],
    ['node_id_not_admitted', { admit: { nodeIdPattern: 'gpu-[0-9]+' } }],
  ] as const)('%s', async (code, change) => {
    await using world = await World.start(change);
    const worker = world.worker('worker-1').stake();
    await using connection = worker.connection();
    expect(await connection.challenge({ nodeId: 'worker-1', staker: STAKER })).toMatchObject({
      admissible: false,
      reason: code,
    });
    await expect(worker.register()).rejects.toMatchObject({
      code: `DAAS_GATEWAY_${code.toUpperCase()}`,
      exitCode: 78,
    });
    expect(world.cluster.names.size).toBe(0);
  });

  test('no more than so many, and room again when one has gone', async () => {
    await using world = await World.start({ admit: { maxNodes: 1 } });
    const first = await world.member('worker-1');
    const second = world.worker('worker-2', { staker: OTHER }).stake();
    await expect(second.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_CLUSTER_FULL',
      isRetryable: true,
    });
    await first.register();
    world.chain.change(first.recordId, { status: 'unbonding' });
    await settled(60);
    expect((await second.register()).join).toBeDefined();
  });

  test('no more than so many, also when they come at the same moment', async () => {
    await using world = await World.start({ admit: { maxNodes: 2 } });
    const several = [1, 2, 3, 4].map((index) => world.worker(`worker-${index}`).stake());
    await settled();
    const outcomes = await Promise.allSettled(several.map((worker) => worker.register()));
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    expect(world.cluster.names.size).toBe(2);
  });

  test('a pattern holds for the whole name', async () => {
    await using world = await World.start({ admit: { nodeIdPattern: 'gpu|cpu' } });
    await expect(world.worker('gpu-and-more').stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NODE_ID_NOT_ADMITTED',
    });
    expect((await world.worker('gpu').stake().register()).join).toBeDefined();
  });
});

describe('to whom a name belongs', () => {
  test('another staker waits until the first one’s stake has ended and his Node is gone', async () => {
    await using world = await World.start();
    const first = await world.member('worker-1');
    world.cluster.before = (method) => {
      if (method === 'deleteNode')
        throw new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'down', { isRetryable: true });
    };
    world.chain.change(first.recordId, { status: 'unbonding' });
    await settled(60);
    const second = world.worker('worker-1', { staker: OTHER }).stake();
    await expect(second.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NAME_TAKEN',
      isRetryable: true,
    });
    expect(world.cluster.has('worker-1')).toBe(true);
    world.cluster.before = undefined;
    await world.pass(5_000);
    expect(world.cluster.has('worker-1')).toBe(false);
    expect((await second.comeBack()).join).toBeDefined();
    expect(await second.join()).toEqual({ certificate: 200, node: 201 });
    // What the first one still holds is worth nothing.
    await expect(first.heartbeat()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID',
    });
  });

  test('a password Secret without Node and without reservation is nobody’s and is replaced', async () => {
    await using world = await World.start();
    world.cluster.passwords.set('worker-1', { nodeId: 'worker-1', hash: 'claimed', recordId: undefined });
    const worker = world.worker('worker-1').stake();
    await worker.register();
    expect(world.cluster.passwords.get('worker-1')?.recordId).toBe(worker.recordId);
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('a Node that carries its record’s mark and password is taken back after the state was lost', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const uid = world.cluster.uidOf('worker-1');
    await world.stopGateway();
    world.config = { ...world.config, stateDir: `${world.config.stateDir}-lost` };
    await world.startGateway();
    await world.pass(3_000);
    expect(world.cluster.uidOf('worker-1')).toBe(uid);
    await expect(worker.heartbeat()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID' });
    await worker.register();
    await worker.heartbeat();
    expect(world.cluster.uidOf('worker-1')).toBe(uid);
    // And is guarded again.
    world.chain.change(worker.recordId, { status: 'slashed' });
    await settled(60);
    expect(world.cluster.has('worker-1')).toBe(false);
  });
});

describe('a ban', () => {
  test('takes node id, key and the staker’s new names, and leaves his other nodes', async () => {
    await using world = await World.start();
    const bad = await world.member('worker-1');
    const other = await world.member('worker-2');
    world.chain.change(bad.recordId, { status: 'slashed' });
    await settled(60);
    const banned = { code: 'DAAS_GATEWAY_BANNED', exitCode: 77 };
    // A new stake under the same name, by somebody else.
    await expect(world.worker('worker-1', { staker: OTHER }).stake().register()).rejects.toMatchObject(
      banned,
    );
    // The same key under another name, by somebody else.
    await expect(
      world.worker('worker-3', { staker: OTHER, key: bad.key }).stake().register(),
    ).rejects.toMatchObject(banned);
    // A new name of the same staker.
    await expect(world.worker('worker-4').stake().register()).rejects.toMatchObject(banned);
    // What he has is judged by its own facts.
    expect((await other.heartbeat()).directives).toEqual([]);
    expect((await other.register()).incarnation).toBe(2);
  });

  test('holds after a restart', async () => {
    await using world = await World.start();
    const bad = await world.member('worker-1');
    world.chain.change(bad.recordId, { status: 'slashed' });
    await settled(60);
    await world.restartGateway();
    await expect(world.worker('worker-1', { staker: OTHER }).stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_BANNED',
    });
  });

  test('of a slashed stake that was never admitted spares the key, and a name that is another’s', async () => {
    await using world = await World.start();
    const honest = await world.member('worker-1', { staker: OTHER });
    // Slashed long ago under the same name; its token names the honest node's public key, as anybody's may.
    const old = world.worker('worker-1', { key: honest.key }).stake();
    world.chain.change(old.recordId, { status: 'slashed' });
    await settled();
    await expect(old.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STAKE_SLASHED' });
    expect((await honest.heartbeat()).directives).toEqual([]);
    expect((await honest.register()).incarnation).toBe(2);
    expect(world.cluster.has('worker-1')).toBe(true);
    await expect(world.worker('worker-9').stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_BANNED',
    });
  });
});

describe('while the chain is away', () => {
  test('nobody new is admitted, and who was admitted registers again on facts that are not too old', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const newcomer = world.worker('worker-2', { staker: OTHER }).stake({ announce: false });
    world.chain.isDown = true;
    await world.clock.advance(60_000);
    await expect(newcomer.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_CHAIN_UNAVAILABLE',
      isRetryable: true,
    });
    const refused = (await world.audit()).filter(({ event }) => event === 'token.refused');
    expect(refused.at(-1)).toMatchObject({
      reason: 'chain_unavailable',
      node_id: 'worker-2',
    });
    expect((await worker.heartbeat()).directives).toEqual([]);
    expect((await worker.register()).join).toBeUndefined();
    await world.clock.advance(16 * 60_000, 10_000);
    await expect(worker.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_CHAIN_UNAVAILABLE',
    });
    // Whatever happens, it runs on.
    expect(world.cluster.has('worker-1')).toBe(true);
    expect((await worker.heartbeat()).directives).toEqual([]);
  });

  test('that holds after a restart of the gateway too', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await world.pass(2_000);
    await world.stopGateway();
    world.chain.isDown = true;
    await world.clock.advance(5_000);
    await world.startGateway();
    expect((await worker.heartbeat()).directives).toEqual([]);
    expect((await worker.register()).incarnation).toBe(2);
    expect(world.cluster.has('worker-1')).toBe(true);
  });
});
