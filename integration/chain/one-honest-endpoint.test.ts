import { join } from 'node:path';
import { type LyingNode, startLyingNode } from '@k3s-daas/devnet';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { silentLog, systemClock } from '#base';
import {
  type ChainClient,
  createChainClient,
  createStakeChain,
  defaultSettings,
  openNetwork,
  openProofStore,
  operations,
} from '#chain';
import { anchorsOnFirstUse, collectProof, currentPin, formatProofFile } from '#proof';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';

/** Two of three full nodes lie together; the third one is honest. */
let world: ChainWorld;
let liars: LyingNode[] = [];

beforeAll(async () => {
  world = await startChainWorld();
  liars = [await startLyingNode(world.devnet.ledger), await startLyingNode(world.devnet.ledger)];
});
afterEach(() => {
  for (const liar of liars) liar.beHonest();
});
afterAll(async () => {
  for (const liar of liars) await liar[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

async function openClient(urls: readonly string[]): Promise<ChainClient> {
  const { endpoints } = await openNetwork([world.url], { clock: systemClock });
  return createChainClient({
    endpoints: urls,
    deployment: { ...world.deployment, trust: await currentPin(endpoints) },
    clock: systemClock,
    retryForMs: 0,
  });
}
/** The liars come first: they are asked before the honest one. */
const all = () => [...liars.map(({ url }) => url), world.url];

let nodes = 0;
async function joined() {
  nodes += 1;
  const wallet = await world.wallet();
  const journal = await world.journal(wallet);
  const chain = createStakeChain({ client: world.client, wallet, journal, log: silentLog });
  const holderKey = new Uint8Array(32).fill(nodes);
  const { objectId: recordId } = await chain.join({
    nodeId: `worker-${nodes}`,
    stakeMist: 2n * SUI,
    holderKey,
  });
  const { token } = (await world.client.records([recordId])).get(recordId) ?? {};
  return { recordId, tokenId: token as string };
}

/** All liars serve objects as they are now, whatever happens. */
function hideChangesOf(...ids: readonly string[]): void {
  for (const id of ids) {
    const object = world.devnet.ledger.objects.get(id);
    for (const { lies } of liars) lies.objects.set(id, object ?? 'absent');
  }
}

async function untilRead<T>(read: () => Promise<T>, isWanted: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await read();
    if (isWanted(value)) return value;
    await systemClock.sleep(20);
  }
}

describe('one honest endpoint of three', () => {
  test('is enough to see a slash that the others hide', async () => {
    const { recordId } = await joined();
    const client = await openClient(all());
    await client.cluster();
    expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'active' });
    hideChangesOf(recordId, world.deployment.clusterId);
    await operations.proposeSlash.execute(world.actor, { recordId, amountMist: 2n * SUI, reason: 'real' });
    const { version } = await world.client.clusterState();
    await untilRead(
      () => client.cluster(),
      (cluster) => cluster.version >= version,
    );
    expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'slashed' });
  });

  test('is enough for a start: the first reading already shows the newest cluster', async () => {
    hideChangesOf(world.deployment.clusterId);
    await joined();
    const { version } = await world.client.clusterState();
    const client = await openClient(all());
    expect((await client.cluster()).version).toBe(version);
    expect(client.freshness()).toMatchObject({ clusterVersion: version, endpointsAgreed: 1 });
  });

  test('shows a slash that no ring names any more, whichever is asked first', async () => {
    const { recordId } = await joined();
    const client = await openClient(all());
    await client.cluster();
    hideChangesOf(recordId);
    await operations.proposeSlash.execute(world.actor, { recordId, amountMist: 2n * SUI, reason: 'real' });
    // The client has not read the cluster since: to it, nothing names the change.
    expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'slashed' });
  });

  test('shows a stake that the others say is not there', async () => {
    const { recordId, tokenId } = await joined();
    for (const { lies } of liars) {
      lies.objects.set(recordId, 'absent');
      lies.objects.set(tokenId, 'absent');
    }
    const client = await openClient(all());
    await client.cluster();
    expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'active' });
    expect((await client.tokens([tokenId])).get(tokenId)).toMatchObject({ stakeId: recordId });
  });
});

