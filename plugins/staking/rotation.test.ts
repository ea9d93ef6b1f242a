import type { HostEvents } from 'k3s-daas/plugin';
import { gatewayErrorCode, SealTokenSource } from 'k3s-daas/plugin';
import { FakeClock, FakeStakeChain, fakeIdentity, loadPlugin, memoryJournal } from 'k3s-daas/plugin/testing';
import { describe, expect, test } from 'vitest';
import staking from './index.ts';
import { registeredWith } from './registered.fixture.ts';
import { isRotationDue } from './rotation-due.ts';

const signal = new AbortController().signal;
const nodeId = 'worker-1';
const checkMs = 1_000;

/** A registered node with a token of 30 epochs, at epoch 10. */
async function registered(config: Readonly<Record<string, unknown>> = {}, isRegistered = true) {
  const clock = new FakeClock();
  const services = {
    clock,
    chain: new FakeStakeChain(clock),
    journal: memoryJournal(),
    identity: fakeIdentity(nodeId),
  };
  const { recordId, tokenId } = services.chain.stake(nodeId, services.identity.holderKey, {
    stakeMist: 5_000n,
  });
  const load = () =>
    loadPlugin(staking, { config: { rotation: { checkMs, gasReserveMist: 1_000 }, ...config }, services });
  const first = await load();
  const register = (loaded = first) => {
    const { token = '' } = services.chain.expectRecord(recordId);
    loaded.emit('worker.registered', { ...registration, recordId, sealTokenId: token });
  };
  if (isRegistered) register();
  return { ...services, recordId, tokenId, loaded: first, load, register };
}

const registration: HostEvents['worker.registered'] = registeredWith({ recordId: '', tokenId: '' });

describe('when a rotation is due', () => {
  const token = { issuedEpoch: 0n, expiresAtEpoch: 30n, nodeId };

  test('is between 30 % and 20 % of the life left, at another epoch for other nodes', () => {
    const dueAt = (name: string) => {
      let epoch = 0n;
      while (!isRotationDue({ token: { ...token, nodeId: name }, epoch, longestLifeEpochs: 30n }))
        epoch += 1n;
      return Number(epoch);
    };
    const epochs = Array.from({ length: 200 }, (_none, index) => dueAt(`worker-${index}`));
    expect(Math.min(...epochs)).toBeGreaterThanOrEqual(21);
    expect(Math.max(...epochs)).toBeLessThanOrEqual(24);
    expect(new Set(epochs).size).toBeGreaterThan(1);
  });

  test('is never while a rotation would gain no epoch', () => {
    const short = { issuedEpoch: 4n, expiresAtEpoch: 5n, nodeId };
    expect(isRotationDue({ token: short, epoch: 4n, longestLifeEpochs: 1n })).toBe(false);
    expect(isRotationDue({ token: short, epoch: 5n, longestLifeEpochs: 1n })).toBe(true);
  });
});

test('a token that nears its end is rotated to a new key, once, and the earlier key ends with the registration', async () => {
  const world = await registered();
  await using loaded = world.loaded;
  await world.clock.advance(10 * checkMs);
  expect(world.chain.sent).toEqual([]);
  world.chain.epoch = 35n;
  await world.clock.advance(2 * checkMs);
  expect(world.chain.sent).toEqual(['rotate_seal_token']);
  expect(loaded.control.reregistrations.length).toBeGreaterThan(0);
  expect(loaded.facts('seal.rotated')).toMatchObject([{ earlierTokenId: world.tokenId }]);
  expect(world.identity.fill).toBe(9);
  world.register();
  await world.clock.advance(10 * checkMs);
  expect(world.identity.fill).toBe(10);
  expect(loaded.facts('node.key.changed')).toHaveLength(1);
  expect(world.chain.sent).toHaveLength(1);
});

test('killed after the rotation was executed, the next process registers with the new token and pays nothing', async () => {
  const world = await registered();
  world.chain.epoch = 35n;
  world.chain.dieAfter = 'rotate_seal_token';
  await world.clock.advance(checkMs);
  await world.loaded.stop();
  expect(world.chain.sent).toEqual(['rotate_seal_token']);
  await using again = await world.load();
  const found = await again.provided(SealTokenSource).find(signal);
  expect(found?.tokenId).toBe(world.chain.expectRecord(world.recordId).token);
  expect(found?.tokenId).not.toBe(world.tokenId);
  world.register(again);
  await world.clock.advance(3 * checkMs);
  expect(world.identity.fill).toBe(10);
  expect(world.chain.sent).toHaveLength(1);
});

