import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sentBy, tokensOf } from './chain/sent-by.ts';
import { podsOf, processesOf } from './world/processes.ts';
import type { Program } from './world/program.ts';
import { tokenOf } from './world/thief.ts';
import { announceMinimum, fastPlugins, minimumInForce, toppedUp } from './world/token-life.ts';
import { SUI, type Worker, World } from './world/world.ts';

/**
 * A host that is killed again and again, at each thing that it says it has done, beside a gateway that is killed too: from the first
 * stake to the slash. The chain's own transactions are killed in stake-kills.test.ts and money.test.ts, the steps of an admission in
 * crash.suite.ts, those of a rotation in token-rotation.test.ts.
 */
const withinMs = 120_000;
const nodeId = 'mortal';
let world: World;
beforeAll(async () => {
  // Every life registers.
  const limits = { tokenRate: 100, tokenBurst: 500, nodeRate: 100, nodeBurst: 500 };
  world = await World.start({ heartbeatIntervalMs: 300, gateway: { limits } });
});
afterAll(() => world?.close());

/** In this order one life after the other ends, each as soon as it has said this. */
const deaths = [
  'stake.created',
  'seal.found',
  'registration.begun',
  'worker.registered',
  'agent.started',
  'certificates.vouched',
  'agent.ready',
  'heartbeat.acknowledged',
] as const;

test('a host and its gateway are killed at every step of a life: one stake, one live token, one agent, and nothing is paid twice', {
  timeout: 1_800_000,
}, async () => {
  const worker = await world.worker(nodeId, { config: { plugins: fastPlugins } });
  for (const event of deaths) await diesAt(worker, (host) => host.event(event, { withinMs }));
  await expectOne(worker, { transactions: 1 });

  // It is asked to stop, and killed while it does.
  await diesAt(worker, async (host) => {
    await running(host);
    host.kill('SIGTERM');
    await host.line('the stop', ({ phase }) => phase === 'stop', { withinMs });
  });
  // The gateway dies with it, and is back before the host, or after it.
  for (const moment of ['before', 'after'] as const) {
    await diesAt(worker, async (host) => {
      await running(host);
      world.gateway.kill('SIGKILL');
      await world.gateway.exited;
      if (moment === 'before') await world.restartGateway();
    });
    if (moment === 'after') await world.restartGateway();
  }
  await expectOne(worker, { transactions: 1 });

  await announceMinimum(world);
  minimumInForce(world);
  // Said right before the money moves: by the host at its start, since it was away when the minimum was raised.
  await diesAt(worker, (host) =>
    host.line('the notice', ({ kind }) => kind === 'stake_below_minimum', { withinMs }),
  );
  await diesAt(worker, () => toppedUp(world, nodeId, withinMs), { isTooLate: true });
  await expectOne(worker, { transactions: 2 });

  const { recordId } = await tokenOf(world, nodeId);
  await slashedAt(worker, recordId);
});

/** A life that is killed when `moment` has come. */
async function diesAt(
  worker: Worker,
  moment: (host: Program) => Promise<unknown>,
  { isTooLate = false } = {},
): Promise<void> {
  const host = worker.start();
  await moment(host);
  host.kill('SIGKILL');
  expect(await host.exited).toMatchObject(isTooLate ? {} : { signal: 'SIGKILL' });
}

async function running(host: Program): Promise<void> {
  await host.event('agent.ready', { withinMs });
  await host.event('heartbeat.acknowledged', { withinMs });
}

/** Starts it once more, and holds what it has against the chain, the cluster and the processes. */
async function expectOne(worker: Worker, { transactions }: { transactions: number }): Promise<void> {
  const host = worker.start();
  await running(host);
  await world.nodeReady(nodeId, withinMs);
  const { recordId, tokenId, tokenSequence } = await tokenOf(world, nodeId);
  expect({ recordId, tokenId, tokenSequence }).toEqual({
    recordId: expect.stringMatching(/^0x/),
    tokenId: expect.stringMatching(/^0x/),
    tokenSequence: 1n,
  });
  expect(processesOf(worker.containerdAddress, 'k3s agent')).toHaveLength(1);
  const sent = await sentBy(world.chain, worker.wallet.address);
  expect(sent.count).toBe(transactions);
  expect(await tokensOf(world.chain, worker.wallet.address)).toBe(1);
  const { stakeMist = 0n } = (await world.chain.client.records([recordId])).get(recordId) ?? {};
  expect(await world.chain.balance(worker.wallet.address)).toBe(100n * SUI - stakeMist - sent.gasMist);
  await host.stop();
  expect(processesOf(worker.containerdAddress, 'k3s agent')).toEqual([]);
}

/** Slashed, and killed in the middle of locking itself out: no later life runs an agent. */
async function slashedAt(worker: Worker, recordId: string): Promise<void> {
  const host = worker.start();
  await running(host);
  await world.slash(recordId, 3n * SUI, 'double signing');
  await host.event('stake.slashed', { withinMs });
  host.kill('SIGKILL');
  await host.exited;
  for (let life = 0; life < 2; life += 1) {
    const again = worker.start();
    expect(await again.exited).toMatchObject({ code: 77 });
    expect(again.lines.filter(({ event }) => event === 'agent.ready')).toEqual([]);
    expect(processesOf(worker.containerdAddress, 'k3s agent')).toEqual([]);
    expect(podsOf(worker.containerdAddress)).toEqual([]);
  }
  expect(existsSync(join(worker.stateDir, 'latch.json'))).toBe(true);
  await world.nodeGone(nodeId, withinMs);
}
