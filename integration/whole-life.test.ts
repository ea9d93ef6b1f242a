import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sentBy } from './chain/sent-by.ts';
import { type KnownGateway, register } from './world/outsider.ts';
import { bothPodsOf, podsOf, processesOf } from './world/processes.ts';
import { type Program, runOnce } from './world/program.ts';
import { makeSeenMachine, reboot, type SeenMachine, seenBy } from './world/seen-machine.ts';
import { heartbeatFrom, thiefOf, tokenOf } from './world/thief.ts';
import {
  announceMinimum,
  fastPlugins,
  minimumInForce,
  rotated,
  rotateToNewKey,
  startFastWorld,
  toppedUp,
} from './world/token-life.ts';
import type { Worker, World } from './world/world.ts';

/**
 * A worker's whole life on a dev chain whose epochs end when the test says so: real programs of chain, gateway, host and
 * agent. What the chain says of the wallet's money at its end is held against every transaction that it has sent.
 */
const isRoot = process.getuid?.() === 0;
const DAY_MS = 86_400_000;
const nodeId = 'long-lived';
const withinMs = 120_000;
let world: World;
let gateway: KnownGateway;
beforeAll(async () => {
  ({ world, gateway } = await startFastWorld());
});
afterAll(() => world?.close());

test.skipIf(!isRoot)(
  'a worker lives through 20 rotations, a top-up, new parameters, a gateway’s death, a stolen key and a restart of its machine, and leaves with its money: start minus gas, to the MIST',
  { timeout: 900_000 },
  async () => {
    const machine = await makeSeenMachine(world.directory, { machineId: nodeId, bootId: randomUUID() });
    const worker = await world.worker(nodeId, { config: { plugins: fastPlugins }, machine });
    const startMist = await world.chain.balance(worker.wallet.address);
    const host = worker.start();
    const { pid } = await host.event('agent.ready', { withinMs });
    const { uid } = await world.nodeReady(nodeId);
    const pods = await bothPodsOf(worker.containerdAddress);
    /** One agent since the machine was started, the same Node, and the pods that it began with. */
    const undisturbed = async (program: Program, agent: unknown, shims: unknown) => {
      expect(program.lines.filter(({ event }) => event === 'agent.started')).toMatchObject([{ pid: agent }]);
      expect(program.lines.filter(({ event }) => event === 'agent.exited')).toEqual([]);
      expect(podsOf(worker.containerdAddress)).toEqual(shims);
      expect(await world.nodeReady(nodeId)).toEqual({ uid, isReady: true });
    };

    for (let count = 0; count < 10; count += 1) await rotated(world, host, withinMs);
    await raisedMinimum(host);
    await gatewayDied(host);
    await keyStolen(worker, host);
    await undisturbed(host, pid, pods);

    const { program, agent } = await machineRestarted(worker, host, Number(pid), () =>
      reboot(machine, randomUUID()),
    );
    const podsAfter = await bothPodsOf(worker.containerdAddress);
    for (let count = 0; count < 10; count += 1) await rotated(world, program, withinMs);
    await undisturbed(program, agent, podsAfter);
    expect(await tokenOf(world, nodeId)).toMatchObject({ tokenSequence: 22n });

    await left(worker, program, machine);
    // Stake and token, 20 rotations and that after the theft, top-up, unstake, withdrawal.
    const { count, gasMist } = await sentBy(world.chain, worker.wallet.address);
    expect(count).toBe(1 + 20 + 1 + 1 + 1 + 1);
    expect(await world.chain.balance(worker.wallet.address)).toBe(startMist - gasMist);
  },
);

/** The minimum is raised above the stake: the host says so before, and tops up when the gateway asks. */
async function raisedMinimum(host: Program): Promise<void> {
  const from = host.lines.length;
  await announceMinimum(world);
  await host.line(
    'the notice',
    ({ event, kind }) => event === 'attention.needed' && kind === 'stake_will_be_low',
    { from, withinMs },
  );
  minimumInForce(world);
  await toppedUp(world, nodeId, withinMs);
}

async function gatewayDied(host: Program): Promise<void> {
  world.gateway.kill('SIGKILL');
  await world.gateway.exited;
  const from = host.lines.length;
  await host.event('heartbeat.failed', { from, withinMs });
  await world.restartGateway();
  const back = host.lines.length;
  await host.event('heartbeat.acknowledged', { from: back, withinMs });
}

/** A thief registers with the node key; the operator rotates the token, and the host takes its new key up. */
async function keyStolen(worker: Worker, host: Program): Promise<void> {
  const thief = await thiefOf(world, worker);
  const { status, body } = await register(gateway, thief);
  expect(status).toBe(200);
  expect(body.join).toBeNull();
  const from = host.lines.length;
  const { code, tail } = await rotateToNewKey(world, worker, journalOf(worker));
  expect(code, tail).toBe(0);
  await host.event('node.key.changed', { from, withinMs });
  const beat = await heartbeatFrom(gateway, thief, { incarnation: Number(body.incarnation), sequence: 1 });
  expect(beat.status).toBe(401);
  expect((await register(gateway, thief)).status).not.toBe(200);
  await host.event('heartbeat.acknowledged', { from: host.lines.length, withinMs });
}

/** Host, agent and pods are gone at once, as they are when a machine loses its power. */
async function machineRestarted(
  worker: Worker,
  host: Program,
  agentPid: number,
  boot: () => Promise<void>,
): Promise<{ program: Program; agent: unknown }> {
  host.kill('SIGKILL');
  process.kill(agentPid, 'SIGKILL');
  for (const pid of podsOf(worker.containerdAddress)) process.kill(Number(pid), 'SIGKILL');
  await host.exited;
  await boot();
  const program = worker.start();
  const { pid: agent } = await program.event('agent.ready', { withinMs });
  await program.event('heartbeat.acknowledged', { withinMs });
  await world.nodeReady(nodeId);
  return { program, agent };
}

async function left(worker: Worker, host: Program, machine: SeenMachine): Promise<void> {
  const unstake = ['leave', '--config', worker.configFile, '--unstake', '--yes', '--json'];
  // On the worker's machine: elsewhere the gateway refuses to take the node out.
  const leaving = await runOnce({
    name: 'leave',
    args: [...unstake, '--journal', journalOf(worker)],
    logFile: join(world.directory, 'commands.log'),
    command: seenBy(machine),
  });
  expect(leaving.code, leaving.tail).toBe(0);
  expect(await host.exited).toMatchObject({ code: 77 });
  expect(await world.node(nodeId)).toBeUndefined();
  expect(processesOf(worker.containerdAddress, 'k3s agent')).toEqual([]);
  world.chain.devnet.advanceClock(8 * DAY_MS);
  await command('withdraw', ...money(worker));
}

const journalOf = ({ directory }: Worker) => join(directory, 'money.json');

function money(worker: Worker): readonly string[] {
  const { keyFile } = worker.wallet as Worker['wallet'] & { readonly keyFile: string };
  return [
    '--node-id',
    nodeId,
    '--yes',
    '--json',
    '--key-file',
    keyFile,
    '--journal',
    journalOf(worker),
    '--endpoint',
    world.chain.url,
    '--deployment',
    world.deploymentFile,
  ];
}

async function command(...words: readonly string[]): Promise<void> {
  const { code, tail } = await world.command(...words);
  expect(code, tail).toBe(0);
}
