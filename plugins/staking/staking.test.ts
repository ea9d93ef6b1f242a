import { DaasError, JoinCredentialSource, SealTokenSource } from 'k3s-daas/plugin';
import {
  describePlugin,
  FakeClock,
  FakeStakeChain,
  fakeId,
  fakeIdentity,
  loadPlugin,
  memoryJournal,
} from 'k3s-daas/plugin/testing';
import { describe, expect, test } from 'vitest';
import staking from './index.ts';

const config = { stakeMist: '5000', acceptTerms: 'any' };
const signal = new AbortController().signal;
const identity = fakeIdentity();
const { nodeId, holderKey } = identity;

type Loaded = Awaited<ReturnType<typeof loadPlugin>>;
async function obtain(loaded: Loaded) {
  const phases: string[] = [];
  const stake = await loaded.provided(SealTokenSource).obtain((phase) => phases.push(phase), signal);
  return { stake, phases };
}
const find = (loaded: Loaded) => loaded.provided(SealTokenSource).find(signal);

describePlugin(staking, test, {
  config,
  badConfigs: [
    { stakeMist: 'much' },
    { stakeMist: -1 },
    { stakeMist: 1.5 },
    { stakeMist: 2 ** 60 },
    { stakeMist: '18446744073709551616' },
    { stakeMist: 5, minimumMist: 6 },
    { stake: 5 },
  ],
});

test('a node that has nothing stakes and mints, once, and says so', async () => {
  await using loaded = await loadPlugin(staking, { config });
  expect(await find(loaded)).toBeUndefined();
  const { stake, phases } = await obtain(loaded);
  expect(phases).toEqual(['stake', 'seal']);
  expect(loaded.chain.sent).toEqual(['join']);
  expect(loaded.chain.expectRecord(stake.recordId)).toMatchObject({ stakeMist: 5000n, token: stake.tokenId });
  expect(loaded.facts('stake.created')).toEqual([
    { recordId: stake.recordId, digest: 'digest-1', stakeMist: 5000n },
  ]);
  expect(loaded.facts('seal.minted')).toEqual([
    { tokenId: stake.tokenId, recordId: stake.recordId, digest: 'digest-1' },
  ]);
  expect(loaded.facts('stake.found')).toEqual([]);
  expect(await find(loaded)).toEqual(stake);
  expect((await obtain(loaded)).stake).toEqual(stake);
  expect(loaded.chain.sent).toHaveLength(1);
});

test('what stands already is found, whoever sent it, without an amount being configured', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  const recordId = chain.addRecord({ nodeId, stakeMist: 7000n });
  const tokenId = chain.addToken(recordId, holderKey);
  await using loaded = await loadPlugin(staking, { services: { clock, chain } });
  expect(await find(loaded)).toEqual({ recordId, tokenId, stakeMist: 7000n });
  await obtain(loaded);
  expect(chain.sent).toEqual([]);
  expect(loaded.facts('stake.found')).toEqual([{ recordId, stakeMist: 7000n }]);
  expect(loaded.facts('seal.found')).toEqual([{ recordId, tokenId }]);
});

test('killed after the join was executed and before its reply, the next process goes on from there', async () => {
  const clock = new FakeClock();
  const services = { clock, chain: new FakeStakeChain(clock), journal: memoryJournal() };
  services.chain.dieAfter = 'join';
  {
    await using first = await loadPlugin(staking, { config, services });
    await expect(obtain(first)).rejects.toThrow('killed');
  }
  await using second = await loadPlugin(staking, { config, services });
  const { stake } = await obtain(second);
  expect(services.chain.sent).toEqual(['join']);
  expect(services.chain.stakeRecords.size).toBe(1);
  expect(services.chain.expectRecord(stake.recordId).token).toBe(stake.tokenId);
  // This process reports the digest of what the earlier one sent.
  expect(second.facts('stake.created')).toHaveLength(1);
  expect(second.facts('seal.minted')).toHaveLength(1);
});

test('a stake that has no token yet gets one, also when the process is killed in between', async () => {
  const clock = new FakeClock();
  const services = { clock, chain: new FakeStakeChain(clock), journal: memoryJournal() };
  const recordId = services.chain.addRecord({ nodeId, stakeMist: 5000n });
  services.chain.dieAfter = 'create_worker_seal_token';
  {
    await using first = await loadPlugin(staking, { config, services });
    await expect(obtain(first)).rejects.toThrow('killed');
  }
  await using second = await loadPlugin(staking, { config, services });
  expect((await obtain(second)).stake).toMatchObject({ recordId });
  expect(services.chain.sent).toEqual(['create_worker_seal_token']);
  expect(second.facts('seal.minted')).toHaveLength(1);
});

