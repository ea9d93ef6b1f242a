import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { members, staker } from './members.fixture.ts';
import { World } from './world.fixture.ts';

async function provenWorld(): Promise<World> {
  const world = await World.create();
  world.isProven = true;
  await world.startGateway();
  return world;
}

const isTripped = async (world: World) =>
  (await world.gateway?.health())?.some(({ name, isOk }) => name === 'breaker' && !isOk);

describe.each([
  ['with a trust pin', provenWorld],
  ['without a trust pin', () => World.start()],
])('the breaker as a weapon, %s', (_trust, start) => {
  test('four registrations without machines that unstake trip nothing', async () => {
    await using world = await start();
    const honest = await world.member('worker-1');
    for (let index = 2; index <= 9; index += 1) {
      const attacker = world.worker(`ghost-${index}`, { staker: staker(index) }).stake();
      await attacker.register();
      world.chain.change(attacker.recordId, { status: 'unbonding' });
      await settled(60);
      expect(world.kubernetes.names.has(attacker.nodeId)).toBe(false);
    }
    expect(await isTripped(world)).toBe(false);
    world.chain.slash(honest.recordId);
    await settled(60);
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect((await world.member('worker-10', { staker: staker(20) })).registration?.join).toBeDefined();
  }, 60_000);

  test('one staker with many machines counts once', async () => {
    await using world = await start();
    const all = [];
    for (const name of ['a', 'b', 'c', 'd', 'e']) all.push(await world.member(name, { staker: staker(1) }));
    for (const { recordId } of all) world.chain.change(recordId, { status: 'unbonding' });
    await world.pass(3_000);
    expect(await isTripped(world)).toBe(false);
    expect(all.some(({ nodeId }) => world.kubernetes.has(nodeId))).toBe(false);
  }, 60_000);
});

describe('with a trust pin', () => {
  test.each([
    ['slashes', (world: World, recordId: string) => world.chain.slash(recordId)],
    ['unstakes of their own', (world: World, id: string) => world.chain.change(id, { status: 'unbonding' })],
  ])(
    '%s of eight stakers are carried out: validators have signed them',
    async (_what, end) => {
      await using world = await provenWorld();
      const all = await members(world, 8);
      for (const { recordId } of all) end(world, recordId);
      await world.pass(5_000);
      expect(all.filter(({ nodeId }) => world.kubernetes.has(nodeId))).toHaveLength(0);
      expect(await isTripped(world)).toBe(false);
    },
    60_000,
  );

  test('unstakes that the admin forces trip it at the fourth; a proven slash goes on, and so do admissions', async () => {
    await using world = await provenWorld();
    const all = await members(world, 6);
    for (const { recordId } of all.slice(0, 5)) world.chain.forceUnstake(recordId);
    await world.pass(5_000);
    expect(all.filter(({ nodeId }) => world.kubernetes.has(nodeId))).toHaveLength(3);
    expect(await isTripped(world)).toBe(true);

    const slashed = all[5];
    world.chain.slash(slashed?.recordId ?? '');
    await world.pass(2_000);
    expect(world.kubernetes.has('worker-6')).toBe(false);
    const again = world.worker('worker-6', { staker: staker(6) }).stake();
    await expect(again.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_BANNED' });
    expect((await world.member('worker-9', { staker: staker(9) })).registration?.join).toBeDefined();
  }, 60_000);

  test('an unstake whose author has fallen out of the rings counts as forced', async () => {
    await using world = await provenWorld();
    const all = await members(world, 5);
    for (const { recordId } of all) {
      world.chain.change(recordId, { status: 'unbonding' }, { announce: false });
      world.chain.criticalRecords = [];
    }
    world.chain.report({ critical: all.map(({ recordId }) => recordId) });
    await world.pass(5_000);
    expect(all.filter(({ nodeId }) => world.kubernetes.has(nodeId))).toHaveLength(2);
  }, 60_000);
});
