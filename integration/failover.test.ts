import { afterAll, beforeAll, expect, test } from 'vitest';
import { processesOf } from './world/processes.ts';
import type { Program } from './world/program.ts';
import { workerPlugins } from './world/worker-plugins.ts';
import { type Worker, World } from './world/world.ts';

/** Workers of a cluster with two gateways that have a state of their own each, when the one they use is gone. */
const withinMs = 120_000;
let world: World;
let second: Awaited<ReturnType<World['addGateway']>>;
beforeAll(async () => {
  world = await World.start({ heartbeatIntervalMs: 300 });
  second = await world.addGateway('second');
});
afterAll(() => world?.close());

interface Running {
  readonly worker: Worker;
  readonly host: Program;
  readonly agents: readonly number[];
  readonly node: Awaited<ReturnType<World['node']>>;
}

/** Of a worker that prefers the first gateway. */
async function running(nodeId: string): Promise<Running> {
  const plugins = workerPlugins(world.gatewayUrl);
  const worker = await world.worker(nodeId, { config: { plugins } });
  const host = worker.start();
  await host.event('agent.ready', { withinMs });
  await host.event('heartbeat.acknowledged', { withinMs });
  expect(registrations(host).at(-1)).toMatchObject({ gatewayUrl: world.gatewayUrl });
  return { worker, host, agents: agentsOf(worker), node: await world.nodeReady(nodeId) };
}

const agentsOf = ({ containerdAddress }: Worker) => processesOf(containerdAddress, 'k3s agent');
const registrations = ({ lines }: Program) => lines.filter(({ event }) => event === 'worker.registered');

/** The host is served by that gateway, which knows its certificates, and its agent and Node are as they were. */
async function turnedTo(url: string, { worker, host, agents, node }: Running, from: number): Promise<void> {
  await host.line(
    `a registration at ${url}`,
    ({ event, gatewayUrl }) => event === 'worker.registered' && gatewayUrl === url,
    { from, withinMs },
  );
  const at = host.lines.findLastIndex(({ event }) => event === 'worker.registered');
  await host.event('certificates.vouched', { from: at, withinMs });
  await host.event('heartbeat.acknowledged', { from: at, withinMs });
  expect(host.lines[at]).toMatchObject({ hasJoinCredential: false });
  expect(agentsOf(worker)).toEqual(agents);
  expect(await world.nodeReady(worker.nodeId)).toEqual(node);
}

test('the gateway of two workers is killed: both turn to the other without a restart of k3s, and stay when the first is back', {
  timeout: 300_000,
}, async () => {
  const workers = [await running('killed-1'), await running('killed-2')];
  const marks = workers.map(({ host }) => host.lines.length);
  world.gateway.kill('SIGKILL');
  await world.gateway.exited;
  for (const [index, worker] of workers.entries())
    await turnedTo(second.gatewayUrl, worker, marks[index] ?? 0);
  await world.restartGateway();
  for (const { worker, host, agents, node } of workers) {
    await host.event('heartbeat.acknowledged', { from: host.lines.length, withinMs });
    expect(agentsOf(worker)).toEqual(agents);
    expect(await world.nodeReady(worker.nodeId)).toEqual(node);
    await host.stop();
  }
});

test('the gateway hangs (SIGSTOP) and answers nobody: the worker turns to the other, and back when that hangs', {
  timeout: 300_000,
}, async () => {
  const one = await running('stopped');
  let from = one.host.lines.length;
  world.gateway.kill('SIGSTOP');
  try {
    await turnedTo(second.gatewayUrl, one, from);
  } finally {
    world.gateway.kill('SIGCONT');
  }
  from = one.host.lines.length;
  second.gateway.kill('SIGSTOP');
  try {
    await turnedTo(world.gatewayUrl, one, from);
  } finally {
    second.gateway.kill('SIGCONT');
  }
  expect(one.host.lines.filter(({ event }) => event === 'agent.started')).toHaveLength(1);
  await one.host.stop();
});
