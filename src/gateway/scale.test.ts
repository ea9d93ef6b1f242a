import { describe, expect, test } from 'vitest';
import { silentLog } from '#base';
import type { Change, Store } from '#state';
import { FakeChain, FakeClock, FakeKubernetes, settled } from '#testing';
import { createAdmission } from './admission.ts';
import { createCommitGroup } from './commit-group.ts';
import { GatewayConfig } from './config.ts';
import { createDueTimes } from './due-times.ts';
import { createFactCache } from './fact-cache.ts';
import { FACT_LIFE_MS } from './fact-context.ts';
import { REREADS_A_SECOND } from './fact-refresh.ts';
import { CLUSTER_ID, GATEWAY_ID, id, STAKER } from './ids.fixture.ts';
import { createGate, createLocks } from './locks.ts';
import type { Reconciler } from './reconciler.ts';
import { openRegistry, type Registry } from './registry.ts';
import { toStored, workerKey } from './stored-worker.ts';
import { createWorkQueue } from './work-queue.ts';
import { aWorker } from './worker.fixture.ts';

const key = new Uint8Array(32).fill(7);

/** A store in memory that counts its transactions. */
class MemoryStore implements Store {
  readonly isLocal = true;
  readonly values = new Map<string, unknown>();
  readonly writes: Array<readonly Change[]> = [];
  async read(name: string): Promise<unknown> {
    return this.values.get(name);
  }
  async list(prefix: string): Promise<ReadonlyArray<readonly [string, unknown]>> {
    return [...this.values].filter(([name]) => name.startsWith(prefix));
  }
  async write(changes: readonly Change[]): Promise<void> {
    this.writes.push(changes);
    for (const { key: name, value } of changes)
      if (value === undefined) this.values.delete(name);
      else this.values.set(name, value);
  }
  async follow(): Promise<void> {}
  async [Symbol.asyncDispose](): Promise<void> {}
}

/** A map that counts how often somebody walks through it. */
class WatchedMap<K, V> extends Map<K, V> {
  walks = 0;
  override entries() {
    this.walks += 1;
    return super.entries();
  }
  override keys() {
    this.walks += 1;
    return super.keys();
  }
  override values() {
    this.walks += 1;
    return super.values();
  }
  override forEach(look: (value: V, key: K, map: Map<K, V>) => void) {
    this.walks += 1;
    super.forEach(look);
  }
  override [Symbol.iterator]() {
    return this.entries();
  }
}

/** A registry of so many members, with their stakes on the chain. */
async function registryOf(
  count: number,
  chain: FakeChain,
): Promise<{ registry: Registry; store: MemoryStore }> {
  const store = new MemoryStore();
  for (let index = 0; index < count; index += 1) {
    const nodeId = `worker-${index}`;
    const { recordId, tokenId } = chain.stake(nodeId, key, { announce: false });
    store.values.set(workerKey(nodeId), toStored(aWorker({ nodeId, recordId, tokenId }), undefined));
  }
  return { registry: await openRegistry(store), store };
}

