import { expect, test } from 'vitest';
import { systemClock } from '#base';
import { createChainClient, defaultSettings, operations, stakesOf } from '#chain';
import { recordsIn } from '../../src/cli/stake-session.ts';
import { SUI } from './chain-world.ts';
import { anotherCluster, holderKey, staked, world } from './open-chain.ts';
import { sentBy, tokensOf } from './sent-by.ts';

const DAY_MS = 86_400_000;

const recordOf = async (id: string) => {
  const record = (await world.client.records([id])).get(id);
  if (!record) throw new Error(`no record ${id}`);
  return record;
};

test('a rotation replaces the token once, and the old one is gone', async () => {
  const { chain, recordId } = await staked();
  const { objectId: tokenId } = await chain.createWorkerSealToken({ recordId, holderKey: holderKey() });
  const request = { recordId, tokenId, holderKey: holderKey() };
  const rotated = await chain.rotateSealToken(request);
  expect(await chain.rotateSealToken(request)).toEqual(rotated);
  expect(await recordOf(recordId)).toMatchObject({ token: rotated.objectId, tokenSequence: 2n });
  const tokens = await world.client.tokens([tokenId, rotated.objectId]);
  expect(tokens.get(tokenId)).toBeUndefined();
  expect(tokens.get(rotated.objectId)).toMatchObject({ holderKey: request.holderKey, sequence: 2n });
  await expect(chain.rotateSealToken({ ...request, holderKey: holderKey() })).rejects.toMatchObject({
    code: 'DAAS_TOKEN_REPLACED',
  });
});

test('a rotation that another journal carried out is found', async () => {
  const { chain, wallet, recordId } = await staked();
  const { objectId: tokenId } = await chain.createWorkerSealToken({ recordId, holderKey: holderKey() });
  const request = { recordId, tokenId, holderKey: holderKey() };
  const { objectId, digest } = await chain.rotateSealToken(request);
  const elsewhere = await world.stakeChain(wallet, { journal: await world.journal(await world.wallet(0n)) });
  expect(await elsewhere.rotateSealToken(request)).toEqual({ objectId, digest });
});

test('a top-up is added once to what was paid in so far', async () => {
  const { chain, recordId } = await staked();
  const request = { recordId, amountMist: SUI, paidInMist: 2n * SUI };
  const receipt = await chain.topUp(request);
  expect(receipt).toMatchObject({ objectId: recordId, amountMist: SUI });
  expect(await chain.topUp(request)).toEqual(receipt);
  expect(await recordOf(recordId)).toMatchObject({ stakeMist: 3n * SUI });
  await expect(chain.topUp({ ...request, amountMist: 2n * SUI })).rejects.toMatchObject({
    code: 'DAAS_STAKE_CHANGED',
  });
  await expect(chain.topUp({ recordId, amountMist: 1n, paidInMist: 3n * SUI })).rejects.toMatchObject({
    code: 'DAAS_TOP_UP_TOO_LOW',
  });
});

test('a whole life: the balance is what it was, minus the gas, to the MIST', async () => {
  const { chain, wallet, recordId, nodeId } = await staked();
  const digests: string[] = [];
  const done = async (receipt: Promise<{ digest: string; objectId: string }>) => {
    const { digest, objectId } = await receipt;
    digests.push(digest);
    return objectId;
  };
  digests.push((await chain.stakeForNode({ nodeId, stakeMist: 2n * SUI })).digest);
  const tokenId = await done(chain.createWorkerSealToken({ recordId, holderKey: holderKey() }));
  await done(chain.rotateSealToken({ recordId, tokenId, holderKey: holderKey() }));
  await done(chain.topUp({ recordId, amountMist: SUI, paidInMist: 2n * SUI }));
  await expect(chain.withdraw({ recordId })).rejects.toMatchObject({ code: 'DAAS_STAKE_NOT_UNBONDING' });
  await done(chain.requestUnstake({ recordId }));
  expect(await world.client.liveRecordOf(nodeId)).toBeUndefined();
  expect(await tokensOf(world, wallet.address)).toBe(0);
  const { unlockAtMs } = await recordOf(recordId);
  await expect(chain.withdraw({ recordId })).rejects.toMatchObject({
    code: 'DAAS_STAKE_LOCKED',
    exitCode: 75,
    message: expect.stringContaining(new Date(unlockAtMs).toISOString().slice(0, 10)),
  });
  world.devnet.advanceClock(8 * DAY_MS);
  await done(chain.withdraw({ recordId }));
  expect(await recordOf(recordId)).toMatchObject({ status: 'withdrawn', stakeMist: 0n });
  const { count, gasMist } = await sentBy(world, wallet.address);
  expect(count).toBe(new Set(digests).size);
  expect(await world.balance(wallet.address)).toBe(100n * SUI - gasMist);
});