describe('the terms of the cluster', () => {
  const stakeMist = '5000';

  test('have to be accepted: without a fingerprint nothing is staked, and the error shows terms and fingerprint', async () => {
    await using loaded = await loadPlugin(staking, { config: { stakeMist } });
    const { termsFingerprint } = await loaded.chain.cluster();
    await expect(obtain(loaded)).rejects.toMatchObject({
      code: 'DAAS_TERMS_NOT_ACCEPTED',
      exitCode: 78,
      message: expect.stringMatching(
        new RegExp(`stake\\.acceptTerms is not set.*unbonding time 86400 s.*to ${termsFingerprint}`),
      ),
    });
    expect(loaded.chain.sent).toEqual([]);
  });

  test('that were accepted are staked on, and a change stops the next stake with what is different', async () => {
    const clock = new FakeClock();
    const services = { clock, chain: new FakeStakeChain(clock), journal: memoryJournal() };
    const { termsFingerprint: acceptTerms } = await services.chain.cluster();
    await using loaded = await loadPlugin(staking, { config: { stakeMist, acceptTerms }, services });
    const { stake } = await obtain(loaded);
    services.chain.change(stake.recordId, { status: 'withdrawn' });
    services.chain.termsVersion = 2n;
    services.chain.parameters = { ...services.chain.parameters, unbondingMs: 172_800_000 };
    const config = { stakeMist, acceptTerms, stakeAgain: true };
    await using again = await loadPlugin(staking, { config, services });
    await expect(obtain(again)).rejects.toMatchObject({
      code: 'DAAS_TERMS_NOT_ACCEPTED',
      message: expect.stringContaining('unbonding time 172800 s (before: 86400 s)'),
    });
    expect(services.chain.sent).toHaveLength(1);
  });

  test('that change between the judgement and the stake are refused by the contract', async () => {
    const clock = new FakeClock();
    const chain = new FakeStakeChain(clock);
    const cluster = await chain.cluster();
    chain.cluster = async () => cluster;
    chain.termsVersion = 2n;
    const config = { stakeMist, acceptTerms: cluster.termsFingerprint };
    await using loaded = await loadPlugin(staking, { config, services: { clock, chain } });
    await expect(obtain(loaded)).rejects.toMatchObject({ code: 'DAAS_TERMS_NOT_ACCEPTED' });
    expect(chain.sent).toEqual([]);
  });

  test('do not matter to a stake that stands', async () => {
    const clock = new FakeClock();
    const chain = new FakeStakeChain(clock);
    chain.addToken(chain.addRecord({ nodeId, stakeMist: 5000n }), holderKey);
    await using loaded = await loadPlugin(staking, { services: { clock, chain } });
    expect(await find(loaded)).toBeDefined();
    await obtain(loaded);
  });
});

test('an amount below the minimum of the cluster is refused before anything is sent', async () => {
  await using loaded = await loadPlugin(staking, { config: { ...config, stakeMist: '999' } });
  await expect(obtain(loaded)).rejects.toMatchObject({
    code: 'DAAS_STAKE_TOO_LOW',
    details: { leastMist: 1000n },
  });
  expect(loaded.chain.sent).toEqual([]);
});

test('a node id staked by another wallet is refused, and no money moves', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  chain.addRecord({ nodeId, stakeMist: 5000n, staker: fakeId('somebody else') });
  await using loaded = await loadPlugin(staking, { config, services: { clock, chain } });
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_NODE_ID_TAKEN', exitCode: 78 });
  await expect(obtain(loaded)).rejects.toMatchObject({ code: 'DAAS_NODE_ID_TAKEN' });
  expect(chain.sent).toEqual([]);
});

test('a token bound to another node key is refused, and says what to do', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  chain.addToken(chain.addRecord({ nodeId, stakeMist: 5000n }), new Uint8Array(32).fill(1));
  await using loaded = await loadPlugin(staking, { config, services: { clock, chain } });
  await expect(find(loaded)).rejects.toMatchObject({
    code: 'DAAS_HOLDER_KEY_MISMATCH',
    exitCode: 78,
    message: expect.stringContaining('rotate'),
  });
});

