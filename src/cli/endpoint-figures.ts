import type { EndpointStatus } from '#chain';

/** One endpoint as JSON: no bigint, names as the API has them. */
export function endpointFigures(status: EndpointStatus): Readonly<Record<string, unknown>> {
  return {
    url: status.url,
    state: status.state,
    chain_id: status.chainId ?? null,
    checkpoint_height: status.checkpointHeight?.toString() ?? null,
    lowest_checkpoint_height: status.lowestCheckpointHeight?.toString() ?? null,
    lag_ms: status.lagMs,
    latency_p95_ms: status.latencyP95Ms === undefined ? null : Math.round(status.latencyP95Ms),
    calls: status.calls,
    failures: status.failures,
    blocked_for_ms: status.blockedForMs,
    contradiction: status.contradiction ?? null,
  };
}
