import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createStore, openSqliteEngine } from '#state';
import { openRegistry } from './registry.ts';
import { fromStored, toStored, workerKey } from './stored-worker.ts';
import { aWorker } from './worker.fixture.ts';
import type { LastHeartbeat, WorkerStatus } from './worker.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'records-'));
});
afterEach(() => rm(directory, { recursive: true }));

const lastHeartbeat: LastHeartbeat = {
  incarnation: 1,
  sequence: 5,
  lastHeartbeatMs: 2_000,
  agentState: 'ready',
  stakeStatus: 'active',
  stakeAmount: '1000',
  runningPods: null,
  resourceUsage: { cpuPercent: 1.5, memoryPercent: 2, diskPercent: 3 },
  goodAtMs: 1_900,
};

describe('the store', () => {
  test('keeps what was written, in the order of keys, over a restart', async () => {
    const path = join(directory, 'state.db');
    {
      await using store = createStore(openSqliteEngine(path));
      await store.write([
        { key: '/workers/b', value: { n: 2 } },
        { key: '/workers/a', value: { n: 1 } },
        { key: '/workersx', value: 'another prefix' },
        { key: '/bans/a', value: true },
      ]);
      await store.write([{ key: '/bans/a', value: undefined }]);
    }
    await using store = createStore(openSqliteEngine(path));
    expect(await store.list('/workers/')).toEqual([
      ['/workers/a', { n: 1 }],
      ['/workers/b', { n: 2 }],
    ]);
    expect(await store.read('/bans/a')).toBeUndefined();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('writes all of a change or nothing', async () => {
    await using store = createStore(openSqliteEngine(join(directory, 'state.db')));
    await expect(
      store.write([
        { key: '/a', value: 1 },
        { key: '/b', value: 1n },
      ]),
    ).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STORE_FAILED' });
    expect(await store.read('/a')).toBeUndefined();
    await store.write([{ key: '/a', value: 2 }]);
    expect(await store.read('/a')).toBe(2);
  });
});

describe('a worker’s record', () => {
  const credential = {
    id: 'abcdef',
    issuedAtMs: 1,
    expiresAtMs: 2,
    nodeUid: 'uid',
    secretHash: 'ab'.repeat(32),
  };
  const statuses: readonly WorkerStatus[] = [
    { kind: 'admitting' },
    {
      kind: 'joining',
      reservedAtMs: 3,
      credential: { ...credential, nodeUid: undefined, secretHash: undefined },
    },
    { kind: 'member', credential },
    { kind: 'member', credential: undefined },
    { kind: 'lapsed', reason: 'node_deleted' },
    { kind: 'evicting', reason: 'slashed' },
    { kind: 'evicted', reason: 'banned' },
  ];
  test.each(statuses)('in the state $kind comes back from the store as it was', (status) => {
    const worker = aWorker({ status, lockedAtMs: 7, heldFor: 'slashed', host: { os: 'linux', cpus: 4 } });
    const stored: unknown = JSON.parse(JSON.stringify(toStored(worker, lastHeartbeat)));
    expect(fromStored(workerKey(worker.nodeId), stored)).toEqual({ worker, lastHeartbeat });
  });

  test('has the members of the seed', () => {
    expect(toStored(aWorker(), lastHeartbeat)).toMatchObject({
      node_id: 'worker-1',
      registered_at: 1_000,
      status: { kind: 'member' },
      heartbeat: { last_heartbeat: 2_000, running_pods: null, stake_status: 'active', stake_amount: '1000' },
    });
  });

  test.each([
    ['garbage', 'x'],
    ['an unknown member', { ...toStored(aWorker(), undefined), admin: true }],
    ['another state', { ...toStored(aWorker(), undefined), status: { kind: 'free' } }],
    ['the key of another node', toStored(aWorker({ nodeId: 'worker-2' }), undefined)],
  ])('that is %s stops the start: half of the truth is worse than none', (_what, value) => {
    expect(() => fromStored('/workers/worker-1', value)).toThrow(/not one that this version writes/);
  });
});

describe('the registry', () => {
  test('writes decisions at once and heartbeats when it flushes', async () => {
    const path = join(directory, 'state.db');
    {
      await using store = createStore(openSqliteEngine(path));
      const registry = await openRegistry(store);
      await registry.save({ worker: aWorker() });
      registry.recordHeartbeat('worker-1', lastHeartbeat);
      expect(await store.read('/workers/worker-1')).toMatchObject({ heartbeat: null });
      await registry.flush();
      expect(await store.read('/workers/worker-1')).toMatchObject({ heartbeat: { sequence: 5 } });
    }
    await using store = createStore(openSqliteEngine(path));
    const registry = await openRegistry(store);
    expect(registry.worker('worker-1')).toEqual(aWorker());
    expect(registry.lastHeartbeat('worker-1')).toEqual(lastHeartbeat);
  });

  test('counts a decision only once it is written', async () => {
    const store = createStore(openSqliteEngine(join(directory, 'state.db')));
    const registry = await openRegistry(store);
    await store[Symbol.asyncDispose]();
    await expect(registry.save({ worker: aWorker() })).rejects.toThrow();
    expect(registry.worker('worker-1')).toBeUndefined();
  });

  test('keeps the order of asking: no save that was asked for earlier takes back what locks out', async () => {
    await using store = createStore(openSqliteEngine(join(directory, 'state.db')));
    const registry = await openRegistry(store);
    const write = store.write.bind(store);
    const begun = Promise.withResolvers<void>();
    const mayEnd = Promise.withResolvers<void>();
    store.write = async (changes) => {
      begun.resolve();
      await mayEnd.promise;
      await write(changes);
    };
    const evicting = (nodeId: string) => aWorker({ nodeId, status: { kind: 'evicting', reason: 'slashed' } });
    const joining = (nodeId: string) =>
      aWorker({ nodeId, status: { kind: 'member', credential: undefined } });
    const underway = registry.save({ worker: joining('under-way') });
    await begun.promise;
    const waiting = registry.save({ worker: joining('waiting') });
    const forgotten = registry.forget('forgotten');
    const decided = ['under-way', 'waiting', 'forgotten', 'comes-again'].map((nodeId) =>
      registry.decide({ worker: evicting(nodeId) }),
    );
    const later = registry.save({ worker: joining('comes-again') });
    const statusOf = (nodeId: string) => registry.worker(nodeId)?.status.kind;
    expect(statusOf('waiting')).toBe('evicting');
    mayEnd.resolve();
    await Promise.all([underway, waiting, forgotten, ...decided, later]);
    for (const [nodeId, kind] of [
      ['under-way', 'evicting'],
      ['waiting', 'evicting'],
      ['forgotten', 'evicting'],
      ['comes-again', 'member'],
    ] as const) {
      expect([nodeId, statusOf(nodeId)]).toEqual([nodeId, kind]);
      expect(await store.read(`/workers/${nodeId}`)).toMatchObject({ status: { kind } });
    }
  });

  test('writes a lock-out although what was to be written with it cannot be', async () => {
    await using store = createStore(openSqliteEngine(join(directory, 'state.db')));
    const registry = await openRegistry(store);
    const write = store.write.bind(store);
    store.write = async (changes) => {
      // A worker and the history of its name.
      if (changes.length > 2) throw new Error('too much');
      await write(changes);
    };
    const refused = registry.save({ worker: aWorker({ nodeId: 'new' }) });
    refused.catch(() => undefined);
    await registry.decide({ worker: aWorker({ status: { kind: 'evicting', reason: 'slashed' } }) });
    await expect(refused).rejects.toThrow('too much');
    expect(registry.worker('new')).toBeUndefined();
    expect(await store.read('/workers/worker-1')).toMatchObject({ status: { kind: 'evicting' } });
    expect(registry.failure()).toBeUndefined();
  });

  test('flushes many heartbeats in chunks, and keeps what could not be written', async () => {
    await using store = createStore(openSqliteEngine(join(directory, 'state.db')));
    const registry = await openRegistry(store);
    for (let index = 0; index < 125; index += 1) {
      await registry.save({ worker: aWorker({ nodeId: `worker-${index}` }) });
      registry.recordHeartbeat(`worker-${index}`, lastHeartbeat);
    }
    const write = store.write.bind(store);
    const sizes: number[] = [];
    let isBroken = true;
    Object.assign(store, {
      write: async (changes: Parameters<typeof write>[0]) => {
        sizes.push(changes.length);
        if (isBroken && sizes.length === 2) throw new Error('disk full');
        return write(changes);
      },
    });
    await expect(registry.flush()).rejects.toThrow('disk full');
    isBroken = false;
    await registry.flush();
    // The first chunk, the one that failed, and again what is left.
    expect(sizes).toEqual([50, 50, 50, 25]);
    expect(await store.read('/workers/worker-124')).toMatchObject({ heartbeat: { sequence: 5 } });
  });

  test('a ban or a breaker that cannot be read does not count as none', async () => {
    await using store = createStore(openSqliteEngine(join(directory, 'state.db')));
    await store.write([{ key: '/bans/node_id/worker-1', value: { subject: 'node_id', value: 'worker-2' } }]);
    await expect(openRegistry(store)).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STORE_DAMAGED' });
    await store.write([
      { key: '/bans/node_id/worker-1', value: undefined },
      { key: '/breaker', value: 'x' },
    ]);
    await expect(openRegistry(store)).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STORE_DAMAGED' });
  });
});