test('an expired token and a stake below the minimum are refused', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  const recordId = chain.addRecord({ nodeId, stakeMist: 5000n });
  const tokenId = chain.addToken(recordId, holderKey, { expiresAtEpoch: 10n });
  const asking = { ...config, rotation: { mode: 'ask' } };
  await using loaded = await loadPlugin(staking, { config: asking, services: { clock, chain } });
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_SEAL_TOKEN_EXPIRED' });
  chain.epoch = 9n;
  expect(await find(loaded)).toMatchObject({ tokenId });
  chain.parameters = { ...chain.parameters, minimumWorkerStakeMist: 6000n };
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_STAKE_TOO_LOW' });
});

test('a host that was away while the minimum was raised tops up at its start, as far as the operator allows, and once', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  const { recordId } = chain.stake(nodeId, holderKey, { stakeMist: 5000n });
  chain.parameters = { ...chain.parameters, minimumWorkerStakeMist: 6000n };
  const services = { clock, chain, journal: memoryJournal() };
  await using strict = await loadPlugin(staking, { config, services });
  await expect(find(strict)).rejects.toMatchObject({ code: 'DAAS_STAKE_TOO_LOW' });
  expect(strict.facts('attention.needed')).toMatchObject([{ kind: 'stake_below_minimum' }]);
  const allowing = { ...config, directives: { topUpMist: '100000000' } };
  await using loaded = await loadPlugin(staking, { config: allowing, services });
  expect(await find(loaded)).toMatchObject({ recordId });
  expect(chain.expectRecord(recordId).stakeMist).toBeGreaterThanOrEqual(6000n);
  expect(await find(loaded)).toMatchObject({ recordId });
  expect(chain.sent).toEqual(['top_up']);
});

test('a top-up at the start that may pass is tried again, and charged to the allowance once', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  const { recordId } = chain.stake(nodeId, holderKey, { stakeMist: 5000n });
  chain.parameters = { ...chain.parameters, minimumWorkerStakeMist: 6000n };
  const { minimumTopUpMist } = chain.parameters;
  const services = { clock, chain, journal: memoryJournal() };
  // Enough for one top-up and not for two.
  const directives = { topUpMist: String(minimumTopUpMist + 1_000n) };
  await using loaded = await loadPlugin(staking, { config: { ...config, directives }, services });
  const topUp = chain.topUp.bind(chain);
  chain.topUp = async () => {
    throw new DaasError('DAAS_CHAIN_UNAVAILABLE', 'the chain is busy', { isRetryable: true });
  };
  for (let attempt = 0; attempt < 3; attempt += 1)
    await expect(find(loaded)).rejects.toMatchObject({
      code: 'DAAS_CHAIN_UNAVAILABLE',
      isRetryable: true,
      exitCode: 75,
    });
  chain.topUp = topUp;
  expect(await find(loaded)).toMatchObject({ recordId });
  expect(chain.sent).toEqual(['top_up']);
  // What was topped up is spent: the next one is another.
  chain.parameters = { ...chain.parameters, minimumWorkerStakeMist: 9_000_000n };
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_STAKE_TOO_LOW', exitCode: 78 });
  expect(chain.sent).toHaveLength(1);
});

test('without an amount nothing is ever staked', async () => {
  await using loaded = await loadPlugin(staking);
  await expect(obtain(loaded)).rejects.toMatchObject({ code: 'DAAS_STAKE_AMOUNT_MISSING', exitCode: 78 });
  expect(loaded.chain.sent).toEqual([]);
});

test.each([
  ['slashed', 'slashed', 'DAAS_STAKE_SLASHED'],
  ['unbonding', 'ended', 'DAAS_STAKE_ENDED'],
  ['withdrawn', 'ended', 'DAAS_STAKE_ENDED'],
] as const)(
  'after a stake that is %s no second one is made unasked, and the host ends',
  async (status, kind, code) => {
    const clock = new FakeClock();
    const services = { clock, chain: new FakeStakeChain(clock), journal: memoryJournal() };
    await using first = await loadPlugin(staking, { config, services });
    const { stake } = await obtain(first);
    services.chain.change(stake.recordId, { status });
    services.chain.criticalRecords = [];
    await expect(find(first)).rejects.toMatchObject({ code, exitCode: 77 });
    expect(first.control.stops[0]).toMatchObject({ cause: { kind, recordId: stake.recordId } });
    await expect(obtain(first)).rejects.toMatchObject({ code });
    expect(services.chain.sent).toHaveLength(1);

    await using again = await loadPlugin(staking, { config: { ...config, stakeAgain: true }, services });
    expect(await find(again)).toBeUndefined();
    expect((await obtain(again)).stake.recordId).not.toBe(stake.recordId);
  },
);

