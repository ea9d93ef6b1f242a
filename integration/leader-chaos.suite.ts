import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { Lifetime, systemClock } from '#base';
import type { KubernetesPort } from '#domain';
import { addKey, createStore, openKeyRing, sealEngine } from '#state';
import { seededRandom } from '#testing';
import type { FakeWorker } from '../src/gateway/fake-worker.fixture.ts';
import { CLUSTER_ID } from '../src/gateway/ids.fixture.ts';
import { OPERATOR_PATHS } from '../src/gateway/operator-wire.ts';
import { World } from '../src/gateway/world.fixture.ts';
import { type ChaosEngine, etcdChaos, kubernetesChaos } from './state/chaos-engines.ts';
import { etcdProblem } from './state/etcd-server.ts';
import { type Wire, wireTo } from './state/wire.ts';
import { suiteWorld } from './suite-world.ts';

/**
 * Three gateways of one cluster on one state: in a real etcd, or in Secrets of the API server of this project. The cluster that
 * they work on and the chain are in memory, and their time is turned.
 */

const schedules = Number(process.env.K3S_DAAS_TEST_SCHEDULES ?? 9);
const seed = Number(process.env.K3S_DAAS_TEST_SEED ?? 20_261_129);
const leaseSeconds = 4;
const isEtcd = inject('world') === 'standin';
const problem = isEtcd ? etcdProblem() : suiteWorld.isMissing ? 'it is missing' : undefined;
const where = isEtcd ? 'a real etcd' : suiteWorld.name;

let engine: ChaosEngine;
let directory: string;
let keys: string;
beforeAll(async () => {
  if (problem !== undefined) return;
  engine = await (isEtcd ? etcdChaos() : kubernetesChaos());
  directory = await mkdtemp(join(tmpdir(), 'leader-'));
  keys = join(directory, 'keys');
  await addKey({ file: keys }, systemClock.nowMs());
});
afterAll(async () => {
  await engine?.[Symbol.asyncDispose]();
  if (directory) await rm(directory, { recursive: true });
});

const ids = ['0xa1', '0xa2', '0xa3'].map((id) => `0x${id.slice(2).padStart(64, '0')}`);
const FAULTS = ['kill', 'stop', 'partition'] as const;
type Fault = (typeof FAULTS)[number];

/** The steps of an eviction in the cluster, as the leader asks for them; after the last, the state is written. */
const STEPS = [
  'removeName',
  'cordonAndTaint',
  'removePods',
  'deleteNode',
  'releaseNodePassword',
] as const satisfies ReadonlyArray<keyof KubernetesPort>;

interface Gateway {
  readonly world: World;
  readonly wire: Wire;
}

/** Shorter than an operator may set it: a test waits for its end. */
const withShortLease = (state: World['config']['state']): World['config']['state'] => ({
  ...state,
  etcd: { ...state.etcd, leaseSeconds },
  kubernetes: { ...state.kubernetes, leaseSeconds },
});

class Fleet implements AsyncDisposable {
  readonly gateways: Gateway[] = [];
  readonly prefix: string;
  readonly #life = new Lifetime();
  /** Whose calls are held, with what lets them go. */
  #frozen: { readonly id: string; readonly thawed: PromiseWithResolvers<void> } | undefined;
  onCall: ((method: string, id: string) => void) | undefined;

  private constructor(prefix: string) {
    this.prefix = prefix;
  }

