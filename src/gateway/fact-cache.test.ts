import { describe, expect, test } from 'vitest';
import { silentLog } from '#base';
import { FakeChain, FakeClock, settled } from '#testing';
import { createFactCache } from './fact-cache.ts';
import { FACT_FRESH_MS, FACT_LIFE_MS, type FactCacheOptions, REFUSAL_LIFE_MS } from './fact-context.ts';
import { judgeWorker } from './fact-judgement.ts';
import { CLUSTER_ID, id, STAKER } from './ids.fixture.ts';
import { aWorker } from './worker.fixture.ts';
import type { Worker } from './worker.ts';
import { createWorkerIndex, type WorkerIndex } from './worker-index.ts';

const key = new Uint8Array(32).fill(7);
const deaf = { changed: () => undefined, allChanged: () => undefined };

function createRegistryOf(workers: WorkerIndex): FactCacheOptions['registry'] {
  return {
    workers: () => workers.all(),
    workerOfToken: (tokenId) => workers.ofToken(tokenId),
    onWorkerChange: (listener) => workers.onChange(listener),
  };
}

class Bench implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly chain = new FakeChain({ clock: this.clock, clusterId: CLUSTER_ID, staker: STAKER });
  readonly workers = createWorkerIndex();
  readonly changes: string[][] = [];
  readonly stop = new AbortController();
  readonly cache = createFactCache({
    chain: this.chain,
    follower: this.chain,
    clusterId: CLUSTER_ID,
    clock: this.clock,
    log: silentLog,
    registry: createRegistryOf(this.workers),
    random: () => 0.999,
  });
  following: Promise<void> | undefined;

  async follow(): Promise<this> {
    const listener = {
      changed: (nodeId: string) => this.changes.push([nodeId]),
      allChanged: () => this.changes.push(this.workers.all().map(({ nodeId }) => nodeId)),
    };
    this.following = this.cache.follow(listener, this.stop.signal);
    await settled();
    return this;
  }
  worker(nodeId = 'worker-1'): Worker {
    const { recordId, tokenId } = this.chain.stake(nodeId, key, { announce: false });
    const worker = aWorker({
      nodeId,
      recordId,
      tokenId,
      holderKey: Buffer.from(key).toString('base64url'),
    });
    this.workers.set(worker);
    return worker;
  }
  /** Time passes, and the cluster object is read once at its end. */
  async pass(ms: number): Promise<void> {
    await this.clock.advance(ms);
    this.chain.report();
    await settled();
  }
  tokenReads(): number {
    return this.chain.asked.tokens.flat().length;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
    await this.following;
  }
}

test('a known worker costs nothing between two backstop readings', async () => {
  await using bench = new Bench();
  const worker = bench.worker();
  await bench.follow();
  expect(bench.cache.factOf(worker, undefined)).toEqual({ kind: 'good' });
  const before = bench.tokenReads();
  for (let count = 0; count < 5; count += 1) {
    await bench.cache.read(worker.tokenId, 'worker-1');
    await bench.pass(5_000);
  }
  expect(bench.tokenReads()).toBe(before);
  await bench.pass(FACT_LIFE_MS);
  expect(bench.tokenReads()).toBe(before + 1);
});

test('many questions about one token at once are one question to the chain', async () => {
  await using bench = await new Bench().follow();
  const { tokenId } = bench.chain.stake('worker-1', key, { announce: false });
  const before = bench.tokenReads();
  await Promise.all(Array.from({ length: 20 }, () => bench.cache.read(tokenId, 'worker-1')));
  expect(bench.tokenReads()).toBe(before + 1);
});

test('a refusal is forgotten after a second', async () => {
  await using bench = await new Bench().follow();
  const tokenId = id('a001');
  expect((await bench.cache.read(tokenId, 'worker-1')).token).toBeUndefined();
  const before = bench.tokenReads();
  await bench.cache.read(tokenId, 'worker-1');
  expect(bench.tokenReads()).toBe(before);
  const recordId = bench.chain.addRecord({ nodeId: 'worker-1', stakeMist: 1_000n });
  bench.chain.addToken(recordId, key, { id: tokenId });
  await bench.clock.advance(REFUSAL_LIFE_MS);
  expect((await bench.cache.read(tokenId, 'worker-1')).token?.id).toBe(tokenId);
});

