import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lifetime } from '#base';
import { virtualHost } from './world/virtual-host.ts';

let life: Lifetime;
beforeEach(() => {
  life = new Lifetime();
});
afterEach(() => life.close());

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

test('an idle host reads its stake 20 times a minute, sends six heartbeats, and wakes less than three times a second', {
  timeout: 300_000,
}, async () => {
  const world = await virtualHost(life, { config: { staking: { stakeMist: '5000', acceptTerms: 'any' } } });
  const { clock, chain, gateways } = world;
  await world.start();
  await clock.advance(2 * minuteMs);
  expect(gateways.known).toBeDefined();
  const reads = () => chain.asked.records.length + chain.asked.tokens.length + chain.asked.cluster;
  const before = { reads: reads(), calls: gateways.calls.length };
  let wakes = 0;
  const sleep = clock.sleep.bind(clock);
  clock.sleep = (...args) => {
    wakes += 1;
    return sleep(...args);
  };
  await clock.advance(minuteMs);
  // Every three seconds, and once a minute for the heartbeats.
  expect(reads() - before.reads).toBeLessThanOrEqual(20 + 1 + 1);
  expect(gateways.calls.length - before.calls).toBeLessThanOrEqual(6 + 1);
  expect(wakes).toBeLessThan(180);
});

test('a simulated year of a whole host: rotations, a top-up, other parameters, a gateway’s death, a theft, restarts, and out with the money to the MIST', {
  timeout: 900_000,
}, async () => {
  const world = await virtualHost(life, {
    config: {
      staking: {
        stakeMist: '5000',
        acceptTerms: 'any',
        rotation: { checkMs: 6 * hourMs, gasReserveMist: 1_000 },
        directives: { topUpMist: '4000' },
      },
      heartbeat: { intervalMs: 10 * minuteMs },
      slashing: { intervalMs: minuteMs },
    },
  });
  const { clock, chain, gateways, agent, identity } = world;
  chain.parameters = { ...chain.parameters, longestTokenLifeEpochs: 22n };
  const startMist = chain.balanceMist;
  await world.start();
  await world.pass(hourMs, minuteMs);
  const recordId = (await chain.liveRecordOf('worker-1')) ?? '';
  expect(chain.expectRecord(recordId)).toMatchObject({ status: 'active', stakeMist: 5_000n });

  const days = async (count: number) => {
    for (let day = 0; day < count; day += 1) {
      chain.epoch += 1n;
      const acknowledged = gateways.acknowledged;
      await world.pass(dayMs, 2 * hourMs);
      // Every day: one token that has not expired, which the gateway knows, heartbeats, and the agent of the first day.
      const [token, ...others] = [...chain.sealTokens.values()];
      expect(others).toEqual([]);
      expect(token?.expiresAtEpoch).toBeGreaterThan(chain.epoch);
      expect(gateways.known?.sealTokenId).toBe(token?.id);
      expect(gateways.acknowledged).toBeGreaterThan(acknowledged);
      expect(agent.state()).toMatchObject({ kind: 'ready' });
    }
  };
  await days(90);

  // The minimum is raised above the stake: the gateway asks, and the budget of the operator is kept to.
  chain.requireStake(8_000n);
  await days(10);
  expect(chain.expectRecord(recordId).stakeMist).toBe(8_000n);

  // The gateway that knows it dies: the other one takes it.
  const [one, two] = chain.gateways;
  const urlOf = () => gateways.calls.findLast((call) => call.startsWith('heartbeat'))?.split(' ')[1] ?? '';
  const first = urlOf();
  gateways.dead.add(first);
  await world.pass(6 * hourMs, 10 * minuteMs);
  expect([one?.url, two?.url]).toContain(urlOf());
  expect(urlOf()).not.toBe(first);
  await days(30);
  gateways.dead.clear();

  // The key is stolen: the operator rotates to the key that waits on the machine, and the host follows.
  const { token: stolen = '' } = chain.expectRecord(recordId);
  await chain.rotateSealToken({ recordId, tokenId: stolen, holderKey: await identity.rotation.prepare() });
  await world.pass(12 * hourMs, 30 * minuteMs);
  expect(gateways.known?.sealTokenId).toBe(chain.expectRecord(recordId).token);
  await days(40);

  // Killed right after a rotation was carried out, and started anew; then restarted in order.
  const sent = chain.sent.length;
  chain.dieAfter = 'rotate_seal_token';
  for (let day = 0; day < 22 && chain.sent.length === sent; day += 1) {
    chain.epoch += 1n;
    await world.pass(dayMs, 2 * hourMs);
  }
  await world.stop();
  await world.start();
  await world.pass(hourMs, minuteMs);
  await days(70);
  await world.stop();
  await world.start();
  await world.pass(hourMs, minuteMs);
  await days(103);

  const counts = Object.groupBy(chain.sent, (kind) => kind);
  expect(counts.join).toHaveLength(1);
  expect(counts.top_up).toHaveLength(1);
  expect(counts.rotate_seal_token?.length).toBeGreaterThanOrEqual(20);
  expect(counts.rotate_seal_token?.length).toBeLessThanOrEqual(27);
  expect(agent.calls.filter((call) => call === 'start')).toHaveLength(3);

  await world.stop();
  await chain.requestUnstake({ recordId });
  await clock.advance(2 * dayMs, dayMs);
  await chain.withdraw({ recordId });
  expect(chain.balanceMist).toBe(startMist);
  expect(chain.sealTokens.size).toBe(0);
});
