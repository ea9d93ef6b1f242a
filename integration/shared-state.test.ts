import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '#base';
import { addKey } from '#state';
import { type EtcdServer, etcdProblem, startEtcd } from './state/etcd-server.ts';
import { processesOf } from './world/processes.ts';
import type { Program } from './world/program.ts';
import { workerPlugins } from './world/worker-plugins.ts';
import { World } from './world/world.ts';

/** Two gateways as processes with one state in a real etcd, and workers that know both. */
const withinMs = 120_000;
const problem = etcdProblem();
let etcd: EtcdServer;
let directory: string;
let keyId: string | undefined;
let world: World;
let second: Awaited<ReturnType<World['addGateway']>>;
beforeAll(async () => {
  if (problem !== undefined) return;
  etcd = await startEtcd();
  directory = await mkdtemp(join(tmpdir(), 'shared-state-'));
  const file = join(directory, 'keys');
  keyId = (await addKey({ file }, systemClock.nowMs()))?.ids[0];
  const state = { engine: 'etcd', keys: { file }, etcd: { endpoints: [etcd.url], leaseSeconds: 8 } };
  world = await World.start({ heartbeatIntervalMs: 300, gateway: { state } });
  second = await world.addGateway('second');
}, 300_000);
afterAll(async () => {
  await world?.close();
  await etcd?.[Symbol.asyncDispose]();
  if (directory) await rm(directory, { recursive: true });
});

const registeredAt = (host: Program, url: string, from: number) =>
  host.line(
    `a registration at ${url}`,
    ({ event, gatewayUrl }) => event === 'worker.registered' && gatewayUrl === url,
    { from, withinMs },
  );

describe.skipIf(problem !== undefined)(`two gateways on one etcd${problem ? ` (${problem})` : ''}`, () => {
  test('the one that leads hangs (SIGSTOP): the other serves its workers and evicts, and what hung ends when it goes on', {
    timeout: 600_000,
  }, async () => {
    const worker = await world.worker('worker-1', {
      config: { plugins: workerPlugins(world.gatewayUrl) },
    });
    const host = worker.start();
    await host.event('agent.ready', { withinMs });
    await host.event('heartbeat.acknowledged', { withinMs });
    const agents = processesOf(worker.containerdAddress, 'k3s agent');
    const node = await world.nodeReady('worker-1');
    const unsealed = await etcd.call('/v3/kv/range', {
      key: Buffer.from('/k3s-daas/').toString('base64'),
      range_end: Buffer.from('/k3s-daas/\u007f').toString('base64'),
    });
    const values = (unsealed.kvs as Array<{ value?: string }>).map(({ value = '' }) =>
      Buffer.from(value, 'base64').toString('utf8'),
    );
    expect(values.some((value) => value.startsWith(`k3s-daas-sealed/1 ${keyId} `))).toBe(true);
    expect(values.filter((value) => value.includes('worker-1'))).toEqual([]);

    const from = host.lines.length;
    world.gateway.kill('SIGSTOP');
    await second.gateway.event('gateway.leads', { withinMs });
    await registeredAt(host, second.gatewayUrl, from);
    expect(processesOf(worker.containerdAddress, 'k3s agent')).toEqual(agents);
    expect(await world.nodeReady('worker-1')).toEqual(node);
    const recordId = (await world.chain.client.liveRecordOf('worker-1')) ?? '';
    await world.slash(recordId, 2_000_000_000n, 'a test');
    await second.gateway.line(
      'the eviction',
      ({ event, nodeId }) => event === 'node.evicted' && nodeId === 'worker-1',
      { withinMs },
    );
    expect((await host.exited).code).toBe(77);

    world.gateway.kill('SIGCONT');
    expect((await world.gateway.exited).code).toBe(75);
    expect(await world.node('worker-1')).toBeUndefined();
  });
});