test('a record from before a change that the cluster names counts as not read where nobody shows the newer one', async () => {
  const { recordId } = await joined();
  const client = await openClient(liars.map(({ url }) => url));
  await client.cluster();
  hideChangesOf(recordId);
  await operations.proposeSlash.execute(world.actor, { recordId, amountMist: 2n * SUI, reason: 'real' });
  await client.cluster();
  expect((await client.records([recordId])).get(recordId)).toBeUndefined();
});

test('what the only full node hides behind has the time at which it was signed, and does not become newer', async () => {
  const { recordId } = await joined();
  const client = await openClient(liars.map(({ url }) => url).slice(0, 1));
  const before = await client.cluster();
  const { writtenAtMs } = (await client.records([recordId])).get(recordId) ?? {};
  expect(writtenAtMs).toBeGreaterThan(0);
  expect(before.writtenAtMs).toBe(writtenAtMs);
  hideChangesOf(recordId, world.deployment.clusterId);
  await operations.proposeSlash.execute(world.actor, { recordId, amountMist: 2n * SUI, reason: 'real' });
  expect(await client.cluster()).toMatchObject({ version: before.version, writtenAtMs });
  expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'active', writtenAtMs });
  expect(client.freshness()?.endpointsAgreed).toBe(1);
});

test('a full node whose validators are others, or that skips an epoch, proves nothing', async () => {
  const { recordId } = await joined();
  world.devnet.advanceEpoch();
  world.devnet.advanceEpoch();
  const { recordId: later } = await joined();
  const [liar] = liars as [LyingNode];
  const lie = async (change: (lies: LyingNode['lies']) => void) => {
    liar.beHonest();
    change(liar.lies);
    const client = createChainClient({
      endpoints: [liar.url],
      deployment: { ...world.deployment, trust: pinOfFirstEpoch },
      clock: systemClock,
      retryForMs: 0,
    });
    return (await client.records([recordId, later])).get(later);
  };
  const pinOfFirstEpoch = await firstPin();
  expect(await lie(() => undefined)).toMatchObject({ status: 'active' });
  expect(
    await lie((lies) => {
      lies.isSignedByOthers = true;
    }),
  ).toBeUndefined();
  expect(await lie((lies) => lies.skippedEpochs.add(0n))).toBeUndefined();
  expect(
    await lie((lies) => {
      lies.prunedBelow = world.devnet.ledger.tip.sequenceNumber + 1n;
    }),
  ).toBeUndefined();
});

async function firstPin() {
  const { endpoints } = await openNetwork([world.url], { clock: systemClock });
  return (await anchorsOnFirstUse(endpoints, world.deployment.clusterId)).trust;
}

test('a proof that anybody brings shows what the only full node hides, and one of another package is not kept', async () => {
  const { recordId } = await joined();
  const client = await openClient(liars.map(({ url }) => url));
  await client.cluster();
  hideChangesOf(recordId, world.deployment.clusterId);
  await operations.proposeSlash.execute(world.actor, { recordId, amountMist: 2n * SUI, reason: 'real' });
  expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'active' });
  const { endpoints, chainId } = await openNetwork([world.url], { clock: systemClock });
  const proofOf = async (objectId: string) =>
    formatProofFile(await collectProof(endpoints, { objectId, pin: await firstPin(), chainId }));
  const proof = await proofOf(recordId);
  expect(await client.takeProof(proof)).toEqual([recordId]);
  expect(await client.takeProof(proof)).toEqual([]);
  expect((await client.records([recordId])).get(recordId)).toMatchObject({ status: 'slashed' });
  const coin = [...world.devnet.ledger.objects.ownedBy(world.operator.address, world.devnet.ledger.code)][0];
  expect(await client.takeProof(await proofOf(coin?.id ?? ''))).toEqual([]);
  const ahead = JSON.parse(proof);
  // A summary begins with its epoch.
  const summary = Buffer.from(ahead.checkpoint.summary, 'base64');
  summary.writeBigUInt64LE(1_000_000n, 0);
  ahead.checkpoint.summary = summary.toString('base64');
  ahead.objects = [JSON.parse(await proofOf(world.deployment.clusterId)).objects[0]];
  await expect(client.takeProof(JSON.stringify(ahead))).rejects.toMatchObject({ code: 'DAAS_PROOF_INVALID' });
  const forged = JSON.parse(proof);
  forged.objects[0] = Buffer.from('no object').toString('base64');
  await expect(client.takeProof(JSON.stringify(forged))).rejects.toMatchObject({
    code: 'DAAS_PROOF_INVALID',
  });
});

