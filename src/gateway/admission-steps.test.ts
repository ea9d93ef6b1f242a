import { describe, expect, test } from 'vitest';
import { DaasError, Secret } from '#base';
import { settled } from '#testing';
import { World } from './world.fixture.ts';

const OTHER = `0x${'52'.repeat(32)}`;

/** The calls of an admission that change the cluster, in their order. */
const steps = ['removeName', 'reserveNodePassword', 'admitName', 'createJoinCredential'] as const;

type Held = [id: string, credential: MapValue<World['kubernetes']['credentials']>];
type MapValue<M> = M extends Map<string, infer V> ? V : never;

/**
 * Somebody who was admitted under his own name, and holds a live credential, tries another's name: at the supervisor,
 * and, with whatever certificate he got while the name was not admitted, at the API server.
 */
class Mallory {
  readonly world: World;
  readonly token: string;
  readonly credential: Held | undefined;
  readonly password = new Secret('mallory');
  readonly got: string[] = [];

  private constructor(world: World, token: string, credential: Held | undefined) {
    this.world = world;
    this.token = token;
    this.credential = credential;
  }
  static async arrive(world: World): Promise<Mallory> {
    const own = world.worker('mallory', { staker: OTHER }).stake();
    const registration = await own.register();
    const [credential] = [...world.kubernetes.credentials];
    return new Mallory(world, registration.join?.token.reveal() ?? '', credential);
  }
  /** Succeeds only with a certificate for a name that is admitted, or that has a Node, at the same moment. */
  async tryName(nodeId: string, moment: string): Promise<void> {
    const { kubernetes } = this.world;
    // The gateway revokes all credentials at the third claim; a thief with many stakes always has another.
    if (this.credential) kubernetes.credentials.set(...this.credential);
    const reservedBefore = kubernetes.passwords.get(nodeId);
    const status = await kubernetes.claim(nodeId, this.token, this.password);
    if (status === 200 && (kubernetes.names.has(nodeId) || kubernetes.has(nodeId))) this.got.push(moment);
    // The claim itself is undone: a certificate for a name nobody has reserved yet is what docs/security.md leaves open.
    if (status === 200 && !reservedBefore) kubernetes.passwords.delete(nodeId);
  }
}

describe('an admission', () => {
  test.each(steps)('killed just before %s leaves nothing that anybody could use', async (step) => {
    await using world = await World.start();
    const mallory = await Mallory.arrive(world);
    const worker = world.worker('worker-1').stake();
    const killed = Promise.withResolvers<void>();
    world.kubernetes.before = async (method, nodeId) => {
      await mallory.tryName('worker-1', `before ${method}`);
      if (method === step && nodeId === 'worker-1' && world.gateway) {
        world.kill();
        killed.resolve();
        await new Promise(() => undefined);
      }
    };
    void worker.register().catch(() => undefined);
    await killed.promise;
    world.kubernetes.before = (method) => mallory.tryName('worker-1', `after the kill, before ${method}`);
    await mallory.tryName('worker-1', 'while nobody guards');

    await world.clock.advance(1_000);
    await world.startGateway();
    await world.pass(3_000);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
    expect(world.kubernetes.passwords.has('worker-1')).toBe(false);
    const holders = [...world.kubernetes.credentials.values()].map(({ nodeId }) => nodeId);
    expect(holders).not.toContain('worker-1');

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
    world.kubernetes.before = async (method, nodeId) => {
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
          return world.kubernetes.passwords.get('worker-1')?.recordId !== undefined;
        case 'admitName':
          return world.kubernetes.names.has('worker-1');
        default:
          return [...world.kubernetes.credentials.values()].some(({ nodeId }) => nodeId === 'worker-1');
      }
    };
    await watch();
    await killed.promise;
    world.kubernetes.before = undefined;
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
    world.kubernetes.removeNode('worker-1');
    await settled(60);
    world.kubernetes.before = (method, nodeId) =>
      mallory.tryName('worker-1', `before ${method} (${nodeId ?? ''})`);
    worker.password = new Secret('another data directory');
    await worker.registerInTime();
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
    expect(mallory.got).toEqual([]);
  });

  test('that cannot reach the cluster is refused as "later", and takes back what it began', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    world.kubernetes.before = (method) => {
      if (method === 'createJoinCredential')
        throw new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'down', { isRetryable: true });
    };
    await expect(worker.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_CLUSTER_UNAVAILABLE',
      isRetryable: true,
      details: { status: 503, retryAfterMs: 2_000 },
    });
    world.kubernetes.before = undefined;
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
    expect(world.kubernetes.passwords.has('worker-1')).toBe(false);
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
      expect(world.kubernetes.names.get('worker-1')).toBe(tier);
    },
  );

  test('that is under way when the gateway stops is taken back', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
    world.kubernetes.before = async (method) => {
      if (method !== 'createJoinCredential') return;
      reach();
      await settled(5);
      throw new DaasError('DAAS_CLUSTER_UNAVAILABLE', 'the connection was cut', { isRetryable: true });
    };
    const failing = expect(worker.register()).rejects.toMatchObject({ isRetryable: true });
    await reached;
    await world.stopGateway();
    await failing;
    world.kubernetes.before = undefined;
    await world.clock.advance(1_000);
    await world.startGateway();
    await settled(60);
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
    expect(world.kubernetes.credentials.size).toBe(0);
  });

  test('of a name that an administrator reserves at the same moment is refused', async () => {
    await using world = await World.start();
    const worker = world.worker('worker-1').stake();
    world.kubernetes.before = (method) => {
      if (method === 'admitName') world.kubernetes.names.set('worker-1', 'ordinary');
    };
    await expect(worker.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NAME_NOT_OURS' });
    expect(world.kubernetes.names.get('worker-1')).toBe('ordinary');
    expect(world.kubernetes.credentials.size).toBe(0);
  });

  test('that fails for another reason says so to nobody but the log', async () => {
    await using world = await World.start();
    world.kubernetes.before = (method) => {
      if (method === 'reserveNodePassword') throw new Error('inner detail');
    };
    const worker = world.worker('worker-1').stake();
    const error: unknown = await worker.register().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'DAAS_GATEWAY_INTERNAL' });
    expect(String((error as Error).message)).not.toContain('inner detail');
    expect(world.logged.some(({ fields }) => String(fields.error?.message).includes('inner detail'))).toBe(
      true,
    );
    expect(world.kubernetes.names.has('worker-1')).toBe(false);
  });
});
