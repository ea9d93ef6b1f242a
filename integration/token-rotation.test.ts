import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KnownGateway, register } from './world/outsider.ts';
import type { Program } from './world/program.ts';
import { heartbeatFrom, thiefOf, tokenOf } from './world/thief.ts';
import { fastPlugins, rotated, rotateToNewKey, startFastWorld } from './world/token-life.ts';
import type { Worker, World } from './world/world.ts';

/** A worker's Seal token over its life, with a real chain program, gateway, host and agent process. */
let world: World;
let gateway: KnownGateway;
beforeAll(async () => {
  ({ world, gateway } = await startFastWorld());
});
afterAll(() => world?.close());

async function running(
  nodeId: string,
): Promise<{ worker: Worker; host: Program; uid: string; pid: unknown }> {
  const worker = await world.worker(nodeId, { config: { plugins: fastPlugins } });
  const host = worker.start();
  const { pid } = await host.event('agent.ready');
  const { uid } = await world.nodeReady(nodeId);
  return { worker, host, uid, pid };
}

test('a worker lives through 20 rotations of its token: one agent process, one Node, one key file', {
  timeout: 300_000,
}, async () => {
  const { worker, host, uid, pid } = await running('rotating');
  const before = await world.chain.balance(worker.wallet.address);
  const seen = new Set<string>();
  for (let count = 0; count < 20; count += 1) seen.add(await rotated(world, host));
  expect(seen.size).toBe(20);

  const { tokenId, tokenSequence } = await tokenOf(world, 'rotating');
  expect(seen.has(tokenId)).toBe(true);
  expect(tokenSequence).toBe(21n);
  expect((await readdir(worker.stateDir)).filter((name) => name.startsWith('node.key'))).toEqual([
    'node.key',
  ]);
  const agents = host.lines.filter(({ event }) => event === 'agent.started' || event === 'agent.exited');
  expect(agents).toHaveLength(1);
  expect(agents[0]).toMatchObject({ pid });
  expect(await world.node('rotating')).toEqual({ uid, isReady: true });
  const from = host.lines.length;
  await host.event('heartbeat.acknowledged', { from });
  // Gas, and nothing else: a rotation moves no stake.
  const spent = before - (await world.chain.balance(worker.wallet.address));
  expect(spent).toBeGreaterThan(0n);
  expect(spent).toBeLessThan(20n * 50_000_000n);
  await host.stop();
});

test('killed at every step of a rotation, the worker has one token, one key, and rotated once', async () => {
  const { worker, host } = await running('killed');
  let program = host;
  const steps = ['seal.rotated', 'registration.begun', 'worker.registered', 'node.key.changed'];
  for (const [index, step] of steps.entries()) {
    const from = program.lines.length;
    const { tokenId: before } = await tokenOf(world, 'killed');
    world.chain.devnet.advanceEpoch();
    // The rotation before may still be on its way to the log.
    await program.line(step, ({ event, tokenId }) => event === step && tokenId !== before, { from });
    program.kill('SIGKILL');
    await program.exited;
    program = worker.start();
    await program.event('heartbeat.acknowledged');
    expect((await tokenOf(world, 'killed')).tokenSequence).toBe(BigInt(index + 2));
    // The key of before is shredded beside the work of the host.
    await expect
      .poll(async () => (await readdir(worker.stateDir)).filter((name) => name.startsWith('node.key')))
      .toEqual(['node.key']);
  }
  await program.stop();
});

test('a stolen node key gives access until its token is rotated, and none from then on', async () => {
  const { worker, host, uid } = await running('robbed');
  const thief = await thiefOf(world, worker);
  const { status, body } = await register(gateway, thief);
  expect(status).toBe(200);
  // The kubelet of the node is heard: the thief gets no credential for it.
  expect(body.join).toBeNull();
  const beat = (sequence: number) =>
    heartbeatFrom(gateway, thief, { incarnation: Number(body.incarnation), sequence });
  // Until the heartbeat of the node shows that two use its key.
  expect([200, 409]).toContain((await beat(1)).status);

  const before = host.lines.length;
  const rotating = await rotateToNewKey(world, worker, join(worker.directory, 'rotate.json'));
  expect(rotating).toMatchObject({ code: 0 });
  await host.event('node.key.changed', { from: before });
  expect((await beat(2)).status).toBe(401);
  const again = await register(gateway, thief);
  // The earlier token is gone from the chain: named while the gateway still has it in memory, unknown from then on.
  expect(['token_superseded', 'seal_token_invalid']).toContain(again.body.code);
  const other = { ...thief, tokenId: (await tokenOf(world, 'robbed')).tokenId };
  expect((await register(gateway, other)).status).toBe(401);
  const from = host.lines.length;
  await host.event('heartbeat.acknowledged', { from });
  expect(await world.node('robbed')).toEqual({ uid, isReady: true });
  await host.stop();
});