test('a token that the rings name is there before its holder shows it', async () => {
  await using bench = await new Bench().follow();
  const { tokenId } = bench.chain.stake('worker-1', key);
  await settled();
  expect(bench.cache.knows(tokenId)).toBe(true);
  const before = bench.tokenReads();
  await bench.cache.read(tokenId, 'worker-1');
  expect(bench.tokenReads()).toBe(before);
});

test('a change is told once it is read, with the node it is about', async () => {
  await using bench = new Bench();
  const worker = bench.worker();
  bench.worker('worker-2');
  await bench.follow();
  bench.changes.length = 0;
  bench.chain.change(worker.recordId, { status: 'slashed' });
  await settled();
  expect(bench.changes[0]).toEqual(['worker-1']);
  expect(bench.cache.factOf(worker, undefined)).toEqual({ kind: 'bad', reason: 'stake_slashed' });
});

test('whoever asks for a token that is gone does not make its worker’s revocation be forgotten', async () => {
  await using bench = await new Bench().follow();
  const worker = bench.worker();
  await bench.pass(1_000);
  bench.chain.revoke(worker.tokenId);
  await settled();
  const revoked = { kind: 'bad', reason: 'token_revoked' };
  expect(bench.cache.factOf(worker, 0)).toEqual(revoked);
  await bench.pass(REFUSAL_LIFE_MS + 2_500);
  await bench.cache.read(worker.tokenId, 'somebody');
  expect(bench.cache.factOf(worker, 0)).toEqual(revoked);
});

test('a reading that was under way when the change was announced is not believed', async () => {
  await using bench = new Bench();
  const worker = bench.worker();
  await bench.follow();
  const records = bench.chain.records.bind(bench.chain);
  // The first answer is of before the change and arrives after its announcement.
  let delay: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();
  const held = delay.promise;
  bench.chain.records = async (ids) => {
    const answer = await records(ids);
    if (delay) await held;
    return answer;
  };
  await bench.clock.advance(FACT_LIFE_MS);
  const asked = bench.cache.read(worker.tokenId, 'worker-1');
  await settled();
  bench.chain.change(worker.recordId, { status: 'slashed' });
  await settled();
  const release = delay;
  delay = undefined;
  release.resolve();
  expect((await asked).record?.status).toBe('slashed');
});

test('facts go from good to unknown when the chain is not heard, and bad ones stay bad', async () => {
  await using bench = new Bench();
  const worker = bench.worker();
  const slashed = bench.worker('worker-2');
  await bench.follow();
  bench.chain.change(slashed.recordId, { status: 'slashed' });
  await settled();
  bench.chain.isDown = true;
  await bench.clock.advance(FACT_FRESH_MS + 1_000);
  expect(bench.cache.factOf(worker, undefined)).toMatchObject({ kind: 'unknown' });
  expect(bench.cache.factOf(slashed, undefined)).toEqual({ kind: 'bad', reason: 'stake_slashed' });
  await expect(bench.cache.read(worker.tokenId, 'worker-1')).rejects.toMatchObject({
    code: 'DAAS_CHAIN_UNAVAILABLE',
  });
  bench.chain.isDown = false;
  await bench.pass(1_000);
  await bench.clock.advance(1_000);
  expect(bench.cache.factOf(worker, undefined)).toEqual({ kind: 'good' });
});

test('of a worker of which nothing was read yet, the age of the last good reading is told', async () => {
  await using bench = new Bench();
  const worker = bench.worker();
  const nowMs = bench.clock.nowMs();
  expect(bench.cache.factOf(worker, nowMs - 500)).toEqual({ kind: 'unknown', ageMs: 500 });
  expect(bench.cache.factOf(worker, undefined)).toEqual({
    kind: 'unknown',
    ageMs: Number.POSITIVE_INFINITY,
  });
});

test('a thousand workers are read in batches of fifty at the start', async () => {
  await using bench = new Bench();
  for (let index = 0; index < 1_000; index += 1) bench.worker(`worker-${index}`);
  await bench.follow();
  await settled(60);
  expect(Math.max(...bench.chain.asked.tokens.map((ids) => ids.length))).toBe(50);
  expect(bench.chain.asked.tokens.length).toBeLessThanOrEqual(40);
  expect(bench.workers.all().every((worker) => bench.cache.factOf(worker, undefined).kind === 'good')).toBe(
    true,
  );
});

