import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defaultSettings, operations } from '#chain';
import { until } from './world/kubernetes.ts';
import { type KnownGateway, register } from './world/outsider.ts';
import { processesOf } from './world/processes.ts';
import { type Program, runOnce } from './world/program.ts';
import { makeSeenMachine, reboot, type SeenMachine, seenBy } from './world/seen-machine.ts';
import { heartbeatFrom, thiefOf, tokenOf } from './world/thief.ts';
import { SUI, type Worker, World } from './world/world.ts';

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
  world = await World.start({
    heartbeatIntervalMs: 300,
    gateway: { limits: { tokenRate: 50, tokenBurst: 200 } },
    // A token is due after one epoch: an epoch costs everybody the proof of its committee.
    cluster: { maximumTokenEpochs: 2n },
  });
  const ca = await readFile(world.gatewayCaFile, 'utf8');
  gateway = { url: world.gatewayUrl, id: world.gatewayId, ca };
});
afterAll(() => world?.close());

const plugins = [
  {
    use: 'staking',
    config: {
      rotation: { checkMs: 200 },
      directives: { rotations: 100, topUpMist: (2n * SUI).toString() },
    },
  },
  { use: 'registration' },
  { use: 'heartbeat' },
  { use: 'slashing', config: { intervalMs: 300 } },
];

test.skipIf(!isRoot)(
  'a worker lives through 20 rotations, a top-up, new parameters, a gateway’s death, a stolen key and a restart of its machine, and leaves with its money: start minus gas, to the MIST',
  { timeout: 900_000 },
  async () => {
    const machine = await makeSeenMachine(world.directory, { machineId: nodeId, bootId: randomUUID() });
    const worker = await world.worker(nodeId, { config: { plugins }, machine });
    const startMist = await world.chain.balance(worker.wallet.address);
    const host = worker.start();
    const { pid } = await host.event('agent.ready', { withinMs });
    const { uid } = await world.nodeReady(nodeId);
    const pods = podsOf(worker);
    expect(pods).toHaveLength(2);
    /** One agent since the machine was started, the same Node, and the pods that it began with. */
    const undisturbed = async (program: Program, agent: unknown, shims: unknown) => {
      expect(program.lines.filter(({ event }) => event === 'agent.started')).toMatchObject([{ pid: agent }]);
      expect(program.lines.filter(({ event }) => event === 'agent.exited')).toEqual([]);
      expect(podsOf(worker)).toEqual(shims);
      expect(await world.nodeReady(nodeId)).toEqual({ uid, isReady: true });
    };

    for (let count = 0; count < 10; count += 1) await rotated(host);
    await raisedMinimum(host);
    await gatewayDied(host);
    await keyStolen(worker, host);
    await undisturbed(host, pid, pods);

    const { program, agent } = await machineRestarted(worker, host, Number(pid), () =>
      reboot(machine, randomUUID()),
    );
    const podsAfter = podsOf(worker);
    for (let count = 0; count < 10; count += 1) await rotated(program);
    await undisturbed(program, agent, podsAfter);
    expect(await tokenOf(world, nodeId)).toMatchObject({ tokenSequence: 22n });

    await left(worker, program, machine);
    // Stake and token, 20 rotations and that after the theft, top-up, unstake, withdrawal.
    const { count, gasMist } = await sentBy(worker.wallet.address);
    expect(count).toBe(1 + 20 + 1 + 1 + 1 + 1);
    expect(await world.chain.balance(worker.wallet.address)).toBe(startMist - gasMist);
  },
);

const podsOf = ({ containerdAddress }: Worker) => processesOf(containerdAddress, 'containerd-shim-runc-v2');

/** Ends an epoch, with which the token is due, and waits until the host lives on its successor. */
async function rotated(host: Program): Promise<void> {
  const from = host.lines.length;
  world.chain.devnet.advanceEpoch();
  await host.event('node.key.changed', { from, withinMs });
}

/** The minimum is raised above the stake: the host says so before, and tops up when the gateway asks. */
async function raisedMinimum(host: Program): Promise<void> {
  const { client, actor } = world.chain;
  const { parameters } = await client.cluster();
  const from = host.lines.length;
  await operations.scheduleParameters.execute(
    { client, wallet: actor.wallet },
    {
      ...defaultSettings(actor.wallet.address),
      slashers: world.slashers.map(({ address }) => address),
      slashThreshold: 2n,
      maximumTokenEpochs: parameters.longestTokenLifeEpochs,
      minimumStakeMist: 3n * SUI,
    },
  );
  await host.line(
    'the notice',
    ({ event, kind }) => event === 'attention.needed' && kind === 'stake_will_be_low',
    {
      from,
      withinMs,
    },
  );
  world.chain.devnet.advanceClock(9 * DAY_MS);
  await until(
    'the top-up',
    async () => {
      const { recordId } = await tokenOf(world, nodeId);
      const record = (await client.records([recordId])).get(recordId);
      return record?.stakeMist === 3n * SUI ? true : undefined;
    },
    { withinMs },
  );
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
  await command(
    'token',
    'rotate',
    '--new-key-file',
    join(worker.stateDir, 'node.key.next'),
    ...money(worker),
  );
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
  for (const pid of podsOf(worker)) process.kill(Number(pid), 'SIGKILL');
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

/** What the wallet has sent, and what that took in gas. */
async function sentBy(address: string): Promise<{ count: number; gasMist: bigint }> {
  const { transactions } = await world.chain.client.endpoints.read('the transactions', (client, signal) =>
    client.core.listTransactions({ filter: { sender: address }, include: { effects: true }, signal }),
  );
  let gasMist = 0n;
  for (const result of transactions) {
    const { gasUsed } = (result.Transaction ?? result.FailedTransaction).effects;
    gasMist += BigInt(gasUsed.computationCost) + BigInt(gasUsed.storageCost) - BigInt(gasUsed.storageRebate);
  }
  return { count: transactions.length, gasMist };
}