describe('with many workers', () => {
  test('no challenge, admission or reading of facts looks at all of them', async () => {
    const clock = new FakeClock();
    const chain = new FakeChain({ clock: new FakeClock(), clusterId: CLUSTER_ID, staker: STAKER });
    const kubernetes = new FakeKubernetes(clock);
    const { registry } = await registryOf(2_000, chain);
    let looks = 0;
    const nodes = new WatchedMap<string, never>();
    const names = new WatchedMap([...kubernetes.names]);
    const bans = new WatchedMap([...registry.bans()]);
    const watched: Registry = {
      ...registry,
      bans: () => bans,
      workers() {
        looks += 1;
        return registry.workers();
      },
    };
    const facts = createFactCache({
      chain,
      follower: chain,
      clusterId: CLUSTER_ID,
      clock,
      log: silentLog,
      registry: watched,
      random: Math.random,
    });
    const admission = createAdmission({
      config: {
        ...GatewayConfig.parse({
          server: 'https://k3s.example:6443',
          serverCaFile: '/ca',
          stateDir: '/state',
          tls: { certFile: '/c', keyFile: '/k' },
          admit: { maxNodes: 2_001 },
        }),
        gatewayId: GATEWAY_ID,
      },
      kubernetes,
      chain,
      registry: watched,
      reconciler: {
        nodes: () => nodes,
        names: () => names,
        enqueue: () => undefined,
        expireAdmission: async () => undefined,
      } as unknown as Reconciler,
      audit: { note: async () => undefined, failure: () => undefined } as never,
      refusals: { count: () => false, flush: () => undefined },
      clones: { examineRegistration: async () => undefined, registered: () => undefined },
      locks: createLocks(),
      clock,
      log: silentLog,
    });
    looks = 0;
    const { tokenId } = chain.stake('newcomer', key, { announce: false });
    expect(admission.preview('newcomer', STAKER)).toBeUndefined();
    const read = await facts.read(tokenId, 'newcomer');
    const { join } = await admission.admit({
      nodeId: 'newcomer',
      holderKey: Buffer.from(key).toString('base64url'),
      tokenId,
      facts: read,
      fact: { kind: 'good' },
      nodePasswordHash: 'hash',
      host: {},
      requestId: 'r',
    });
    expect(join).toBeDefined();
    expect(admission.preview('one-too-many', STAKER)).toBe('cluster_full');
    await facts.read(id('dead'), 'nobody');
    expect({ looks, nodes: nodes.walks, names: names.walks, bans: bans.walks }).toEqual({
      looks: 0,
      nodes: 0,
      names: 0,
      bans: 0,
    });
  });

  test('facts that were read together are read again apart, and no more than a bounded number a second', async () => {
    const clock = new FakeClock();
    const chain = new FakeChain({ clock: new FakeClock(), clusterId: CLUSTER_ID, staker: STAKER });
    const count = 20 * REREADS_A_SECOND;
    const { registry } = await registryOf(count, chain);
    let seed = 1;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const cache = createFactCache({
      chain,
      follower: chain,
      clusterId: CLUSTER_ID,
      clock,
      log: silentLog,
      registry,
      random,
    });
    const stop = new AbortController();
    const following = cache.follow({ changed: () => undefined, allChanged: () => undefined }, stop.signal);
    await settled(60);
    const asked = () => chain.asked.tokens.flat().length;
    expect(asked()).toBe(count);
    const perSecond: number[] = [];
    for (let second = 0; second < FACT_LIFE_MS / 1_000; second += 1) {
      const before = asked();
      await clock.advance(1_000, 1_000);
      perSecond.push(asked() - before);
    }
    stop.abort();
    await following;
    expect(Math.max(...perSecond)).toBeLessThanOrEqual(REREADS_A_SECOND);
    expect(perSecond.filter((read) => read > 0).length).toBeGreaterThan(20);
    // Each of them once, within its life.
    expect(asked()).toBeGreaterThanOrEqual(2 * count);
  }, 60_000);

  test('decisions that come together wait for the disk once, in their order, and heartbeats never write the past over one', async () => {
    const { registry, store } = await registryOf(
      200,
      new FakeChain({ clock: new FakeClock(), clusterId: CLUSTER_ID, staker: STAKER }),
    );
    registry.recordHeartbeat('worker-0', {
      incarnation: 1,
      sequence: 1,
      lastHeartbeatMs: 1,
      agentState: 'ready',
      stakeStatus: 'active',
      stakeAmount: '1',
      runningPods: 0,
      resourceUsage: { cpuPercent: 0, memoryPercent: 0, diskPercent: 0 },
      goodAtMs: 1,
    });
    const saves = registry
      .workers()
      .map((worker) => registry.save({ worker: { ...worker, incarnation: 2 } }));
    await Promise.all([...saves, registry.flush(), registry.forget('worker-1')]);
    expect(store.writes).toHaveLength(1);
    expect(store.values.get('/workers/worker-0')).toMatchObject({
      incarnation: 2,
      heartbeat: { sequence: 1 },
    });
    expect(store.values.has('/workers/worker-1')).toBe(false);
    expect(registry.admittedCount()).toBe(199);
    expect(registry.workerOfToken(registry.worker('worker-2')?.tokenId ?? '')?.nodeId).toBe('worker-2');
  });
});