  static async start(prefix: string): Promise<Fleet> {
    const fleet = new Fleet(prefix);
    await engine.begin(prefix);
    let first: World | undefined;
    for (const id of ids) {
      const wire = fleet.#life.use('a wire', await wireTo(engine.url));
      const { state, options } = engine.gateway(prefix, wire.url);
      const change = { state: { ...state, keys: { file: keys } } };
      const world = fleet.#life.use('a gateway', await World.create(change, first, id));
      world.options = options;
      world.config = { ...world.config, state: withShortLease(world.config.state) };
      first ??= world;
      fleet.gateways.push({ world, wire });
    }
    for (const { world } of fleet.gateways) (await world.startGateway()).ended.catch(() => undefined);
    fleet.cluster.before = async (method) => {
      const id = fleet.cluster.caller;
      fleet.onCall?.(method, id);
      if (fleet.#frozen?.id === id) await fleet.#frozen.thawed.promise;
    };
    return fleet;
  }

  get first(): World {
    return this.gateways[0]?.world as World;
  }
  get cluster() {
    return this.first.kubernetes;
  }
  gatewayOf(id: string): Gateway {
    return this.gateways.find(({ world }) => world.config.gatewayId === id) as Gateway;
  }

  /** Who leads, by its own word, leaving out one of them. */
  async leader(except?: Gateway): Promise<Gateway | undefined> {
    for (const one of this.gateways) {
      if (one === except) continue;
      const checks = (await one.world.gateway?.health()) ?? [];
      if (checks.some(({ name, detail }) => name === 'lead' && detail === 'this gateway leads')) return one;
    }
    return undefined;
  }

  /** Time passes everywhere until it is so. */
  async until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
    const deadlineMs = performance.now() + 60_000;
    while (performance.now() < deadlineMs) {
      await this.first.pass(1_000);
      const found = await look();
      if (found !== undefined && found !== false) return found;
      await sleep(10);
    }
    throw new Error(`it did not come to this: ${what}`);
  }

  /** As a broken network, `kill -9` or SIGSTOP leave it. */
  strike(fault: Fault, { world, wire }: Gateway): void {
    if (fault === 'partition') {
      wire.freeze();
      return;
    }
    if (fault === 'kill') {
      wire.cut();
      world.kill();
      return;
    }
    wire.freeze();
    this.#frozen = { id: world.config.gatewayId, thawed: Promise.withResolvers() };
  }

  /** What was held goes on. */
  mend({ wire }: Gateway): void {
    this.#frozen?.thawed.resolve();
    this.#frozen = undefined;
    wire.mend();
  }

