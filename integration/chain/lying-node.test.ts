import { join } from 'node:path';
import { bcs } from '@mysten/sui/bcs';
import { deriveDynamicFieldID, normalizeSuiAddress } from '@mysten/sui/utils';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#base';
import { contracts, createChainClient, openNetwork, openProofStore, operations, type Wallet } from '#chain';
import { currentPin } from '#proof';
import { type MoveObject, withDigest } from '../../devnet/src/objects.ts';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';

/**
 * The full node lies: its state is changed behind the chain's back, so that it serves objects with right digests that no
 * transaction wrote. A reader without a trust pin believes them, which shows that the lies are good ones.
 */
let world: ChainWorld;
let trusting: ReturnType<typeof createChainClient>;
let proving: ReturnType<typeof createChainClient>;
const unproven: string[] = [];

beforeAll(async () => {
  world = await startChainWorld();
  const { endpoints } = await openNetwork([world.url], { clock: systemClock });
  const trust = await currentPin(endpoints);
  const options = { endpoints: [world.url], clock: systemClock, retryForMs: 0 };
  trusting = createChainClient({ ...options, deployment: world.deployment });
  proving = createChainClient({
    ...options,
    deployment: { ...world.deployment, trust },
    onUnproven: ({ objectId }) => unproven.push(objectId),
  });
});
afterAll(() => world?.[Symbol.asyncDispose]());

let nodes = 0;
async function staked(): Promise<{ recordId: string; wallet: Wallet; nodeId: string }> {
  nodes += 1;
  const nodeId = `worker-${nodes}`;
  const wallet = await world.wallet();
  const chain = await world.stakeChain(wallet);
  const { objectId: recordId } = await chain.stakeForNode({ nodeId, stakeMist: 2n * SUI });
  return { recordId, wallet, nodeId };
}

function served(id: string): MoveObject {
  const object = world.devnet.ledger.objects.get(id);
  if (object?.kind !== 'move') throw new Error(`the node has no object ${id}`);
  return object;
}

function serve(object: MoveObject): void {
  world.devnet.ledger.objects.put(withDigest(object));
}

type Record = typeof contracts.staking.StakeRecord.$inferType;

/** The record as the node would serve it if that had happened. */
function forge(recordId: string, change: Partial<Record>, id = recordId): void {
  const object = served(recordId);
  const record = { ...contracts.staking.StakeRecord.parse(object.contents), id, ...change };
  const contents = contracts.staking.StakeRecord.serialize(record).toBytes();
  serve({ ...object, id, version: object.version + 1n, contents });
}

const SLASHED = 2;
const readBy = async (client: typeof trusting, id: string) => (await client.records([id])).get(id);