describe('a group of commits', () => {
  test('that cannot be written fails as a whole, counts for nothing, and the next one goes on', async () => {
    let isFull = true;
    const counted: string[] = [];
    const group = createCommitGroup(async () => {
      if (isFull) throw new Error('the disk is full');
    });
    const commit = (name: string) => group.add({ changes: () => [], apply: () => void counted.push(name) });
    const failing = await Promise.allSettled([commit('a'), commit('b')]);
    expect(failing.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    isFull = false;
    // One after the other: each finds that nobody writes any more.
    for (const name of ['c', 'd', 'e']) await commit(name);
    expect(counted).toEqual(['c', 'd', 'e']);
  });
});

describe('due times', () => {
  test('are taken in their order, a bounded number at once, and what was put off is not due', () => {
    const due = createDueTimes();
    for (let index = 0; index < 10; index += 1) due.set(`k${index}`, 1_000 * (10 - index));
    due.set('k9', 60_000);
    due.delete('k8');
    expect(due.take(900, 10)).toEqual([]);
    expect(due.take(5_000, 2)).toEqual(['k7', 'k6']);
    expect(due.take(5_000, 10)).toEqual(['k5']);
    due.set('late', 1_000);
    expect(due.take(5_500, 10)).toEqual(['late']);
    expect(due.take(60_000, 10)).toEqual(['k4', 'k3', 'k2', 'k1', 'k0', 'k9']);
    expect(due.take(1e9, 10)).toEqual([]);
    due.set('k0', 1e9 + 1);
    expect(due.take(1e9, 10)).toEqual([]);
    expect(due.take(1e9 + 500, 10)).toEqual(['k0']);
  });
});

describe('a line', () => {
  test('is left by those whose signal aborts, and goes on without them', async () => {
    const locks = createLocks();
    const gate = createGate(1, 8);
    const { promise, resolve } = Promise.withResolvers<void>();
    const order: string[] = [];
    for (const enter of [
      (work: () => Promise<void>, signal?: AbortSignal) => locks.run('a', work, signal),
      (work: () => Promise<void>, signal?: AbortSignal) => gate.enter(work, signal),
    ]) {
      const gone = new AbortController();
      const first = enter(() => promise);
      const second = enter(async () => void order.push('never'), gone.signal);
      const third = enter(async () => void order.push('third'));
      gone.abort(new Error('gone'));
      await expect(second).rejects.toThrow('gone');
      await expect(enter(async () => void order.push('never'), gone.signal)).rejects.toThrow('gone');
      resolve();
      await Promise.all([first, third]);
    }
    expect(order).toEqual(['third', 'third']);
    expect(locks.waiting('a')).toBe(0);
  });

  test('of work puts what is urgent before everything that waits', async () => {
    const runs: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const queue = createWorkQueue({
      clock: new FakeClock(),
      random: () => 0.5,
      log: silentLog,
      atOnce: 1,
      urgentAtOnce: 1,
      run: async (name) => {
        runs.push(name);
        await promise;
      },
    });
    for (const name of ['first', 'second', 'third', 'slashed']) queue.add(name);
    queue.add('slashed', { isUrgent: true });
    resolve();
    await settled(5);
    expect(runs).toEqual(['first', 'slashed', 'second', 'third']);
    await queue.close();
  });
});
