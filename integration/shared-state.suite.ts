import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { systemClock } from '#base';
import { STATE_NAMESPACE } from '#cluster';
import { addKey } from '#state';
import { type EtcdServer, etcdProblem, startEtcd } from './state/etcd-server.ts';
import { suiteWorld } from './suite-world.ts';
import { processesOf } from './world/processes.ts';
import type { Program } from './world/program.ts';
import { workerPlugins } from './world/worker-plugins.ts';
import { World } from './world/world.ts';

/**
 * Two gateways as processes with one state, in a real etcd beside the stand-in, or in Secrets of the API server of this project, and
 * workers that know both.
 */
const withinMs = 120_000;
const isEtcd = inject('world') === 'standin';
const problem = isEtcd ? etcdProblem() : suiteWorld.isMissing ? 'it is missing' : undefined;
const where = isEtcd ? 'one etcd' : suiteWorld.name;
let etcd: EtcdServer | undefined;
let directory: string;
let keyId: string | undefined;
let world: World;
let second: Awaited<ReturnType<World['addGateway']>>;
beforeAll(async () => {
  if (problem !== undefined) return;
  etcd = isEtcd ? await startEtcd() : undefined;
  directory = await mkdtemp(join(tmpdir(), 'shared-state-'));
  const file = join(directory, 'keys');
  keyId = (await addKey({ file }, systemClock.nowMs()))?.ids[0];
  const engine = etcd
    ? { engine: 'etcd', etcd: { endpoints: [etcd.url], leaseSeconds: 8 } }
    : { engine: 'kubernetes', kubernetes: { leaseSeconds: 20 } };
  const gateway = { state: { ...engine, keys: { file } } };
  world = await World.start({ ...suiteWorld.k3s, heartbeatIntervalMs: 300, gateway });
  second = await world.addGateway('second');
}, 300_000);
afterAll(async () => {
  await world?.close();
  await etcd?.[Symbol.asyncDispose]();
  if (directory) await rm(directory, { recursive: true });
});

/** The values in the store, as somebody reads them who has no key. */
async function storedTexts(): Promise<string[]> {
  const decoded = (value = '') => Buffer.from(value, 'base64').toString('utf8');
  if (!etcd) {
    const { body } = await world.kubernetes.get(`/api/v1/namespaces/${STATE_NAMESPACE}/secrets`);
    return (body.items as Array<{ data?: { state?: string } }>).map(({ data }) => decoded(data?.state));
  }
  const found = await etcd.call('/v3/kv/range', {
    key: Buffer.from('/k3s-daas/').toString('base64'),
    range_end: Buffer.from('/k3s-daas/\u007f').toString('base64'),
  });
  return (found.kvs as Array<{ value?: string }>).map(({ value }) => decoded(value));
}

const registeredAt = (host: Program, url: string, from: number) =>
  host.line(
    `a registration at ${url}`,
    ({ event, gatewayUrl }) => event === 'worker.registered' && gatewayUrl === url,
    { from, withinMs },
  );

describe.skipIf(problem !== undefined)(`two gateways on ${where}${problem ? ` (${problem})` : ''}`, () => {
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
    const values = await storedTexts();
    expect(values.some((value) => value.includes(`k3s-daas-sealed/1 ${keyId} `))).toBe(true);
    expect(values.filter((value) => value.includes('node_id'))).toEqual([]);

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
