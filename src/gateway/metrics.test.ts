import { expect, test } from 'vitest';
import { METRICS } from './metric-table.ts';
import { createMetrics } from './metrics.ts';
import { aWorker } from './worker.fixture.ts';
import { World } from './world.fixture.ts';

/** `name{labels}` → value. */
function parsed(text: string): ReadonlyMap<string, number> {
  return new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => {
        const at = line.lastIndexOf(' ');
        return [line.slice(0, at), Number(line.slice(at + 1))] as const;
      }),
  );
}

const scraped = async (world: World) => {
  const response = await fetch(`${world.gateway?.healthUrl}/metrics`);
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  return parsed(await response.text());
};

test('a life of a worker shows in the metrics: join, heartbeat, eviction and what was refused', async () => {
  await using world = await World.start();
  const worker = await world.member('worker-1');
  const joined = await scraped(world);
  expect(joined.get('k3s_daas_workers{status="member"}')).toBe(1);
  expect(joined.get('k3s_daas_audit_events_total{event="worker.registered"}')).toBe(1);
  expect(
    joined.get('k3s_daas_request_duration_seconds_count{route="/api/v1/nodes/heartbeat",status="200"}'),
  ).toBe(1);
  expect(joined.get('k3s_daas_breaker_tripped')).toBe(0);

  const stranger = world.worker('worker-1', { staker: worker.staker });
  stranger.tokenId = worker.tokenId;
  for (let times = 0; times < 3; times += 1)
    await expect(stranger.heartbeat()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID' });
  await world.operator('/v1/evict', { node_id: 'worker-1', lock: false });
  await world.pass(3_000);
  const evicted = await scraped(world);
  expect(evicted.get('k3s_daas_workers{status="member"}')).toBe(0);
  expect(evicted.get('k3s_daas_workers{status="evicted"}')).toBe(1);
  expect(evicted.get('k3s_daas_eviction_duration_seconds_count')).toBe(1);
  const refusals = [...evicted].filter(([name]) => name.startsWith('k3s_daas_refusals_total'));
  expect(refusals.reduce((sum, [, count]) => sum + count, 0)).toBe(3);
  expect(evicted.get('k3s_daas_ready_check{check="chain"}')).toBe(1);
}, 60_000);

test('strangers choose no label: what they ask for counts as one route', async () => {
  await using world = await World.start();
  const { request } = await import('node:https');
  for (let index = 0; index < 5; index += 1)
    await new Promise<void>((resolve, reject) => {
      request(`${world.gateway?.publicUrl}/no/such/${index}`, { rejectUnauthorized: false }, (reply) => {
        reply.resume().once('end', resolve);
      })
        .once('error', reject)
        .end();
    });
  const names = [...(await scraped(world)).keys()].filter((name) =>
    name.startsWith('k3s_daas_request_duration_seconds_count'),
  );
  // The gateway asks itself, too.
  expect(names.filter((name) => !name.includes('/livez'))).toEqual([
    'k3s_daas_request_duration_seconds_count{route="other",status="404"}',
  ]);
}, 60_000);

test('the names are API: changing one breaks dashboards and alerts of operators', () => {
  expect(Object.values(METRICS).map(({ name, labels }) => `${name}{${labels.join(',')}}`)).toEqual([
    'k3s_daas_build_info{version,gateway}',
    'k3s_daas_ready_check{check}',
    'k3s_daas_workers{status}',
    'k3s_daas_workers_held{}',
    'k3s_daas_workers_cloned{}',
    'k3s_daas_bans{}',
    'k3s_daas_claimed_names{}',
    'k3s_daas_breaker_tripped{}',
    'k3s_daas_event_streams{}',
    'k3s_daas_audit_events_total{event}',
    'k3s_daas_refusals_total{event,reason}',
    'k3s_daas_eviction_duration_seconds{}',
    'k3s_daas_request_duration_seconds{route,status}',
    'k3s_daas_connections{kind}',
    'k3s_daas_connections_cut_total{why}',
    'k3s_daas_chain_heard_age_seconds{}',
    'k3s_daas_chain_proven_age_seconds{}',
    'k3s_daas_chain_endpoint_state{endpoint,state}',
    'k3s_daas_chain_endpoint_lag_seconds{endpoint}',
    'k3s_daas_chain_endpoint_latency_seconds{endpoint}',
    'k3s_daas_chain_endpoint_calls_total{endpoint}',
    'k3s_daas_chain_endpoint_failures_total{endpoint}',
    'k3s_daas_chain_endpoint_contradiction{endpoint}',
    'k3s_daas_audit_anchor_age_seconds{mode}',
    'k3s_daas_event_loop_delay_seconds{quantile}',
    'k3s_daas_shedding{}',
    'k3s_daas_requests_shed_total{}',
  ]);
});

test('a counter that another part keeps only rises, and one that began anew goes on from there', async () => {
  await using metrics = createMetrics();
  const calls = async () => {
    const value = parsed(await metrics.text()).get('k3s_daas_chain_endpoint_calls_total{endpoint="a"}');
    return value;
  };
  metrics.show('endpointCalls', 5, { endpoint: 'a' });
  metrics.show('endpointCalls', 8, { endpoint: 'a' });
  expect(await calls()).toBe(8);
  metrics.show('endpointCalls', 2, { endpoint: 'a' });
  metrics.show('endpointCalls', 3, { endpoint: 'a' });
  expect(await calls()).toBe(9);
});

test('workers are counted by their changes alone, held and cloned ones too', async () => {
  await using metrics = createMetrics();
  const member = aWorker();
  const held = aWorker({ heldFor: 'evicted' });
  metrics.workerChanged(undefined, member);
  metrics.workerChanged(member, held);
  const figures = async () => parsed(await metrics.text());
  expect((await figures()).get('k3s_daas_workers_held')).toBe(1);
  metrics.workerChanged(held, undefined);
  expect((await figures()).get('k3s_daas_workers_held')).toBe(0);
  expect((await figures()).get(`k3s_daas_workers{status="${member.status.kind}"}`)).toBe(0);
});
