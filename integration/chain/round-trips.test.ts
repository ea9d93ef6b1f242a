import { randomBytes } from 'node:crypto';
import { Inputs, Transaction } from '@mysten/sui/transactions';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#base';
import {
  contracts,
  createChainClient,
  createChangeFollower,
  defaultSettings,
  operations,
  verifyPublished,
  type Wallet,
} from '#chain';
import { type ChainWorld, SUI, startChainWorld } from './chain-world.ts';

let world: ChainWorld;
beforeAll(async () => {
  world = await startChainWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const holderKey = () => Uint8Array.from(randomBytes(32));
let nodes = 0;
const nextNode = () => {
  nodes += 1;
  return `worker-${nodes}`;
};

async function staked(stakeMist = 2n * SUI) {
  const wallet = await world.wallet();
  const chain = await world.stakeChain(wallet);
  const nodeId = nextNode();
  const { objectId: recordId, digest } = await chain.stakeForNode({ nodeId, stakeMist });
  return { wallet, chain, nodeId, recordId, digest };
}

describe('publishing', () => {
  test('an immutable package has no upgrade cap, an upgradable one has', async () => {
    const { upgradeCapId } = await operations.publish.execute(world.publisher, {
      build: world.build,
      isUpgradable: true,
    });
    expect(upgradeCapId).toMatch(/^0x[0-9a-f]{64}$/);
    const again = await operations.publish.execute(world.publisher, { build: world.build });
    expect(again.upgradeCapId).toBeUndefined();
  });

  test('a package that is not the build is named module by module', async () => {
    const other = {
      ...world.build,
      modules: { ...world.build.modules, staking: world.build.modules.slashing ?? '' },
    };
    await expect(
      verifyPublished(world.publisher.endpoints, world.deployment.packageId, other),
    ).rejects.toMatchObject({ code: 'DAAS_BYTECODE_DIFFERS', details: { modules: ['staking'] } });
  });
});

describe('the deployment', () => {
  const clientOf = (change: Partial<typeof world.deployment>) =>
    createChainClient({
      endpoints: [world.url],
      deployment: { ...world.deployment, ...change },
      clock: systemClock,
    });

  test('is verified as a whole', async () => {
    await expect(clientOf({}).verify()).resolves.toBeUndefined();
  });

  test.each([
    ['chainId', 78, '4btiuiMPvEENsttpZC7CZ53DruC3MAgfznDbASZ7DR6S', 'DAAS_CHAIN_ID_MISMATCH'],
    ['packageId', 75, `0x${'9'.repeat(64)}`, 'DAAS_PACKAGE_UNKNOWN'],
    ['clusterId', 75, `0x${'9'.repeat(64)}`, 'DAAS_CLUSTER_UNKNOWN'],
  ])('with a wrong %s ends with exit code %i and its name', async (member, exitCode, value, code) => {
    await expect(clientOf({ [member]: value }).verify()).rejects.toMatchObject({ code, exitCode });
  });

  test('with another object as cluster says what that is', async () => {
    const { recordId } = await staked();
    await expect(clientOf({ clusterId: recordId }).verify()).rejects.toMatchObject({
      code: 'DAAS_CLUSTER_UNKNOWN',
      message: expect.stringContaining('staking::StakeRecord'),
    });
  });
});

describe('stake and token', () => {
  test('are read as they were made', async () => {
    const { wallet, chain, nodeId, recordId } = await staked();
    const key = holderKey();
    const minted = await chain.createWorkerSealToken({ recordId, holderKey: key });
    const record = (await chain.records([recordId])).get(recordId);
    expect(record).toMatchObject({
      cluster: world.deployment.clusterId,
      staker: wallet.address,
      nodeId,
      stakeMist: 2n * SUI,
      status: 'active',
      stakeType: 'node',
      token: minted.objectId,
    });
    const token = (await chain.tokens([minted.objectId])).get(minted.objectId);
    expect(token).toMatchObject({ owner: wallet.address, stakeId: recordId, nodeId, sequence: 1n });
    expect(Buffer.from(token?.holderKey ?? [])).toEqual(Buffer.from(key));
    expect(token?.permissions).toEqual(['nodes:write', 'pods:write']);
    expect(await chain.liveRecordOf(nodeId)).toBe(recordId);
    expect(await chain.liveRecordOf('nobody')).toBeUndefined();
    expect((await chain.point()).timestampMs).toBeGreaterThan(0);
  });

  test('asked for twice are made once', async () => {
    const { wallet, chain, nodeId, recordId, digest } = await staked();
    const key = holderKey();
    const minted = await chain.createWorkerSealToken({ recordId, holderKey: key });
    const before = await world.balance(wallet.address);
    expect(await chain.stakeForNode({ nodeId, stakeMist: 2n * SUI })).toEqual({ objectId: recordId, digest });
    expect(await chain.createWorkerSealToken({ recordId, holderKey: key })).toEqual(minted);
    expect(await world.balance(wallet.address)).toBe(before);
  });

  test('of somebody else are refused before anything is paid', async () => {
    const { nodeId, recordId } = await staked();
    const stranger = await world.wallet();
    const chain = await world.stakeChain(stranger);
    await expect(chain.stakeForNode({ nodeId, stakeMist: 2n * SUI })).rejects.toMatchObject({
      code: 'DAAS_NODE_ID_TAKEN',
      exitCode: 78,
    });
    await expect(chain.createWorkerSealToken({ recordId, holderKey: holderKey() })).rejects.toMatchObject({
      code: 'DAAS_STAKE_NOT_OURS',
    });
    expect(await world.balance(stranger.address)).toBe(100n * SUI);
  });

  test('a second token for another key is refused by name', async () => {
    const { chain, recordId } = await staked();
    await chain.createWorkerSealToken({ recordId, holderKey: holderKey() });
    await expect(chain.createWorkerSealToken({ recordId, holderKey: holderKey() })).rejects.toMatchObject({
      code: 'DAAS_TOKEN_EXISTS',
    });
  });

  test.each([
    ['Worker', 'DAAS_NODE_ID_INVALID'],
    ['', 'DAAS_NODE_ID_INVALID'],
    ['a.b', 'DAAS_NODE_ID_INVALID'],
    ['a-', 'DAAS_NODE_ID_INVALID'],
    ['a'.repeat(64), 'DAAS_NODE_ID_INVALID'],
  ])('the node id %j is refused by the contract', async (nodeId, code) => {
    const chain = await world.stakeChain(await world.wallet(2n));
    await expect(chain.stakeForNode({ nodeId, stakeMist: SUI })).rejects.toMatchObject({
      code,
      exitCode: 78,
    });
  });

  test('too little stake is refused by the contract, too little money with both amounts', async () => {
    const chain = await world.stakeChain(await world.wallet(5n));
    await expect(chain.stakeForNode({ nodeId: nextNode(), stakeMist: SUI - 1n })).rejects.toMatchObject({
      code: 'DAAS_STAKE_TOO_LOW',
      details: { constant: 'EStakeBelowMinimum' },
    });
    await expect(chain.stakeForNode({ nodeId: nextNode(), stakeMist: 5n * SUI })).rejects.toMatchObject({
      code: 'DAAS_BALANCE_TOO_LOW',
      details: { availableMist: 5n * SUI, neededMist: 5n * SUI + 50_000_000n },
    });
    const empty = await world.stakeChain(await world.wallet(0n));
    await expect(empty.stakeForNode({ nodeId: nextNode(), stakeMist: SUI })).rejects.toMatchObject({
      code: 'DAAS_BALANCE_TOO_LOW',
      details: { availableMist: 0n },
    });
  });

  test('a node key of 31 bytes is refused', async () => {
    const { chain, recordId } = await staked();
    await expect(
      chain.createWorkerSealToken({ recordId, holderKey: new Uint8Array(31) }),
    ).rejects.toMatchObject({ code: 'DAAS_HOLDER_KEY_INVALID' });
  });

  test('several coins pay for one stake when no single one is enough', async () => {
    const wallet = await world.wallet(3n);
    await world.devnet.faucet(wallet.address, 3n * SUI);
    await world.devnet.faucet(wallet.address, 3n * SUI);
    const chain = await world.stakeChain(wallet);
    const { objectId } = await chain.stakeForNode({ nodeId: nextNode(), stakeMist: 8n * SUI });
    expect((await chain.records([objectId])).get(objectId)?.stakeMist).toBe(8n * SUI);
  });
});

describe('what is not of this cluster', () => {
  test('does not exist: records and tokens of another cluster, another package, other objects, nothing', async () => {
    const { chain, recordId } = await staked();
    const { objectId: tokenId } = await chain.createWorkerSealToken({ recordId, holderKey: holderKey() });
    const other = await operations.createCluster.execute(world.publisher, {
      packageId: world.deployment.packageId,
      settings: defaultSettings(world.operator.address),
    });
    const inOtherCluster = createChainClient({
      endpoints: [world.url],
      deployment: { ...world.deployment, clusterId: other.clusterId },
      clock: systemClock,
    });
    expect((await inOtherCluster.records([recordId])).get(recordId)).toBeUndefined();
    expect((await inOtherCluster.tokens([tokenId])).get(tokenId)).toBeUndefined();
    const lookAlike = await operations.publish.execute(world.publisher, { build: world.build });
    const inOtherPackage = createChainClient({
      endpoints: [world.url],
      deployment: { ...world.deployment, packageId: lookAlike.packageId },
      clock: systemClock,
    });
    expect((await inOtherPackage.tokens([tokenId])).get(tokenId)).toBeUndefined();
    expect((await chain.tokens([recordId])).get(recordId)).toBeUndefined();
    expect((await chain.records([tokenId, '0x6'])).get('0x6')).toBeUndefined();
    const nothing = `0x${'8'.repeat(64)}`;
    expect((await chain.records([nothing])).get(nothing)).toBeUndefined();
  });
});

describe('gateways', () => {
  const gateway = (url: string) => ({
    url,
    tlsPins: [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)],
    attestationKind: 'none',
    measurement: new Uint8Array(),
    signingKey: new Uint8Array(32).fill(3),
    tier: 'standard' as const,
  });

  test('are registered, drained and retired', async () => {
    const { gatewayId } = await operations.addGateway.execute(
      world.actor,
      gateway('https://gw.example:8443'),
    );
    const find = async () => (await world.client.cluster()).gateways.find(({ id }) => id === gatewayId);
    expect(await find()).toMatchObject({ url: 'https://gw.example:8443', isLive: true, tier: 'standard' });
    expect((await find())?.tlsPins.map((pin) => pin[0])).toEqual([1, 2]);
    await operations.setGatewayStatus.execute(world.actor, { gatewayId, status: 'draining' });
    expect((await find())?.isLive).toBe(false);
    await operations.setGatewayStatus.execute(world.actor, { gatewayId, status: 'retired' });
    expect(await find()).toBeUndefined();
  });

  test('what the contract would refuse is refused by name before anything is paid', async () => {
    const before = await world.balance(world.operator.address);
    await expect(
      operations.addGateway.execute(world.actor, gateway('http://plain.example')),
    ).rejects.toMatchObject({
      code: 'DAAS_CHAIN_ABORT',
      details: { module: 'cluster', constant: 'EEndpoint' },
      message: expect.stringContaining('give the gateway an https:// URL'),
      exitCode: 78,
    });
    expect(await world.balance(world.operator.address)).toBe(before);
    const stranger = await world.wallet();
    await expect(
      operations.addGateway.execute({ ...world.actor, wallet: stranger }, gateway('https://gw.example')),
    ).rejects.toMatchObject({ details: { constant: 'ENotAdmin' } });
  });
});

describe('slashing', () => {
  test('by the only slasher is carried out at once and seen by the follower as critical', async () => {
    const { chain, nodeId, recordId } = await staked();
    await chain.createWorkerSealToken({ recordId, holderKey: holderKey() });
    const since = (await world.client.cluster()).changeSequence;
    const outcome = await operations.proposeSlash.execute(world.actor, {
      recordId,
      amountMist: 2n * SUI,
      reason: 'double work',
    });
    expect(outcome).toMatchObject({
      recordId,
      votes: 1,
      threshold: 1,
      executed: { slashedMist: 2n * SUI, leftMist: 0n, isRecordSlashed: true },
    });
    expect((await chain.records([recordId])).get(recordId)).toMatchObject({
      status: 'slashed',
      slashReason: 'double work',
      token: undefined,
    });
    expect(await chain.liveRecordOf(nodeId)).toBeUndefined();
    const ended = new AbortController();
    const follower = createChangeFollower(world.client, systemClock);
    for await (const report of follower.follow({ since, signal: ended.signal, intervalMs: 10 })) {
      expect(report).toMatchObject({ kind: 'changes', critical: [recordId], isFullPassNeeded: false });
      ended.abort();
    }
    await expect(
      operations.proposeSlash.execute(world.actor, { recordId, amountMist: 1n, reason: 'again' }),
    ).rejects.toMatchObject({ details: { constant: 'EStakeGone' } });
  });

  test('by several takes as many votes as the threshold', async () => {
    const [first, second, third] = await Promise.all([world.wallet(), world.wallet(), world.wallet()]);
    const settings = {
      ...defaultSettings(world.operator.address),
      slashers: [first.address, second.address],
      slashThreshold: 2n,
    };
    const { clusterId } = await operations.createCluster.execute(world.publisher, {
      packageId: world.deployment.packageId,
      settings,
    });
    const client = createChainClient({
      endpoints: [world.url],
      deployment: { ...world.deployment, clusterId },
      clock: systemClock,
    });
    const staker = await world.wallet();
    const chain = await world.stakeChain(staker, { client });
    const { objectId: recordId } = await chain.stakeForNode({ nodeId: 'voted-out', stakeMist: 2n * SUI });
    const amountMist = SUI / 2n;
    const opened = await operations.proposeSlash.execute(
      { client, wallet: first },
      { recordId, amountMist, reason: 'r' },
    );
    expect(opened).toMatchObject({ votes: 1, threshold: 2, executed: undefined });
    expect(await client.proposal(opened.proposalId)).toMatchObject({
      status: 'open',
      votes: [first.address],
    });
    const vote = { recordId, proposalId: opened.proposalId };
    await expect(operations.voteSlash.execute({ client, wallet: third }, vote)).rejects.toMatchObject({
      details: { constant: 'ENotSlasher' },
    });
    await expect(operations.voteSlash.execute({ client, wallet: first }, vote)).rejects.toMatchObject({
      details: { constant: 'EAlreadyVoted' },
    });
    await expect(operations.expireSlash.execute({ client, wallet: third }, vote)).rejects.toMatchObject({
      details: { constant: 'EProposalNotExpired' },
    });
    const executed = await operations.voteSlash.execute(
      { client, wallet: second },
      { ...vote, andExecute: true },
    );
    expect(executed.executed).toMatchObject({ slashedMist: amountMist, isRecordSlashed: false });
    expect((await client.records([recordId])).get(recordId)?.status).toBe('active');
  });

  test('a proposal past its end can be closed by anybody', async () => {
    const slashers = await Promise.all([world.wallet(), world.wallet()]);
    const { clusterId } = await operations.createCluster.execute(world.publisher, {
      packageId: world.deployment.packageId,
      settings: {
        ...defaultSettings(world.operator.address),
        slashers: slashers.map(({ address }) => address),
        slashThreshold: 2n,
      },
    });
    const client = createChainClient({
      endpoints: [world.url],
      deployment: { ...world.deployment, clusterId },
      clock: systemClock,
    });
    const staker = await world.wallet();
    const chain = await world.stakeChain(staker, { client });
    const { objectId: recordId } = await chain.stakeForNode({ nodeId: 'let-off', stakeMist: 2n * SUI });
    const { proposalId } = await operations.proposeSlash.execute(
      { client, wallet: slashers[0] as (typeof slashers)[0] },
      { recordId, amountMist: SUI, reason: 'r' },
    );
    world.devnet.advanceClock(86_400_000);
    await operations.expireSlash.execute({ client, wallet: staker }, { recordId, proposalId });
    expect((await client.proposal(proposalId))?.status).toBe('expired');
  });
});

describe('parameters', () => {
  test('count when their hour has come by the chain’s clock', async () => {
    const settings = {
      ...defaultSettings(world.operator.address),
      unbondingMs: 60_000n,
      proposalLifeMs: 15_000n,
    };
    const { clusterId } = await operations.createCluster.execute(world.publisher, {
      packageId: world.deployment.packageId,
      settings,
    });
    const client = createChainClient({
      endpoints: [world.url],
      deployment: { ...world.deployment, clusterId },
      clock: systemClock,
    });
    const actor = { client, wallet: world.operator };
    const plan = await operations.scheduleParameters.plan(actor, { ...settings, minimumStakeMist: 3n * SUI });
    const { effectiveAtMs } = await plan.execute();
    expect(await client.cluster()).toMatchObject({
      parameters: { minimumWorkerStakeMist: SUI },
      pending: { effectiveAtMs, parameters: { minimumWorkerStakeMist: 3n * SUI } },
    });
    world.devnet.advanceClock(60_000 + 86_400_000);
    const later = await client.cluster();
    expect(later.parameters.minimumWorkerStakeMist).toBe(3n * SUI);
    expect(later.pending).toBeUndefined();
    await expect(
      operations.changeCluster.plan(actor, { kind: 'raise-threshold', threshold: 2n }),
    ).rejects.toMatchObject({
      details: { constant: 'EThresholdNotRaised' },
    });
  });
});

test('reads, stakes and mints go on when the first of two endpoints is away', async () => {
  const client = createChainClient({
    endpoints: ['http://127.0.0.1:1', world.url],
    deployment: world.deployment,
    clock: systemClock,
  });
  const wallet = await world.wallet();
  const chain = await world.stakeChain(wallet, { client });
  const nodeId = nextNode();
  const { objectId: recordId } = await chain.stakeForNode({ nodeId, stakeMist: 2n * SUI });
  await chain.createWorkerSealToken({ recordId, holderKey: holderKey() });
  expect(await chain.liveRecordOf(nodeId)).toBe(recordId);
});

test.each([
  ['stakes of nodes', 'a follower that was away is told to read everything', 129, true],
  ['stakes of users, which are cheap', 'a follower that was away is not', 257, false],
] as const)('more %s than a ring holds: %s', async (stakes, _what, count, isFullPassNeeded) => {
  const isNode = stakes === 'stakes of nodes';
  const wallet = await world.wallet(300n);
  const before = (await world.client.cluster()).changeSequence;
  await manyStakes(wallet, count, isNode);
  const ended = new AbortController();
  const follower = createChangeFollower(world.client, systemClock);
  for await (const report of follower.follow({ since: before, signal: ended.signal })) {
    ended.abort();
    if (report.kind === 'outage') throw report.error;
    expect(report.isFullPassNeeded).toBe(isFullPassNeeded);
    expect(report.others).toHaveLength(isNode ? 128 : 32);
    expect(report.sequence).toBe(before + BigInt(count));
    const records = await world.client.records(report.others);
    const type = isNode ? 'node' : 'user';
    expect([...records.values()].every((record) => record?.stakeType === type)).toBe(true);
  }
});

/** So many stakes of users or nodes in one transaction, built without a simulation: it would take as long again. */
async function manyStakes(wallet: Wallet, count: number, isNode: boolean): Promise<void> {
  const { packageId, clusterId } = world.deployment;
  await world.client.endpoints.withOne(async (endpoint) => {
    const [coins, cluster] = await endpoint.call('coins and cluster', ({ core }) =>
      Promise.all([core.listCoins({ owner: wallet.address }), core.getObject({ objectId: clusterId })]),
    );
    const { owner } = cluster.object;
    const tx = new Transaction();
    tx.setSender(wallet.address);
    tx.setGasPrice(1_000n);
    tx.setGasBudget(10n * SUI);
    tx.setGasPayment(coins.objects);
    const shared = Inputs.SharedObjectRef({
      objectId: clusterId,
      initialSharedVersion: owner.$kind === 'Shared' ? owner.Shared.initialSharedVersion : '',
      mutable: true,
    });
    const amounts = Array.from({ length: count }, () => (isNode ? SUI : 100n));
    for (const [index, coin] of [...tx.splitCoins(tx.gas, amounts)].entries()) {
      const stake = { cluster: shared, coin, termsVersion: 1n };
      const record = isNode
        ? contracts.staking.stakeForNode(tx, packageId, { ...stake, nodeId: `flood-${index}` })
        : contracts.staking.stakeForUser(tx, packageId, stake);
      contracts.staking.share(tx, packageId, { record });
    }
    const bytes = await tx.build();
    const signature = await wallet.signTransaction(bytes);
    const result = await endpoint.call('a transaction', ({ core }) =>
      core.executeTransaction({ transaction: bytes, signatures: [signature] }),
    );
    expect(result.$kind).toBe('Transaction');
  });
}
