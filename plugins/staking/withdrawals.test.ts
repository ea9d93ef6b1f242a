import { SealTokenSource } from 'k3s-daas/plugin';
import { FakeClock, FakeStakeChain, loadPlugin, memoryJournal } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import staking from './index.ts';
import { registeredWith } from './registered.fixture.ts';

const signal = new AbortController().signal;
const checkMs = 1_000;
const config = { stakeMist: '5000', acceptTerms: 'any', rotation: { checkMs, gasReserveMist: 0 } };

/** A node whose first stake unbonds, and is started again on a second one if it may stake again. */
async function unbonded() {
  const clock = new FakeClock();
  const services = { clock, chain: new FakeStakeChain(clock), journal: memoryJournal() };
  const first = await loadPlugin(staking, { config, services });
  const { recordId } = await first.provided(SealTokenSource).obtain(() => undefined, signal);
  await first[Symbol.asyncDispose]();
  await services.chain.requestUnstake({ recordId });
  return { ...services, services, recordId };
}

test('a host that runs on another stake says when an earlier one can be withdrawn, and no longer once it was', async () => {
  const { clock, chain, services, recordId } = await unbonded();
  await using loaded = await loadPlugin(staking, { config: { ...config, stakeAgain: true }, services });
  const stake = await loaded.provided(SealTokenSource).obtain(() => undefined, signal);
  loaded.emit('worker.registered', registeredWith(stake));
  const told = () => loaded.facts('attention.needed').filter(({ kind }) => kind === 'withdrawable');
  await clock.advance(5 * checkMs);
  expect(told()).toEqual([]);
  chain.change(recordId, { unlockAtMs: clock.nowMs(), holdUntilMs: 0 });
  await clock.advance(2 * checkMs);
  expect(told().at(-1)).toMatchObject({
    subject: recordId,
    summary: expect.stringContaining('can be withdrawn'),
    remedy: expect.stringContaining(`withdraw --record ${recordId}`),
  });
  await chain.withdraw({ recordId });
  await clock.advance(2 * checkMs);
  expect(loaded.facts('attention.ended')).toContainEqual({ kind: 'withdrawable', subject: recordId });
});

test('a host that ends because its stake has ended says that the coins can be withdrawn', async () => {
  const { clock, chain, services, recordId } = await unbonded();
  chain.change(recordId, { unlockAtMs: clock.nowMs(), holdUntilMs: 0 });
  await using loaded = await loadPlugin(staking, { config, services });
  await expect(loaded.provided(SealTokenSource).find(signal)).rejects.toMatchObject({
    code: 'DAAS_STAKE_ENDED',
  });
  expect(loaded.facts('attention.needed')).toMatchObject([{ kind: 'withdrawable', subject: recordId }]);
});

test.each([
  ['slashed', 'DAAS_STAKE_SLASHED'],
  ['unbonding', 'DAAS_STAKE_ENDED'],
] as const)(
  'a chain that falls silent holds the end of a host whose stake is %s up for two seconds',
  async (status, code) => {
    const { clock, chain, services, recordId } = await unbonded();
    chain.change(recordId, { status });
    await using loaded = await loadPlugin(staking, { config, services });
    const cluster = chain.cluster.bind(chain);
    let reads = 0;
    // The first read finds the ended record; what can be withdrawn is the second.
    chain.cluster = () => {
      reads += 1;
      return reads === 1 ? cluster() : new Promise(() => undefined);
    };
    const finding = loaded.provided(SealTokenSource).find(signal);
    finding.catch(() => undefined);
    await clock.advance(2_000);
    expect(loaded.control.stops).toHaveLength(1);
    await expect(finding).rejects.toMatchObject({ code });
    expect(clock.sleepers).toBe(0);
  },
);
