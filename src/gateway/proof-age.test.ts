import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { id } from './ids.fixture.ts';
import { isProofNewEnough, type ProofAge } from './proof-age.ts';
import { World } from './world.fixture.ts';

const proofAgeMs = 900_000;
const nowMs = 10_000_000;
const old = nowMs - proofAgeMs - 1;
const recent = nowMs - proofAgeMs;
const RECORD = id('b1');

const record: ProofAge['record'] = { id: RECORD, lastSequence: 7n, writtenAtMs: old };
const cluster: ProofAge['cluster'] = {
  writtenAtMs: old,
  changeSequence: 9n,
  criticalRing: [{ record: id('b2'), sequence: 9n }],
  otherRing: [{ record: RECORD, sequence: 7n }],
  droppedCritical: 7n,
  droppedOther: 7n,
};
const alone: ProofAge = { record, cluster, endpointsAgreed: 1, nowMs, proofAgeMs };
const newCluster = { ...cluster, writtenAtMs: recent };
const named = { ...cluster, criticalRing: [{ record: RECORD, sequence: 8n }] };

describe('a proven record is new enough for a first admission', () => {
  test.each([
    ['of one full node, old', alone, false],
    ['of one full node, written lately', { ...alone, record: { ...record, writtenAtMs: recent } }, true],
    ['old, under a cluster that was written lately', { ...alone, cluster: newCluster }, true],
    [
      'old, under a new cluster from whose rings a change of it may have fallen',
      { ...alone, cluster: { ...newCluster, droppedCritical: 8n } },
      false,
    ],
    [
      'old, under a new cluster that has lost a change that may be its token’s',
      { ...alone, cluster: { ...newCluster, droppedOther: 8n } },
      false,
    ],
    [
      'newer than the cluster that is shown',
      { ...alone, cluster: { ...newCluster, changeSequence: 6n } },
      false,
    ],
    ['old, which two full nodes agree on', { ...alone, endpointsAgreed: 2 }, true],
    [
      'which the cluster says has changed, whoever agrees',
      { ...alone, cluster: named, endpointsAgreed: 3 },
      false,
    ],
    [
      'old, which a probe has found to be the newest',
      { ...alone, record: { ...record, probedAtMs: recent } },
      true,
    ],
    [
      'old, under a cluster that a probe has found to be the newest',
      { ...alone, cluster: { ...cluster, probedAtMs: recent } },
      true,
    ],
    [
      'old, under a probed cluster from whose rings a change of it may have fallen',
      { ...alone, cluster: { ...cluster, probedAtMs: recent, droppedCritical: 8n } },
      false,
    ],
    ['old, which was probed long ago', { ...alone, record: { ...record, probedAtMs: old } }, false],
    ['which no full node shows now', { ...alone, endpointsAgreed: 0 }, false],
    ['without a time', { ...alone, record: { ...record, writtenAtMs: undefined } }, false],
    [
      'old by the newest signed time, although the local clock is slow',
      { ...alone, nowMs: old, cluster: { ...newCluster, writtenAtMs: nowMs, droppedCritical: 8n } },
      false,
    ],
  ] as const)('%s', (_what, age, isEnough) => {
    expect(isProofNewEnough(age)).toBe(isEnough);
  });
});

const tooOld = { code: 'DAAS_GATEWAY_PROOF_TOO_OLD', isRetryable: true };

/** A stake whose last change is older than the limit. */
async function oldStake(world: World) {
  const worker = world.worker('worker-1').stake();
  await world.pass(world.config.admit.proofAgeMs + 1_000);
  return worker;
}

describe('a gateway that hears one full node alone', () => {
  test('does not admit the worker whose slash it hides, by the old token; the honest ones of two show the slash', async () => {
    await using world = await World.start();
    world.endpointsAgreed = 1;
    const worker = await oldStake(world);
    world.chain.lagging = new Map(world.chain.stakeRecords);
    world.chain.change(worker.recordId, { status: 'slashed', stakeMist: 0n }, { announce: false });
    world.chain.criticalRecords.length = 0;
    await expect(worker.register()).rejects.toMatchObject(tooOld);
    expect(world.kubernetes.names.size).toBe(0);
    world.endpointsAgreed = 2;
    world.chain.lagging = undefined;
    world.chain.report({ critical: [worker.recordId] });
    await expect(worker.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_STAKE_SLASHED' });
  });

  test('admits a good old token once a second one shows nothing newer', async () => {
    await using world = await World.start();
    world.endpointsAgreed = 1;
    const worker = await oldStake(world);
    await expect(worker.register()).rejects.toMatchObject({
      ...tooOld,
      message: expect.stringMatching(/second endpoint.*token rotate/),
    });
    world.endpointsAgreed = 2;
    expect((await worker.register()).join).toBeDefined();
  });

  test('asks for a probe before it admits by an old token, and admits once the probe shows nothing newer', async () => {
    const asked: string[] = [];
    await using world = await World.create({ admit: { proofAgeMs: 60_000 } });
    world.options = {
      probe: { run: async () => undefined, carry: () => undefined, ask: (id) => asked.push(id) },
    };
    world.endpointsAgreed = 1;
    await world.startGateway();
    const worker = await oldStake(world);
    await expect(worker.register()).rejects.toMatchObject({
      ...tooOld,
      message: expect.stringContaining('chain.probe'),
    });
    expect(asked).toEqual([worker.recordId]);
    world.chain.change(worker.recordId, { probedAtMs: world.clock.nowMs() }, { announce: false });
    expect((await worker.register()).join).toBeDefined();
    expect(asked).toHaveLength(1);
  });

  test('does not admit by a record that a probe has found to have changed', async () => {
    await using world = await World.create({ admit: { proofAgeMs: 60_000 } });
    world.options = { probe: { run: async () => undefined, carry: () => undefined, ask: () => undefined } };
    world.endpointsAgreed = 1;
    await world.startGateway();
    const worker = await oldStake(world);
    await expect(worker.register()).rejects.toMatchObject(tooOld);
    const change = { probedAtMs: world.clock.nowMs(), lastSequence: 99n, status: 'slashed' } as const;
    world.chain.change(worker.recordId, change, { announce: false });
    await expect(worker.register()).rejects.toMatchObject(tooOld);
    expect(world.kubernetes.names.size).toBe(0);
  });

  test('admits an old stake with a new token', async () => {
    await using world = await World.start();
    world.endpointsAgreed = 1;
    const worker = await oldStake(world);
    worker.tokenId = world.chain.addToken(worker.recordId, worker.key.publicKey);
    world.chain.report({ others: [worker.recordId] });
    expect((await worker.register()).join).toBeDefined();
  });

  test('lets an admitted node register again, however old its token is', async () => {
    await using world = await World.start();
    world.endpointsAgreed = 1;
    const worker = await world.member('worker-1');
    await world.pass(proofAgeMs + 1_000);
    await worker.register();
    await settled();
    expect((await worker.heartbeat()).message).toBe('all is well');
  });

  test('admits at once, however old, where nothing that it reads is proven', async () => {
    await using world = await World.create();
    world.options = { endpointsAgreed: undefined };
    await world.startGateway();
    const worker = await oldStake(world);
    expect((await worker.register()).join).toBeDefined();
  });
});