describe('a gateway that admits the node only with a new proof of its stake', () => {
  const refusal = {
    nodeId,
    error: { code: gatewayErrorCode('proof_too_old'), message: 'the newest proof is too old' },
  };

  async function refusedFor(ms: number, config: Readonly<Record<string, unknown>> = {}) {
    const world = await registered(config, false);
    const source = world.loaded.provided(SealTokenSource);
    const obtain = async () => (await source.obtain(() => undefined, signal)).tokenId;
    world.loaded.emit('registration.failed', refusal);
    await world.clock.advance(ms);
    world.loaded.emit('registration.failed', refusal);
    return { ...world, obtain };
  }

  test('gets a rotated token after a minute, once in 30 days', async () => {
    const world = await refusedFor(60_000);
    await using loaded = world.loaded;
    const tokenId = await world.obtain();
    expect(tokenId).not.toBe(world.tokenId);
    expect(world.chain.sent).toEqual(['rotate_seal_token']);
    loaded.emit('registration.failed', refusal);
    await world.clock.advance(60_000);
    expect(await world.obtain()).toBe(tokenId);
    expect(world.chain.sent).toHaveLength(1);
    expect(loaded.facts('attention.needed')).toMatchObject([{ kind: 'rotation_asked' }]);
    expect(loaded.facts('attention.ended')).toEqual([]);
    world.register(loaded);
    expect(loaded.facts('attention.ended')).toEqual([{ kind: 'rotation_asked' }]);
  });

  test.each([
    ['before the minute is over, in which a probe may help', 59_000, {}, 0],
    ['where the operator rotates', 60_000, { rotation: { mode: 'ask', checkMs } }, 1],
  ] as const)('gets none %s', async (_when, ms, config, notices) => {
    const world = await refusedFor(ms, config);
    await using loaded = world.loaded;
    expect(await world.obtain()).toBe(world.tokenId);
    expect(world.chain.sent).toEqual([]);
    expect(loaded.facts('attention.needed')).toHaveLength(notices);
  });

  test('gets none once another answer came in between', async () => {
    const world = await refusedFor(60_000);
    await using loaded = world.loaded;
    world.register(loaded);
    expect(await world.obtain()).toBe(world.tokenId);
  });

  test('is asked again with the token that there is, where the wallet is elsewhere', async () => {
    const world = await refusedFor(60_000);
    await using loaded = world.loaded;
    world.chain.rotateSealToken = async () => {
      throw new Error('the key of the wallet is not on this machine');
    };
    expect(await world.obtain()).toBe(world.tokenId);
    expect(loaded.facts('attention.needed')).toMatchObject([
      { kind: 'rotation_asked', summary: expect.stringContaining('could not be rotated') },
    ]);
  });
});

test('a token that expired while the host was away is rotated at the start', async () => {
  const world = await registered({}, false);
  await using loaded = world.loaded;
  world.chain.epoch = 40n;
  const source = loaded.provided(SealTokenSource);
  expect(await source.find(signal)).toBeUndefined();
  expect((await source.preview?.(signal))?.plan).toContain('would rotate it');
  const stake = await source.obtain(() => undefined, signal);
  expect(stake.tokenId).not.toBe(world.tokenId);
  expect(world.chain.sent).toEqual(['rotate_seal_token']);
});

test('with mode ask nothing is sent, and the operator hears of it', async () => {
  const world = await registered({ rotation: { checkMs, mode: 'ask' } });
  await using loaded = world.loaded;
  world.chain.epoch = 39n;
  await world.clock.advance(2 * checkMs);
  expect(world.chain.sent).toEqual([]);
  expect(loaded.facts('attention.needed')[0]).toMatchObject({
    kind: 'token_ending',
    severity: 'critical',
    remedy: expect.stringContaining('token rotate'),
  });
});

test('a directive to rotate is followed as often as the operator allows, over restarts', async () => {
  const world = await registered({ directives: { rotations: 1 } });
  const directive = { directive: 'rotate', reason: 'asked' };
  world.loaded.emit('gateway.directive', directive);
  await world.clock.advance(1);
  expect(world.chain.sent).toEqual(['rotate_seal_token']);
  await world.loaded.stop();
  await using again = await world.load();
  world.register(again);
  again.emit('gateway.directive', directive);
  await world.clock.advance(2 * checkMs);
  expect(world.chain.sent).toHaveLength(1);
  expect(again.facts('attention.needed')).toMatchObject([{ kind: 'rotation_asked' }]);
});

test('a rotation that failed is tried again for the same token, and taken from the allowance once', async () => {
  const world = await registered({ directives: { rotations: 1 } });
  await using loaded = world.loaded;
  const { chain } = world;
  const rotate = chain.rotateSealToken.bind(chain);
  chain.rotateSealToken = async () => {
    throw new Error('the chain is busy');
  };
  const ask = async () => {
    loaded.emit('gateway.directive', { directive: 'rotate', reason: 'asked' });
    await world.clock.advance(2 * checkMs);
  };
  await ask();
  chain.rotateSealToken = rotate;
  await ask();
  expect(chain.sent).toEqual(['rotate_seal_token']);
  world.register();
  await ask();
  expect(chain.sent).toHaveLength(1);
});