test('a proof of another cluster of the same package is not kept: it would crowd out the own ones', async () => {
  const client = await openClient([world.url]);
  await client.cluster();
  const { packageId } = world.deployment;
  const settings = defaultSettings(world.operator.address);
  const { clusterId } = await operations.createCluster.execute(world.publisher, { packageId, settings });
  const { endpoints, chainId } = await openNetwork([world.url], { clock: systemClock });
  const document = await collectProof(endpoints, { objectId: clusterId, pin: await firstPin(), chainId });
  expect(await client.takeProof(formatProofFile(document))).toEqual([]);
});

test('a worker that hands over the proofs of its own mint is read where the only full node has pruned them', async () => {
  const { recordId, tokenId } = await joined();
  using proofStore = openProofStore(join(world.directory, `proofs-${nodes}.db`), world.deployment.chainId);
  const trust = await firstPin();
  const open = (options: { endpoints: string[]; proofStore?: typeof proofStore }) =>
    createChainClient({
      ...options,
      deployment: { ...world.deployment, trust },
      clock: systemClock,
      retryForMs: 0,
      proofWaitMs: 200,
    });
  const worker = open({ endpoints: [world.url], proofStore });
  expect(await worker.stakeProofs(tokenId)).toEqual([]);
  await worker.tokens([tokenId]);
  await worker.records([recordId]);
  const handedOver = await worker.stakeProofs(tokenId);
  expect(handedOver).toHaveLength(2);

  const [pruned] = liars as [LyingNode];
  const gateway = open({ endpoints: [pruned.url] });
  // It has followed the committees; the proof of the stake comes too late.
  await gateway.cluster();
  pruned.lies.prunedBelow = world.devnet.ledger.tip.sequenceNumber + 1n;
  expect((await gateway.records([recordId])).get(recordId)).toBeUndefined();
  expect((await gateway.tokens([tokenId])).get(tokenId)).toBeUndefined();
  const taken = [];
  for (const proof of handedOver) taken.push(...(await gateway.takeProof(proof)));
  expect(taken).toEqual([tokenId, recordId]);
  expect((await gateway.records([recordId])).get(recordId)).toMatchObject({ status: 'active' });
  expect((await gateway.tokens([tokenId])).get(tokenId)).toMatchObject({ stakeId: recordId });
});

test('what the endpoints have pruned is proven by an archive, whose word counts for nothing', async () => {
  const { recordId } = await joined();
  for (const { lies } of liars) lies.prunedBelow = world.devnet.ledger.tip.sequenceNumber + 1n;
  const [pruned, archive] = liars as [LyingNode, LyingNode];
  const read = async () => {
    const client = createChainClient({
      endpoints: [pruned.url],
      archive: archive.url,
      deployment: { ...world.deployment, trust: await firstPin() },
      clock: systemClock,
      retryForMs: 0,
      proofWaitMs: 200,
    });
    return (await client.records([recordId])).get(recordId);
  };
  expect(await read()).toBeUndefined();
  archive.beHonest();
  expect(await read()).toMatchObject({ status: 'active' });
  archive.lies.isSignedByOthers = true;
  expect(await read()).toBeUndefined();
});
