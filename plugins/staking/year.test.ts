import { SealTokenSource } from 'k3s-daas/plugin';
import { FakeClock, FakeStakeChain, fakeIdentity, loadPlugin, memoryJournal } from 'k3s-daas/plugin/testing';
import { expect, test } from 'vitest';
import staking from './index.ts';
import { registeredWith } from './registered.fixture.ts';

const signal = new AbortController().signal;
const nodeId = 'worker-1';
const dayMs = 86_400_000;
const config = {
  stakeMist: '5000',
  acceptTerms: 'any',
  rotation: { checkMs: dayMs / 4, gasReserveMist: 1_000 },
  directives: { topUpMist: '4000' },
};

/** A host that lives through days of one epoch each, and registers when it is asked to. */
async function bornHost() {
  const clock = new FakeClock();
  const services = {
    clock,
    chain: new FakeStakeChain(clock),
    journal: memoryJournal(),
    identity: fakeIdentity(nodeId),
  };
  const { chain } = services;
  chain.parameters = { ...chain.parameters, longestTokenLifeEpochs: 22n };
  let loaded = await loadPlugin(staking, { config, services });
  let registered = 0;
  const register = async () => {
    const source = loaded.provided(SealTokenSource);
    const stake = (await source.find(signal)) ?? (await source.obtain(() => undefined, signal));
    registered = loaded.control.reregistrations.length;
    loaded.emit('worker.registered', registeredWith(stake));
    return stake.recordId;
  };
  return {
    ...services,
    recordId: await register(),
    loaded: () => loaded,
    /** The process ends, in order or not, and another one takes its place. */
    async restart() {
      await loaded.stop();
      loaded = await loadPlugin(staking, { config, services });
      await register();
    },
    async days(count: number, eachDay: () => void = () => undefined) {
      for (let day = 0; day < count; day += 1) {
        chain.epoch += 1n;
        eachDay();
        await clock.advance(dayMs, dayMs / 4);
        if (loaded.control.reregistrations.length > registered) await register();
        // Every day the node has one token, whose key this machine has, and which has not expired.
        expect(chain.sealTokens.size).toBe(1);
        const [token] = chain.sealTokens.values();
        expect(token?.expiresAtEpoch).toBeGreaterThan(chain.epoch);
      }
    },
    async topUpAsked() {
      loaded.emit('gateway.directive', { directive: 'top_up', reason: 'stake_too_low' });
    },
  };
}

test('a simulated year: rotations in time, a top-up, a theft, a killed rotation, restarts, and out with the money', async () => {
  const host = await bornHost();
  const { chain, recordId, identity } = host;
  const startMist = chain.balanceMist + 5_000n;
  await host.days(100);

  // The minimum is raised; the gateway asks every day from then on, and the stake is topped up once.
  chain.requireStake(8_000n);
  await host.days(10, () => void host.topUpAsked());
  expect(chain.expectRecord(recordId).stakeMist).toBe(8_000n);

  // The key is stolen: the operator rotates to the key that waits on the machine.
  await host.days(60);
  const { token: tokenId = '' } = chain.expectRecord(recordId);
  await chain.rotateSealToken({ recordId, tokenId, holderKey: await identity.rotation.prepare() });
  await host.days(5);

  // Killed when the rotation was carried out, and started again some hours later.
  const sent = chain.sent.length;
  chain.dieAfter = 'rotate_seal_token';
  while (chain.sent.length === sent) await host.days(1);
  await host.restart();
  await host.days(60);
  await host.restart();
  await host.days(130 - 1);

  const { token } = chain.expectRecord(recordId);
  expect([...chain.sealTokens.keys()]).toEqual([token]);
  const counts = Object.groupBy(chain.sent, (kind) => kind);
  expect(counts.join).toHaveLength(1);
  expect(counts.top_up).toHaveLength(1);
  // Of 22 epochs, between 20 and 30 % are left at each.
  expect(counts.rotate_seal_token?.length).toBeGreaterThanOrEqual(20);
  expect(counts.rotate_seal_token?.length).toBeLessThanOrEqual(26);
  // Every rotation has given the machine another key.
  expect(identity.fill).toBe(9 + (counts.rotate_seal_token?.length ?? 0));

  await host.loaded().stop();
  await chain.requestUnstake({ recordId });
  await host.clock.advance(2 * dayMs, dayMs);
  await chain.withdraw({ recordId });
  expect(chain.balanceMist).toBe(startMist);
  expect(chain.sealTokens.size).toBe(0);
});
