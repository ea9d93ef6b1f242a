import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Program, runOnce } from './world/program.ts';
import { type Worker, World } from './world/world.ts';

/** `k3s-daas leave` on workers that run: a real chain program, gateway, host and agent process. */
let world: World;
beforeAll(async () => {
  world = await World.start({ heartbeatIntervalMs: 300 });
});
afterAll(() => world?.close());

async function running(nodeId: string) {
  const worker = await world.worker(nodeId);
  const host = worker.start();
  await host.event('agent.ready');
  await world.nodeReady(nodeId);
  return { worker, host };
}

function leave(worker: Worker, ...flags: string[]) {
  return world.command('leave', '--config', worker.configFile, '--json', ...flags);
}

async function recordOf(nodeId: string) {
  const { client } = world.chain;
  const id = (await client.liveRecordOf(nodeId)) ?? '';
  return (await client.records([id])).get(id);
}

const resultOf = ({ lines }: Awaited<ReturnType<typeof runOnce>>) => lines.at(-1) ?? {};

test('a worker leaves with its money: the dry run moves nothing, then Node, host and stake end', async () => {
  const { worker, host } = await running('leaving');
  const before = await world.chain.balance(worker.wallet.address);
  const journal = ['--journal', join(worker.directory, 'leave.json')];
  const dry = await leave(worker, '--unstake', '--dry-run', ...journal);
  expect(dry).toMatchObject({ code: 0 });
  expect(resultOf(dry)).toMatchObject({ dryRun: true, nodeId: 'leaving', unstake: true });
  expect(await world.node('leaving')).toMatchObject({ isReady: true });
  expect(await world.chain.balance(worker.wallet.address)).toBe(before);

  const left = await leave(worker, '--unstake', '--yes', ...journal);
  expect(left, left.tail).toMatchObject({ code: 0 });
  expect(resultOf(left)).toMatchObject({
    left: true,
    hostEnded: true,
    gateway: world.gatewayUrl,
    status: 'unbonding',
  });
  expect(await world.node('leaving')).toBeUndefined();
  expect(await host.exited).toMatchObject({ code: 77 });
  expect(host.lines.find(({ event }) => event === 'host.ended')).toMatchObject({
    error: { code: 'DAAS_NODE_LEFT' },
  });
  expect(await recordOf('leaving')).toBeUndefined();
  // Nothing is left to end, and nothing is paid twice.
  const spent = await world.chain.balance(worker.wallet.address);
  expect(await leave(worker, '--yes')).toMatchObject({ code: 0 });
  expect(await world.chain.balance(worker.wallet.address)).toBe(spent);
});

test('a worker that left keeps its stake and comes back on it', async () => {
  const { worker, host } = await running('returning');
  const stake = await recordOf('returning');
  const left = await leave(worker, '--yes');
  expect(left, left.tail).toMatchObject({ code: 0 });
  expect(await world.node('returning')).toBeUndefined();
  expect(await host.exited).toMatchObject({ code: 77 });
  expect(await leave(worker, '--yes')).toMatchObject({ code: 0 });
  const again = worker.start();
  await again.event('agent.ready');
  await world.nodeReady('returning');
  expect((await recordOf('returning'))?.id).toBe(stake?.id);
  await again.stop();
});

test('a leave that is killed and asked for again ends node and stake once', async () => {
  const { worker, host } = await running('killed-leave');
  const stake = await recordOf('killed-leave');
  const flags = ['--yes', '--unstake', '--journal', join(worker.directory, 'leave.json')];
  const from = world.gateway.lines.length;
  const first = new Program({
    name: 'leave',
    args: ['leave', '--config', worker.configFile, '--json', ...flags],
    logFile: join(world.directory, 'commands.log'),
  });
  await world.gateway.event('node.evicting', { from });
  first.kill('SIGKILL');
  await first.exited;
  const again = await leave(worker, ...flags);
  expect(again, again.tail).toMatchObject({ code: 0 });
  expect(resultOf(again)).toMatchObject({ left: true, recordId: stake?.id, status: 'unbonding' });
  expect(await world.node('killed-leave')).toBeUndefined();
  expect(await host.exited).toMatchObject({ code: 77 });
  // Nothing is left to do, and it is said before anything is.
  const third = await leave(worker, ...flags);
  expect(third.code).toBe(78);
  expect(third.tail).toContain('DAAS_STAKE_NOT_ACTIVE');
});

test('a machine without the node key takes no node out', async () => {
  const { worker, host } = await running('guarded');
  const config = JSON.parse(await readFile(worker.configFile, 'utf8'));
  const file = join(worker.directory, 'elsewhere.json');
  await writeFile(file, JSON.stringify({ ...config, stateDir: join(worker.directory, 'empty') }), {
    mode: 0o600,
  });
  const refused = await runOnce({
    name: 'leave',
    args: ['leave', '--config', file, '--json', '--yes'],
    logFile: join(world.directory, 'commands.log'),
  });
  expect(refused.code).toBe(78);
  expect(refused.tail).toContain('DAAS_LEAVE_KEY_MISSING');
  expect(await world.node('guarded')).toMatchObject({ isReady: true });
  await host.stop();
});