  /** The cluster and the state, as they count. */
  async snapshot() {
    const { cluster } = this;
    const nodes = (await cluster.nodes()).map(({ name, uid, isUnschedulable, stakeRecordId }) => ({
      name,
      uid,
      isUnschedulable,
      stakeRecordId,
    }));
    await using looking = await engine.look(this.prefix);
    const sealed = await sealEngine(looking, await openKeyRing({ file: keys }), CLUSTER_ID);
    const records = await createStore(sealed).list('/');
    return {
      nodes,
      names: Object.fromEntries(cluster.names),
      taints: Object.fromEntries(cluster.taints),
      credentials: [...cluster.credentials.keys()].toSorted(),
      passwords: [...cluster.passwords.keys()].toSorted(),
      records,
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#frozen?.thawed.resolve();
    this.#frozen = undefined;
    for (const { wire } of this.gateways) wire.mend();
    this.cluster.before = undefined;
    return this.#life.close();
  }
}

const planned = Array.from({ length: schedules }, (_value, index) => {
  // The same schedule for the same seed.
  const draw = seededRandom(seed + index);
  // The first ones take every step with every fault in turn; the others are drawn.
  const count = FAULTS.length * STEPS.length;
  const at = index < count ? (index * 7) % count : Math.floor(draw() * count);
  return {
    index,
    fault: FAULTS[at % FAULTS.length] as Fault,
    step: STEPS[Math.floor(at / FAULTS.length)] as (typeof STEPS)[number],
    /** Before the step, or after it was carried out. */
    isAfter: draw() < 0.5,
  };
});

async function memberOf(fleet: Fleet, leader: Gateway, name: string): Promise<FakeWorker> {
  const worker = await leader.world.member(name);
  fleet.cluster.pods.set(name, 3);
  return worker;
}

describe.skipIf(problem !== undefined)(`three gateways on ${where}${problem ? ` (${problem})` : ''}`, () => {
  test('one leads and serves; the others refuse workers, know its bans, and one of them takes over', async () => {
    await using fleet = await Fleet.start('/leader/serving');
    const leader = await fleet.until('a gateway leads', () => fleet.leader());
    const [follower] = fleet.gateways.filter((one) => one !== leader);
    if (!follower) throw new Error('no other gateway is running');
    const worker = await memberOf(fleet, leader, 'worker-1');
    worker.gateway = follower.world;
    await expect(worker.heartbeat()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_STANDING_BY',
      isRetryable: true,
    });
    await expect(worker.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STANDING_BY' });
    const command = { target: { subject: 'node_id', value: 'worker-9' }, reason: 'by hand' };
    expect(await follower.world.operator(OPERATOR_PATHS.ban, command)).toMatchObject({
      code: 'standing_by',
    });
    expect(await leader.world.operator(OPERATOR_PATHS.ban, command)).toMatchObject({ done: true });
    await leader.world.stopGateway();
    const next = await fleet.until('another leads', () => fleet.leader());
    expect(next).not.toBe(leader);
    worker.gateway = next.world;
    expect((await worker.register()).join).toBeUndefined();
    expect((await worker.heartbeat()).directives).toEqual([]);
  }, 120_000);

  test.each(planned)(
    'schedule $index: the leader meets $fault at $step (after it: $isAfter), and the eviction is completed once',
    async ({ index, fault, step, isAfter }) => {
      await using fleet = await Fleet.start(`/leader/${seed}/${index}`);
      const old = await fleet.until('a gateway leads', () => fleet.leader());
      const worker = await memberOf(fleet, old, 'worker-1');
      const other = await memberOf(fleet, old, 'worker-2');
      const uid = fleet.cluster.uidOf('worker-1');
      let hasStruck = false;
      fleet.onCall = (method, id) => {
        const isThere = isAfter ? STEPS.indexOf(method as never) > STEPS.indexOf(step) : method === step;
        if (hasStruck || !isThere || id !== old.world.config.gatewayId) return;
        hasStruck = true;
        fleet.strike(fault, old);
      };
      fleet.first.chain.change(worker.recordId, { status: 'unbonding' });
      const next = await fleet.until('another gateway leads', async () => {
        // After the last step there is no other: the answer of the last one has come.
        if (!hasStruck && !fleet.cluster.has('worker-1')) {
          hasStruck = true;
          fleet.strike(fault, old);
        }
        return hasStruck ? fleet.leader(old) : undefined;
      });
      await fleet.until('the eviction is completed', () => !fleet.cluster.has('worker-1') || undefined);
      expect(fleet.cluster.names.has('worker-1')).toBe(false);

      // The name goes to a new stake, so that whatever comes late would meet somebody else.
      const again = next.world.worker('worker-1').stake();
      await fleet.until('the worker is admitted again', () =>
        again.register().then(
          () => true,
          () => undefined,
        ),
      );
      expect(await again.join()).toEqual({ certificate: 200, node: 201 });
      await again.heartbeat();
      other.gateway = next.world;
      expect((await other.register()).join).toBeUndefined();
      await fleet.first.pass(5_000);
      const before = await fleet.snapshot();
      expect(before.nodes.map(({ name }) => name).toSorted()).toEqual(['worker-1', 'worker-2']);
      expect(fleet.cluster.uidOf('worker-1')).not.toBe(uid);

      const ended = old.world.gateway?.ended;
      if (fault !== 'kill') fleet.mend(old);
      await sleep(300);
      await fleet.first.pass(3_000);
      await sleep(100);
      expect(await fleet.snapshot()).toEqual(before);
      expect(await fleet.leader(next)).toBeUndefined();
      if (fault !== 'kill') await expect(ended).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NOT_LEADING' });
    },
    120_000,
  );
});
