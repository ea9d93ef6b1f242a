import { appendFile, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openAudit } from './audit.ts';
import { lineHash } from './audit-chain.ts';
import { openDiskReserve } from './disk-reserve.ts';
import { openRegistry } from './registry.ts';
import { openSqliteStore } from './store.ts';
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
      await using store = openSqliteStore(path);
      await store.write([
        { key: '/workers/b', value: { n: 2 } },
        { key: '/workers/a', value: { n: 1 } },
        { key: '/workersx', value: 'another prefix' },
        { key: '/bans/a', value: true },
      ]);
      await store.write([{ key: '/bans/a', value: undefined }]);
    }
    await using store = openSqliteStore(path);
    expect(await store.list('/workers/')).toEqual([
      ['/workers/a', { n: 1 }],
      ['/workers/b', { n: 2 }],
    ]);
    expect(await store.read('/bans/a')).toBeUndefined();
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('writes all of a change or nothing', async () => {
    await using store = openSqliteStore(join(directory, 'state.db'));
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
  const credential = { id: 'abcdef', issuedAtMs: 1, expiresAtMs: 2, nodeUid: 'uid' };
  const statuses: readonly WorkerStatus[] = [
    { kind: 'admitting' },
    { kind: 'joining', reservedAtMs: 3, credential: { ...credential, nodeUid: undefined } },
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
      await using store = openSqliteStore(path);
      const registry = await openRegistry(store);
      await registry.save({ worker: aWorker() });
      registry.recordHeartbeat('worker-1', lastHeartbeat);
      expect(await store.read('/workers/worker-1')).toMatchObject({ heartbeat: null });
      await registry.flush();
      expect(await store.read('/workers/worker-1')).toMatchObject({ heartbeat: { sequence: 5 } });
    }
    await using store = openSqliteStore(path);
    const registry = await openRegistry(store);
    expect(registry.worker('worker-1')).toEqual(aWorker());
    expect(registry.lastHeartbeat('worker-1')).toEqual(lastHeartbeat);
  });

  test('counts a decision only once it is written', async () => {
    const store = openSqliteStore(join(directory, 'state.db'));
    const registry = await openRegistry(store);
    await store[Symbol.asyncDispose]();
    await expect(registry.save({ worker: aWorker() })).rejects.toThrow();
    expect(registry.worker('worker-1')).toBeUndefined();
  });

  test('keeps the order of asking: no save that was asked for earlier takes back what locks out', async () => {
    await using store = openSqliteStore(join(directory, 'state.db'));
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
    await using store = openSqliteStore(join(directory, 'state.db'));
    const registry = await openRegistry(store);
    const write = store.write.bind(store);
    store.write = async (changes) => {
      if (changes.length > 1) throw new Error('too much');
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
    await using store = openSqliteStore(join(directory, 'state.db'));
    const registry = await openRegistry(store);
    for (let index = 0; index < 450; index += 1) {
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
    expect(sizes).toEqual([200, 200, 200, 50]);
    expect(await store.read('/workers/worker-449')).toMatchObject({ heartbeat: { sequence: 5 } });
  });

  test('a ban or a breaker that cannot be read does not count as none', async () => {
    await using store = openSqliteStore(join(directory, 'state.db'));
    await store.write([{ key: '/bans/node_id/worker-1', value: { subject: 'node_id', value: 'worker-2' } }]);
    await expect(openRegistry(store)).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STORE_DAMAGED' });
    await store.write([
      { key: '/bans/node_id/worker-1', value: undefined },
      { key: '/breaker', value: 'x' },
    ]);
    await expect(openRegistry(store)).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STORE_DAMAGED' });
  });
});

/** Every append ends in the midst of its first line. */
async function fullDisk(path: string): Promise<{ empty(): void }> {
  const file = await open(path, 'w');
  const prototype = Object.getPrototypeOf(file) as { appendFile: (data: string) => Promise<void> };
  await file.close();
  const { appendFile: append } = prototype;
  prototype.appendFile = async function (this: unknown, data: string) {
    await append.call(this as typeof prototype, data.slice(0, 20));
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  };
  return {
    empty: () => {
      prototype.appendFile = append;
    },
  };
}