test('a year: 20 rotations, new parameters, a top-up, and out: start minus gas, to the MIST', async () => {
  const client = await anotherCluster();
  const wallet = await world.wallet();
  const chain = await world.stakeChain(wallet, { client });
  const { objectId: recordId, tokenId: first = '' } = await chain.join({
    nodeId: 'a-year',
    stakeMist: SUI,
    holderKey: holderKey(),
  });
  const ownRecord = async () => (await client.records([recordId])).get(recordId);
  const rotate = async (tokenId: string) => {
    // 17 epochs of a token that lives for 30.
    for (let epoch = 0; epoch < 17; epoch += 1) world.devnet.advanceEpoch();
    world.devnet.advanceClock(17 * DAY_MS);
    return (await chain.rotateSealToken({ recordId, tokenId, holderKey: holderKey() })).objectId;
  };
  let tokenId = first;
  for (let turn = 0; turn < 10; turn += 1) tokenId = await rotate(tokenId);
  const { wallet: admin } = world.actor;
  await operations.scheduleParameters.execute(
    { client, wallet: admin },
    { ...defaultSettings(admin.address), minimumStakeMist: 2n * SUI },
  );
  world.devnet.advanceClock(9 * DAY_MS);
  // Below the new minimum the token lives on, and gets no successor until coins are added.
  await expect(chain.rotateSealToken({ recordId, tokenId, holderKey: holderKey() })).rejects.toMatchObject({
    code: 'DAAS_STAKE_TOO_LOW',
    message: expect.stringContaining('stake top-up'),
  });
  await chain.topUp({ recordId, amountMist: SUI, paidInMist: SUI });
  for (let turn = 0; turn < 10; turn += 1) tokenId = await rotate(tokenId);
  expect(await ownRecord()).toMatchObject({ tokenSequence: 21n, stakeMist: 2n * SUI, token: tokenId });
  await chain.requestUnstake({ recordId });
  world.devnet.advanceClock(7 * DAY_MS);
  await chain.withdraw({ recordId });
  const { count, gasMist } = await sentBy({ client }, wallet.address);
  expect(count).toBe(24);
  expect(await world.balance(wallet.address)).toBe(100n * SUI - gasMist);
});

test('a stake that a proposal holds is neither topped up nor withdrawn until the proposal ends', async () => {
  const client = await anotherCluster({ challengeMs: 60_000n });
  const chain = await world.stakeChain(await world.wallet(), { client });
  const { objectId: recordId } = await chain.stakeForNode({ nodeId: 'held', stakeMist: 2n * SUI });
  const slasher = { client, wallet: world.operator };
  const request = { recordId, amountMist: SUI, reason: 'test' };
  const first = await operations.proposeSlash.execute(slasher, request);
  await expect(chain.topUp({ recordId, amountMist: SUI, paidInMist: 2n * SUI })).rejects.toMatchObject({
    code: 'DAAS_STAKE_HELD',
    details: { proposals: [first.proposalId] },
  });
  await operations.cancelSlash.execute(slasher, { recordId, proposalId: first.proposalId });
  await chain.requestUnstake({ recordId });
  const unlockAtMs = (await client.records([recordId])).get(recordId)?.unlockAtMs ?? 0;
  const { timestampMs } = await client.point();
  world.devnet.advanceClock(unlockAtMs - timestampMs - 5_000);
  const { proposalId } = await operations.proposeSlash.execute(slasher, request);
  world.devnet.advanceClock(6_000);
  await expect(chain.withdraw({ recordId })).rejects.toMatchObject({
    code: 'DAAS_STAKE_HELD',
    message: expect.stringContaining(proposalId),
  });
  world.devnet.advanceClock(2 * DAY_MS);
  expect(await chain.withdraw({ recordId })).toMatchObject({ amountMist: 2n * SUI });
});

test('another wallet is told whose stake it is, before anything is signed', async () => {
  const { recordId } = await staked();
  const other = await world.wallet();
  const chain = await world.stakeChain(other);
  for (const attempt of [
    chain.requestUnstake({ recordId }),
    chain.withdraw({ recordId }),
    chain.topUp({ recordId, amountMist: SUI, paidInMist: 2n * SUI }),
  ])
    await expect(attempt).rejects.toMatchObject({ code: 'DAAS_STAKE_NOT_OURS' });
  expect(await world.balance(other.address)).toBe(100n * SUI);
});

test('a full node that lists no events shows the stakes with a token, and those that the journal knows', async () => {
  const { chain, wallet, recordId } = await staked();
  const journal = await world.journal(wallet);
  expect(recordsIn(journal)).toEqual([recordId]);
  const client = createChainClient({
    endpoints: [world.url],
    deployment: world.deployment,
    clock: systemClock,
    fetch: (input, init) => {
      const url = input instanceof Request ? input.url : input;
      if (!url.toString().endsWith('/ListEvents')) return fetch(input, init);
      const headers = { 'grpc-status': '12', 'content-type': 'application/grpc-web+proto' };
      return Promise.resolve(new Response(null, { status: 200, headers }));
    },
  });
  const at = { endpoints: client.endpoints, packageId: world.deployment.packageId };
  const shown = async (known: string[] = []) => {
    const { stakes, isComplete } = await stakesOf(at, wallet.address, known);
    return { ids: stakes.map(({ record }) => record.id), isComplete };
  };
  expect(await shown()).toEqual({ ids: [], isComplete: false });
  expect(await shown(recordsIn(journal))).toEqual({ ids: [recordId], isComplete: false });
  await chain.createWorkerSealToken({ recordId, holderKey: holderKey() });
  expect(await shown()).toEqual({ ids: [recordId], isComplete: false });
});