test('a machine that lost its journal finds its slashed stake in the ring of the cluster', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  chain.slash(chain.addRecord({ nodeId: 'other', stakeMist: 5n }));
  const recordId = chain.addRecord({ nodeId, stakeMist: 5000n });
  chain.slash(recordId);
  await using loaded = await loadPlugin(staking, { config, services: { clock, chain } });
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_STAKE_SLASHED' });
  expect(loaded.control.stops).toMatchObject([
    { cause: { kind: 'slashed', recordId, detail: 'slashed: test' }, source: 'chain' },
  ]);
  expect(chain.sent).toEqual([]);
});

test('somebody else’s slashed stake of the same node id is no obstacle', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  chain.slash(chain.addRecord({ nodeId, stakeMist: 5000n, staker: fakeId('somebody else') }));
  await using loaded = await loadPlugin(staking, { config, services: { clock, chain } });
  await obtain(loaded);
  expect(loaded.control.stops).toEqual([]);
});

test('a chain that does not answer, and one that is behind, may be asked again', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  const recordId = chain.addRecord({ nodeId, stakeMist: 5000n });
  chain.addToken(recordId, holderKey);
  chain.sealTokens.clear();
  await using loaded = await loadPlugin(staking, { config, services: { clock, chain } });
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_CHAIN_BEHIND', isRetryable: true });
  chain.isDown = true;
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_CHAIN_UNAVAILABLE', isRetryable: true });
});

test('a record that this machine made and the endpoint does not have is no reason to stake again', async () => {
  const clock = new FakeClock();
  const services = { clock, chain: new FakeStakeChain(clock), journal: memoryJournal() };
  await using loaded = await loadPlugin(staking, { config, services });
  await obtain(loaded);
  services.chain.stakeRecords.clear();
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_CHAIN_BEHIND', isRetryable: true });
  await expect(obtain(loaded)).rejects.toMatchObject({ code: 'DAAS_CHAIN_BEHIND' });
  expect(services.chain.sent).toHaveLength(1);
});

test('a state directory that comes from another cluster stakes in this one', async () => {
  const clock = new FakeClock();
  const services = { clock, chain: new FakeStakeChain(clock), journal: memoryJournal() };
  await using before = await loadPlugin(staking, { config, services });
  await obtain(before);
  const chain = new FakeStakeChain(clock);
  Object.assign(chain, { clusterId: fakeId('another cluster') });
  await using loaded = await loadPlugin(staking, { config, services: { ...services, chain } });
  await obtain(loaded);
  expect(chain.sent).toHaveLength(1);
});

test('a slash that comes between the reading of the table and of the record is a slash, not a stake that is too low', async () => {
  const clock = new FakeClock();
  const chain = new FakeStakeChain(clock);
  const recordId = chain.addRecord({ nodeId, stakeMist: 5000n });
  chain.slash(recordId);
  let table: string | undefined = recordId;
  chain.liveRecordOf = async () => table;
  await using loaded = await loadPlugin(staking, { config, services: { clock, chain } });
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_CHAIN_BEHIND', isRetryable: true });
  table = undefined;
  await expect(find(loaded)).rejects.toMatchObject({ code: 'DAAS_STAKE_SLASHED' });
});

test('its preview says what a start would do, and sends nothing', async () => {
  const clock = new FakeClock();
  const services = { clock, chain: new FakeStakeChain(clock), journal: memoryJournal() };
  await using loaded = await loadPlugin(staking, { config, services });
  const preview = () => loaded.provided(SealTokenSource).preview?.(signal);
  expect(await preview()).toEqual({
    plan: 'would stake 5000 MIST (minimum of the cluster: 1000 MIST; gas at most 1000 MIST) and mint a Seal token',
  });
  const recordId = services.chain.addRecord({ nodeId, stakeMist: 7_000_000_000n });
  expect((await preview())?.plan).toBe(
    `record ${recordId} stands (active) with 7 SUI; would mint its Seal token (gas at most 1000 MIST)`,
  );
  const tokenId = services.chain.addToken(recordId, holderKey);
  expect((await preview())?.plan).toContain(`and token ${tokenId}`);
  services.chain.slash(recordId);
  await expect(preview()).rejects.toMatchObject({ code: 'DAAS_STAKE_SLASHED', exitCode: 77 });
  expect(services.chain.sent).toEqual([]);
});

test('it provides one point and no other', async () => {
  await using loaded = await loadPlugin(staking, { config });
  expect(() => loaded.provided(JoinCredentialSource)).toThrow('no plugin provides');
});
