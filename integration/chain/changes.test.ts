import { Inputs, Transaction } from '@mysten/sui/transactions';
import { describe, expect, test } from 'vitest';
import { systemClock } from '#base';
import {
  contracts,
  createChainClient,
  createChangeFollower,
  defaultSettings,
  operations,
  type Wallet,
} from '#chain';
import { SUI } from './chain-world.ts';
import { anotherCluster, holderKey, nextNode, staked, world } from './open-chain.ts';

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
    const client = await anotherCluster({ slashers: [first.address, second.address], slashThreshold: 2n });
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
    const client = await anotherCluster({
      slashers: slashers.map(({ address }) => address),
      slashThreshold: 2n,
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
    const client = await anotherCluster(settings);
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