describe('a full node that lies', () => {
  test('cannot show a slash that did not happen: the record counts as it was proven, or as unread', async () => {
    const { recordId } = await staked();
    const stranger = await staked();
    expect(await readBy(proving, recordId)).toMatchObject({ status: 'active' });
    for (const { recordId: id } of [{ recordId }, stranger])
      forge(id, { status: SLASHED, slashReason: 'forged' });
    expect(await readBy(trusting, recordId)).toMatchObject({ status: 'slashed', slashReason: 'forged' });
    expect(await readBy(proving, recordId)).toBeUndefined();
    expect(await readBy(proving, stranger.recordId)).toBeUndefined();
    expect(unproven).toEqual(expect.arrayContaining([recordId, stranger.recordId]));
  });

  test('cannot show a stake that was never made', async () => {
    const { recordId } = await staked();
    const invented = `0x${'e'.repeat(64)}`;
    forge(recordId, { nodeId: 'never-staked' }, invented);
    expect(await readBy(trusting, invented)).toMatchObject({ nodeId: 'never-staked', status: 'active' });
    expect(await readBy(proving, invented)).toBeUndefined();
  });

  test('cannot show another key in a token', async () => {
    const { recordId, wallet } = await staked();
    const chain = await world.stakeChain(wallet);
    const holderKey = new Uint8Array(32).fill(1);
    const { objectId: tokenId } = await chain.createWorkerSealToken({ recordId, holderKey });
    expect((await proving.tokens([tokenId])).get(tokenId)?.holderKey).toEqual(holderKey);
    const object = served(tokenId);
    const token = contracts.k8sGateway.SealToken.parse(object.contents);
    const contents = contracts.k8sGateway.SealToken.serialize({
      ...token,
      holderKey: new Uint8Array(32).fill(2),
    }).toBytes();
    serve({ ...object, contents });
    expect((await trusting.tokens([tokenId])).get(tokenId)?.holderKey).toEqual(new Uint8Array(32).fill(2));
    expect((await proving.tokens([tokenId])).get(tokenId)?.holderKey ?? holderKey).toEqual(holderKey);
  });

  test('cannot lead a worker to a gateway that the cluster does not name', async () => {
    const object = served(world.deployment.clusterId);
    const cluster = contracts.cluster.Cluster.parse(object.contents);
    const foreign = { ...cluster, admin: `0x${'6'.repeat(64)}` };
    const contents = contracts.cluster.Cluster.serialize(foreign).toBytes();
    serve({ ...object, version: object.version + 1n, contents });
    expect(await trusting.cluster()).toMatchObject({ admin: foreign.admin });
    await expect(proving.cluster()).rejects.toMatchObject({
      code: 'DAAS_CHAIN_UNAVAILABLE',
      isRetryable: true,
    });
    serve(object);
    expect(await proving.cluster()).toMatchObject({ admin: cluster.admin });
  });

  test('cannot take a slash back by serving what was before it', async () => {
    const { recordId } = await staked();
    const before = served(recordId);
    await operations.proposeSlash.execute(world.actor, { recordId, amountMist: 2n * SUI, reason: 'real' });
    expect(await readBy(proving, recordId)).toMatchObject({ status: 'slashed', slashReason: 'real' });
    serve(before);
    expect(await readBy(trusting, recordId)).toMatchObject({ status: 'active' });
    expect(await readBy(proving, recordId)).toMatchObject({ status: 'slashed', slashReason: 'real' });
  });

  test.each([
    ['with', () => proving],
    ['without', () => trusting],
  ])('cannot lead a slash to the record of another node, %s a trust pin', async (_how, clientOf) => {
    const [named, victim] = [await staked(), await staked()];
    const client = clientOf();
    expect(await client.liveRecordOf(named.nodeId)).toBe(named.recordId);
    const { state } = await client.clusterState();
    const entry = served(
      deriveDynamicFieldID(
        state.nodes.id,
        `${normalizeSuiAddress('0x1')}::string::String`,
        bcs.string().serialize(named.nodeId).toBytes(),
      ),
    );
    // The entry ends with the id of the record.
    const contents = Uint8Array.from(entry.contents);
    contents.set(Buffer.from(victim.recordId.slice(2), 'hex'), contents.length - 32);
    serve({ ...entry, contents });
    await expect(client.liveRecordOf(named.nodeId)).rejects.toMatchObject({
      code: 'DAAS_RECORD_MISMATCH',
      isRetryable: true,
      details: { nodeId: named.nodeId, recordId: victim.recordId },
    });
    serve(entry);
  });

  test('cannot sign for the chain: with other validators all it serves is unread', async () => {
    const { recordId } = await staked();
    await using foreign = await startChainWorld();
    const { endpoints } = await openNetwork([foreign.url], { clock: systemClock });
    const other = createChainClient({
      endpoints: [world.url],
      clock: systemClock,
      retryForMs: 0,
      deployment: { ...world.deployment, trust: await currentPin(endpoints) },
    });
    expect(await readBy(other, recordId)).toBeUndefined();
    await expect(other.cluster()).rejects.toMatchObject({ code: 'DAAS_CHAIN_UNAVAILABLE' });
  });
});

test('what is true is read across epochs, each with another committee', async () => {
  const { recordId } = await staked();
  for (let epoch = 0; epoch < 3; epoch += 1) world.devnet.advanceEpoch();
  const later = await staked();
  expect(await readBy(proving, recordId)).toMatchObject({ status: 'active' });
  expect(await readBy(proving, later.recordId)).toMatchObject({ nodeId: later.nodeId });
  expect(await proving.liveRecordOf(later.nodeId)).toBe(later.recordId);
});

describe('without a trust pin', () => {
  test('the full node is trusted on first use, with a pin as old as the cluster, and held to it from then on', async () => {
    world.devnet.advanceEpoch();
    const { recordId } = await staked();
    const first: boolean[] = [];
    const path = join(world.directory, 'first-use', 'proofs.db');
    const readRecord = async (url = world.url) => {
      using proofStore = openProofStore(path, world.deployment.chainId);
      const client = createChainClient({
        endpoints: [url],
        clock: systemClock,
        retryForMs: 0,
        deployment: world.deployment,
        proofStore,
        onFirstUse: (anchors, isFirst) => {
          expect(anchors.trust).toHaveProperty('committee');
          first.push(isFirst);
        },
      });
      await client.cluster();
      return await readBy(client, recordId);
    };
    expect(await readRecord()).toMatchObject({ status: 'active' });
    forge(recordId, { status: SLASHED, slashReason: 'forged' });
    expect(await readRecord()).toBeUndefined();
    expect(first).toEqual([true, false]);
  });
});
