import type { EndpointStatus, Freshness } from '#chain';

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

/** The age of the newest proven state; `null` where nothing is proven. */
export function freshnessFigures(
  freshness: Freshness | undefined,
  nowMs: number,
): Readonly<Record<string, unknown>> | null {
  if (!freshness) return null;
  const { clusterVersion, provenAtMs, endpointsAgreed } = freshness;
  return {
    cluster_version: clusterVersion?.toString() ?? null,
    proven_at: provenAtMs ?? null,
    age_ms: provenAtMs === undefined ? null : Math.max(0, nowMs - provenAtMs),
    endpoints_agreed: endpointsAgreed,
  };
}
