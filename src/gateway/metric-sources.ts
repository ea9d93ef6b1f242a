import { z } from 'zod';
import type { Clock } from '#base';
import type { EventStreams } from './event-streams.ts';
import type { FactCache } from './fact-cache.ts';
import type { HealthCheck } from './health-api.ts';
import type { LoadShedding } from './load-shedding.ts';
import type { Metrics } from './metrics.ts';
import { ChainProbeFigures, ChainProofFigures, EndpointFigures } from './operator-wire.ts';
import type { PublicConnections } from './public-connections.ts';
import type { Registry } from './registry.ts';

export interface MetricSources {
  readonly metrics: Metrics;
  readonly registry: Registry;
  readonly facts: Pick<FactCache, 'heardAtMs'>;
  readonly connections: Pick<PublicConnections, 'figures'>;
  readonly streams: Pick<EventStreams, 'count'>;
  readonly shedding: Pick<LoadShedding, 'isBehind'>;
  readonly checks: () => Promise<readonly HealthCheck[]>;
  readonly figures?: (() => Readonly<Record<string, unknown>>) | undefined;
  readonly clock: Clock;
}

/** As the pool of full nodes names them. */
const ENDPOINT_STATES = ['good', 'demoted', 'lagging', 'blocked', 'contradicted'] as const;

const ChainFigures = z.object({
  chain_endpoints: z.array(EndpointFigures).default([]),
  chain_proof: ChainProofFigures.nullable().default(null),
  chain_probe: ChainProbeFigures.nullable().default(null),
});

/** What `/metrics` answers: everything that is not counted as it happens is read now. Nothing here looks at all workers. */
export async function scrape(sources: MetricSources): Promise<string> {
  const { metrics, registry, connections, streams, shedding, checks } = sources;
  metrics.show('shedding', Number(shedding.isBehind()));
  metrics.show('streams', streams.count());
  metrics.show('bans', registry.bans().size);
  metrics.show('claims', registry.claims().size);
  metrics.show('breaker', registry.breaker().trippedAtMs === undefined ? 0 : 1);
  const { kept, others, refused, displaced } = connections.figures;
  metrics.show('connections', kept, { kind: 'worker' });
  metrics.show('connections', others, { kind: 'other' });
  metrics.show('cutConnections', refused, { why: 'refused' });
  metrics.show('cutConnections', displaced, { why: 'displaced' });
  showChain(sources);
  for (const { name, isOk } of await checks()) metrics.show('check', Number(isOk), { check: name });
  return metrics.text();
}

function showChain({ metrics, facts, figures, clock }: MetricSources): void {
  const heardAtMs = facts.heardAtMs();
  if (heardAtMs !== undefined) metrics.show('chainHeard', (clock.monotonicMs() - heardAtMs) / 1000);
  const parsed = ChainFigures.safeParse(figures?.() ?? {});
  if (!parsed.success) return;
  const { chain_endpoints: endpoints, chain_proof: proof, chain_probe: probe } = parsed.data;
  if (proof?.age_ms !== undefined && proof?.age_ms !== null) metrics.show('chainProven', proof.age_ms / 1000);
  if (probe?.anchor) metrics.show('anchorAge', probe.anchor.age_ms / 1000, { mode: probe.anchor.mode });
  for (const [index, endpoint] of endpoints.entries()) {
    const labels = { endpoint: endpointLabel(endpoint.url, index) };
    for (const state of ENDPOINT_STATES)
      metrics.show('endpointState', Number(state === endpoint.state), { ...labels, state });
    metrics.show('endpointLag', endpoint.lag_ms / 1000, labels);
    if (endpoint.latency_p95_ms !== null)
      metrics.show('endpointLatency', endpoint.latency_p95_ms / 1000, labels);
    metrics.show('endpointCalls', endpoint.calls, labels);
    metrics.show('endpointFailures', endpoint.failures, labels);
    metrics.show('endpointContradiction', endpoint.contradiction === null ? 0 : 1, labels);
  }
}

/** Keys of paid full nodes are often in the path or the query: only the host is shown. */
function endpointLabel(url: string, index: number): string {
  return URL.canParse(url) ? new URL(url).host : `endpoint ${index + 1}`;
}