test('facts that cannot be read keep no others from being seen, and are read again', async () => {
  await using bench = new Bench();
  const workers = Array.from({ length: 120 }, (_, index) => bench.worker(`worker-${index}`));
  await bench.follow();
  const records = bench.chain.records.bind(bench.chain);
  const [bad] = workers as [Worker];
  await bench.clock.advance(31_000);
  bench.chain.point = () => Promise.reject(new Error('no epoch'));
  bench.chain.records = async (ids) => {
    if (ids.includes(bad.recordId)) throw new Error('not these');
    return records(ids);
  };
  bench.changes.length = 0;
  bench.chain.report({ critical: workers.map(({ recordId }) => recordId) });
  await settled();
  expect(bench.changes.flat().toSorted()).toEqual(
    workers
      .slice(1)
      .map(({ nodeId }) => nodeId)
      .toSorted(),
  );
  bench.chain.records = records;
  await bench.clock.advance(1_000);
  expect(bench.changes.flat()).toContain(bad.nodeId);
});

test('while the chain is away no more is asked of it each second than can be on its way at once', async () => {
  await using bench = new Bench();
  for (let index = 0; index < 2_000; index += 1) bench.worker(`worker-${index}`);
  bench.chain.isDown = true;
  await bench.follow();
  await bench.clock.advance(1_000);
  const before = bench.tokenReads();
  await bench.clock.advance(1_000);
  // Five hundred at once, and the halves of one batch, which find out whether it answers again.
  expect(bench.tokenReads() - before).toBeLessThanOrEqual(2 * 550);
  bench.chain.isDown = false;
  await bench.pass(2_000);
  expect(new Set(bench.changes.flat()).size).toBe(2_000);
});

test('an outage of the rings is no news, and a follower that gives up is an error', async () => {
  await using bench = new Bench();
  const worker = bench.worker();
  await bench.follow();
  bench.chain.reportOutage();
  await settled();
  expect(bench.cache.factOf(worker, undefined)).toEqual({ kind: 'good' });
  const other = createFactCache({
    chain: bench.chain,
    follower: { follow: async function* () {} },
    clusterId: CLUSTER_ID,
    clock: bench.clock,
    log: silentLog,
    registry: createRegistryOf(createWorkerIndex()),
    random: () => 0,
  });
  await expect(other.follow(deaf, new AbortController().signal)).rejects.toMatchObject({
    code: 'DAAS_CHAIN_FOLLOWER_ENDED',
  });
});

test('an epoch that the chain withholds for minutes leaves one look at all workers, not one a second', async () => {
  await using bench = new Bench();
  bench.worker('worker-1');
  bench.worker('worker-2');
  const answer = Promise.withResolvers<void>();
  const point = bench.chain.point.bind(bench.chain);
  bench.chain.point = () => answer.promise.then(() => point());
  await bench.follow();
  for (let count = 0; count < 60; count += 1) await bench.pass(1_000);
  bench.changes.length = 0;
  answer.resolve();
  await settled();
  expect(bench.changes).toEqual([['worker-1', 'worker-2']]);
});

describe('what the chain says of a worker that was admitted', () => {
  const chain = new FakeChain({ clock: new FakeClock(), clusterId: CLUSTER_ID, staker: STAKER });
  const { recordId, tokenId } = chain.stake('worker-1', key);
  const token = chain.sealTokens.get(tokenId);
  const record = chain.stakeRecords.get(recordId);
  if (!token || !record) throw new Error('no stake');
  const worker = { nodeId: 'worker-1', tokenId };

  test.each([
    ['all is well', { token, record }, undefined],
    ['its record is gone, which cannot be', { token, record: undefined }, 'contradiction'],
    ['its token is gone and still named', { token: undefined, record }, 'contradiction'],
    [
      'its token is gone and no longer named',
      { token: undefined, record: { ...record, token: undefined } },
      'token_revoked',
    ],
    [
      'its token is gone and another is named',
      { token: undefined, record: { ...record, token: id('f0') } },
      'token_superseded',
    ],
    [
      'its token is gone, another is named, and a slash left too little',
      { token: undefined, record: { ...record, token: id('f0'), slashedMist: 1n, stakeMist: 1n } },
      'stake_short_after_slash',
    ],
    [
      'it is slashed, whatever else',
      { token: undefined, record: { ...record, status: 'slashed' as const, token: undefined } },
      'stake_slashed',
    ],
    ['the record is of another node', { token, record: { ...record, nodeId: 'other' } }, 'contradiction'],
  ])('%s', async (_what, facts, judgement) => {
    const at = { cluster: await chain.cluster(), point: await chain.point() };
    expect(judgeWorker({ ...facts, ...at }, worker)).toBe(judgement);
  });
});