describe('the audit file', () => {
  const lines = async (path: string) =>
    (await readFile(path, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  test('is an unbroken chain also when the disk was full in between', async () => {
    const path = join(directory, 'audit.jsonl');
    await using audit = await openAudit(path, () => 0);
    const disk = await fullDisk(join(directory, 'other'));
    await expect(audit.note('thing.done', { n: 1 })).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_AUDIT_FAILED',
    });
    expect(audit.failure()).toContain('ENOSPC');
    disk.empty();
    await audit.note('thing.done', { n: 2 });
    expect(audit.failure()).toBeUndefined();
    const [first, second, ...more] = await lines(path);
    expect(second).toMatchObject({ seq: 2, n: 2, prev: first?.hash });
    expect(more).toEqual([]);
  });

  test('is a chain: each line carries the hash of the one before, over restarts', async () => {
    const path = join(directory, 'audit.jsonl');
    for (const round of [1, 2]) {
      await using audit = await openAudit(path, () => 0);
      await Promise.all([1, 2, 3].map((n) => audit.note('thing.done', { round, n })));
    }
    const all = await lines(path);
    expect(all.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    let previous = '0'.repeat(64);
    for (const { hash, ...body } of all) {
      expect(body.prev).toBe(previous);
      expect(lineHash(body)).toBe(hash);
      previous = String(hash);
    }
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test('goes on after a line that a crash cut short, and says so', async () => {
    const path = join(directory, 'audit.jsonl');
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    const [, last] = await lines(path);
    await appendFile(path, '{"seq":3,"at":"19');
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    const text = await readFile(path, 'utf8');
    const [third, fourth] = text.trimEnd().split('\n').slice(-2);
    expect(JSON.parse(third ?? '')).toMatchObject({
      seq: 3,
      event: 'audit.opened',
      cut_short: true,
      prev: last?.hash,
    });
    expect(JSON.parse(fourth ?? '')).toMatchObject({ seq: 4, event: 'thing.done' });
  });

  test('begins a new chain on a file it cannot read, and says so by its number', async () => {
    const path = join(directory, 'audit.jsonl');
    await writeFile(path, 'garbage\n');
    await using audit = await openAudit(path, () => 0);
    await audit.note('thing.done', {});
    const text = await readFile(path, 'utf8');
    expect(JSON.parse(text.split('\n')[1] ?? '')).toMatchObject({ seq: 1, prev: '0'.repeat(64) });
  });

  test('writes a line that comes in the very moment in which the last one was written', async () => {
    const path = join(directory, 'audit.jsonl');
    await using audit = await openAudit(path, () => 0);
    for (let n = 0; n < 20; n += 1) await audit.note('thing.done', { n });
    expect(await lines(path)).toHaveLength(21);
  });

  test('goes on in a new file when one is full, keeps so many, and is one chain over all of them', async () => {
    const path = join(directory, 'audit.jsonl');
    const options = { maxFileBytes: 1_000, maxFiles: 3 };
    for (const round of [1, 2]) {
      await using audit = await openAudit(path, () => 0, options);
      for (let n = 0; n < 20; n += 1) await audit.note('thing.done', { round, n });
    }
    const earlier = (await readdir(directory)).filter((name) => name.startsWith('audit-until-')).sort();
    expect(earlier).toHaveLength(3);
    const kept = [];
    for (const name of [...earlier, 'audit.jsonl']) kept.push(...(await lines(join(directory, name))));
    expect(kept[0]).toMatchObject({
      event: 'audit.rotated',
      earlier: expect.stringMatching(/^audit-until-/),
    });
    expect(kept.some(({ removed }) => String(removed).startsWith('audit-until-'))).toBe(true);
    let { prev: previous, seq: sequence } = kept[0] ?? {};
    for (const { hash, ...body } of kept) {
      expect(body).toMatchObject({ prev: previous, seq: sequence });
      expect(lineHash(body)).toBe(hash);
      previous = hash;
      sequence = Number(sequence) + 1;
    }
    for (const name of [...earlier, 'audit.jsonl'])
      expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
  });

  test('goes on from the file before it when a crash came between the two', async () => {
    const path = join(directory, 'audit.jsonl');
    {
      await using audit = await openAudit(path, () => 0);
      await audit.note('thing.done', {});
    }
    const [, last] = await lines(path);
    await rename(path, join(directory, 'audit-until-000000000002.jsonl'));
    {
      await using audit = await openAudit(path, () => 0);
      await audit.flush();
    }
    expect((await lines(path))[0]).toMatchObject({ seq: 3, prev: last?.hash });
  });

  test('keeps what only has to be known in order until there is room, and counts what is too much', async () => {
    const path = join(directory, 'audit.jsonl');
    await using audit = await openAudit(path, () => 0, { mostWaiting: 3 });
    const disk = await fullDisk(join(directory, 'other'));
    audit.record('thing.seen', { n: 0 });
    await audit.flush();
    for (let n = 1; n < 10; n += 1) audit.record('thing.seen', { n });
    audit.recordLockOut('thing.locked', {});
    await audit.flush();
    disk.empty();
    await audit.flush();
    expect((await lines(path)).map(({ event, n, count }) => [event, n ?? count])).toEqual([
      ['audit.opened', undefined],
      ['thing.seen', 0],
      ['thing.seen', 1],
      ['thing.seen', 2],
      ['thing.locked', undefined],
      ['audit.dropped', 7],
    ]);
  });
});

describe('the reserve on the disk', () => {
  test('is used for a lock-out alone, and what lets somebody in is refused until it is back', async () => {
    const path = join(directory, 'audit.jsonl');
    const reserve = await openDiskReserve(join(directory, 'reserve'), 4_096);
    await using audit = await openAudit(path, () => 0, { reserve });
    const disk = await fullDisk(join(directory, 'other'));
    const failed = { code: 'DAAS_GATEWAY_AUDIT_FAILED' };
    await expect(audit.note('thing.done', {})).rejects.toMatchObject(failed);
    expect(reserve.isSpent()).toBe(false);
    audit.recordLockOut('thing.locked', {});
    await audit.flush();
    expect(reserve.isSpent()).toBe(true);
    disk.empty();
    await expect(audit.note('thing.done', {})).rejects.toMatchObject(failed);
    await reserve.restore();
    await audit.note('thing.done', {});
    expect(reserve.isSpent()).toBe(false);
  });
});