test('by default a directive spends nothing: the operator is asked', async () => {
  const world = await registered();
  await using loaded = world.loaded;
  loaded.emit('gateway.directive', { directive: 'rotate', reason: 'asked' });
  await world.clock.advance(checkMs);
  world.chain.requireStake(9_000n);
  loaded.emit('gateway.directive', { directive: 'top_up', reason: 'stake_too_low' });
  await world.clock.advance(checkMs);
  expect(world.chain.sent).toEqual([]);
  expect(loaded.facts('attention.needed').map(({ kind }) => kind)).toEqual(
    expect.arrayContaining(['rotation_asked', 'stake_below_minimum']),
  );
});

test('a directive to top up adds what the chain says is missing, within the allowance and under accepted terms', async () => {
  const world = await registered({ acceptTerms: 'any', directives: { topUpMist: '4000' } });
  await using loaded = world.loaded;
  loaded.emit('gateway.directive', { directive: 'top_up', reason: 'stake_too_low' });
  await world.clock.advance(checkMs);
  expect(world.chain.sent).toEqual([]);
  world.chain.requireStake(8_000n);
  loaded.emit('gateway.directive', { directive: 'top_up', reason: 'stake_too_low' });
  await world.clock.advance(checkMs);
  expect(world.chain.sent).toEqual(['top_up']);
  expect(world.chain.expectRecord(world.recordId).stakeMist).toBe(8_000n);
  world.chain.requireStake(10_000n);
  loaded.emit('gateway.directive', { directive: 'top_up', reason: 'stake_too_low' });
  await world.clock.advance(checkMs);
  expect(world.chain.sent).toHaveLength(1);
});

test('a gateway that asks for a top-up with each heartbeat keeps no token from its rotation', async () => {
  const world = await registered();
  await using loaded = world.loaded;
  world.chain.epoch = 35n;
  for (let heartbeat = 0; heartbeat < 4; heartbeat += 1) {
    loaded.emit('gateway.directive', { directive: 'top_up', reason: 'stake_too_low' });
    await world.clock.advance(checkMs / 2);
  }
  expect(world.chain.sent).toEqual(['rotate_seal_token']);
});

test('a token that an operator rotated to the successor key is registered; one for a strange key is an alarm', async () => {
  const world = await registered();
  await using loaded = world.loaded;
  const rotate = (byte: number) => {
    const { token: tokenId = '' } = world.chain.expectRecord(world.recordId);
    const holderKey = new Uint8Array(32).fill(byte);
    return world.chain.rotateSealToken({ recordId: world.recordId, tokenId, holderKey });
  };
  await rotate(10);
  await world.clock.advance(2 * checkMs);
  expect(loaded.control.reregistrations).toContain('the stake has another Seal token');
  await rotate(77);
  await world.clock.advance(2 * checkMs);
  expect(loaded.facts('attention.needed').at(-1)).toMatchObject({
    kind: 'key_replaced',
    severity: 'critical',
  });
});

test('an announced minimum that the stake will not meet is said beforehand, and taken back when it changes', async () => {
  const world = await registered();
  await using loaded = world.loaded;
  const cluster = await world.chain.cluster();
  const { chain } = world;
  const announce = (minimumWorkerStakeMist: bigint) => {
    const parameters = { ...cluster.parameters, minimumWorkerStakeMist };
    chain.cluster = async () => ({
      ...cluster,
      pending: { parameters, slashers: [], effectiveAtMs: 1_900_000_000_000 },
    });
  };
  announce(6_000n);
  await world.clock.advance(2 * checkMs);
  expect(loaded.facts('attention.needed')[0]).toMatchObject({
    kind: 'stake_will_be_low',
    severity: 'warning',
    summary: expect.stringContaining('2030-'),
  });
  announce(4_000n);
  await world.clock.advance(2 * checkMs);
  expect(loaded.facts('attention.ended')).toEqual([{ kind: 'stake_will_be_low' }]);
});

test('a wallet that is low on gas is said, and said no more once it has been filled', async () => {
  const world = await registered();
  await using loaded = world.loaded;
  world.chain.balanceMist = 999n;
  await world.clock.advance(2 * checkMs);
  expect(loaded.facts('attention.needed')[0]).toMatchObject({ kind: 'gas_low', severity: 'warning' });
  world.chain.balanceMist = 2_000n;
  await world.clock.advance(2 * checkMs);
  expect(loaded.facts('attention.ended')).toEqual([{ kind: 'gas_low' }]);
});
