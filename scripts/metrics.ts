/**
 * What is drawn and what alerts, from the metrics of the gateway (src/gateway/metric-table.ts). docs/metrics.md, the rules and the
 * dashboard in deploy/ are made from this file: `npm run metrics`.
 */
export interface Panel {
  readonly title: string;
  /** As Grafana names it. */
  readonly unit: 'short' | 's' | 'reqps' | 'bytes';
  readonly queries: ReadonlyArray<{ readonly expr: string; readonly legend: string }>;
}

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly forTime: string;
  readonly severity: 'page' | 'ticket';
  readonly summary: string;
  /** A page of the documentation. */
  readonly runbook: string;
}

export const PANELS: readonly Panel[] = [
  {
    title: 'Workers by status',
    unit: 'short',
    queries: [{ expr: 'sum by (status) (k3s_daas_workers)', legend: '{{status}}' }],
  },
  {
    title: 'Decisions a minute',
    unit: 'short',
    queries: [
      {
        expr: 'sum by (event) (rate(k3s_daas_audit_events_total{event=~"worker.registered|eviction.done|ban.set|name.claimed|node.cloned|breaker.tripped"}[5m])) * 60',
        legend: '{{event}}',
      },
    ],
  },
  {
    title: 'Refusals a second by reason',
    unit: 'reqps',
    queries: [{ expr: 'sum by (reason) (rate(k3s_daas_refusals_total[5m]))', legend: '{{reason}}' }],
  },
  {
    title: 'Eviction: decision to gone',
    unit: 's',
    queries: [
      {
        expr: 'histogram_quantile(0.5, sum by (le) (rate(k3s_daas_eviction_duration_seconds_bucket[1h])))',
        legend: 'median',
      },
      {
        expr: 'histogram_quantile(0.99, sum by (le) (rate(k3s_daas_eviction_duration_seconds_bucket[1h])))',
        legend: 'p99',
      },
    ],
  },
  {
    title: 'Requests a second by route',
    unit: 'reqps',
    queries: [
      { expr: 'sum by (route) (rate(k3s_daas_request_duration_seconds_count[5m]))', legend: '{{route}}' },
    ],
  },
  {
    title: 'Requests: p99 by route',
    unit: 's',
    queries: [
      {
        expr: 'histogram_quantile(0.99, sum by (le, route) (rate(k3s_daas_request_duration_seconds_bucket[5m])))',
        legend: '{{route}}',
      },
    ],
  },
  {
    title: 'Connections',
    unit: 'short',
    queries: [
      { expr: 'sum by (kind) (k3s_daas_connections)', legend: '{{kind}}' },
      { expr: 'sum by (why) (rate(k3s_daas_connections_cut_total[5m]))', legend: '{{why}} a second' },
    ],
  },
  {
    title: 'Chain: heard and proven',
    unit: 's',
    queries: [
      { expr: 'k3s_daas_chain_heard_age_seconds', legend: 'heard' },
      { expr: 'k3s_daas_chain_proven_age_seconds', legend: 'newest proven change' },
    ],
  },
  {
    title: 'Full nodes: lag and latency',
    unit: 's',
    queries: [
      { expr: 'k3s_daas_chain_endpoint_lag_seconds', legend: '{{endpoint}} lag' },
      { expr: 'k3s_daas_chain_endpoint_latency_seconds', legend: '{{endpoint}} p95' },
    ],
  },
  {
    title: 'Delay of the event loop',
    unit: 's',
    queries: [{ expr: 'k3s_daas_event_loop_delay_seconds', legend: '{{quantile}}' }],
  },
  {
    title: 'Callers that have to wait',
    unit: 'short',
    queries: [{ expr: 'rate(k3s_daas_requests_shed_total[5m])', legend: 'a second' }],
  },
  {
    title: 'Memory',
    unit: 'bytes',
    queries: [{ expr: 'process_resident_memory_bytes{job=~".*k3s-daas.*"}', legend: 'resident' }],
  },
  {
    title: 'Checks of /readyz',
    unit: 'short',
    queries: [{ expr: 'min by (check) (k3s_daas_ready_check)', legend: '{{check}}' }],
  },
];

const operations = (part: string) => `docs/operations.md#${part}`;

export const ALERTS: readonly Alert[] = [
  {
    alert: 'K3sDaasNotReady',
    expr: 'min by (instance, check) (k3s_daas_ready_check{check!="breaker"}) == 0',
    forTime: '2m',
    severity: 'page',
    summary: 'The gateway cannot decide: its check {{ $labels.check }} fails',
    runbook: operations('operations'),
  },
  {
    alert: 'K3sDaasBreakerTripped',
    expr: 'max by (instance) (k3s_daas_breaker_tripped) == 1',
    forTime: '0m',
    severity: 'page',
    summary: 'The breaker has tripped: evictions are held until an operator looks at them',
    runbook: operations('operations'),
  },
  {
    alert: 'K3sDaasEvictionsStuck',
    expr: 'max by (instance) (k3s_daas_workers{status="evicting"}) > 0',
    forTime: '10m',
    severity: 'page',
    summary: 'An eviction has been in progress for ten minutes: a slashed worker may still be in the cluster',
    runbook: operations('operations'),
  },
  {
    alert: 'K3sDaasNamesClaimed',
    expr: 'sum by (instance) (increase(k3s_daas_audit_events_total{event="name.claimed"}[10m])) >= 3',
    forTime: '0m',
    severity: 'page',
    summary: 'Somebody with a join credential claims the names of others',
    runbook: operations('claimed-names'),
  },
  {
    alert: 'K3sDaasNodeCloned',
    expr: 'max by (instance) (k3s_daas_workers_cloned) > 0',
    forTime: '5m',
    severity: 'ticket',
    summary: 'A node key is used in two places: rotate its token, or unlock the node',
    runbook: operations('operations'),
  },
  {
    alert: 'K3sDaasChainSilent',
    expr: 'max by (instance) (k3s_daas_chain_heard_age_seconds) > 60',
    forTime: '1m',
    severity: 'page',
    summary: 'No full node has answered for a minute: slashes are not seen',
    runbook: operations('operations'),
  },
  {
    alert: 'K3sDaasFullNodeLies',
    expr: 'max by (instance, endpoint) (k3s_daas_chain_endpoint_contradiction) == 1',
    forTime: '0m',
    severity: 'page',
    summary: '{{ $labels.endpoint }} served what the validators did not sign',
    runbook: 'docs/proofs.md',
  },
  {
    alert: 'K3sDaasOneFullNode',
    expr: 'sum by (instance) (k3s_daas_chain_endpoint_state{state="good"}) < 2',
    forTime: '30m',
    severity: 'ticket',
    summary: 'Fewer than two full nodes are good: the one that is left can hide changes',
    runbook: 'docs/proofs.md',
  },
  {
    alert: 'K3sDaasAnchorOld',
    expr: 'max by (instance) (k3s_daas_audit_anchor_age_seconds{mode="daily"}) > 172800',
    forTime: '10m',
    severity: 'ticket',
    summary:
      'The end of the audit file was not anchored on chain for two days: files that are put back are not found',
    runbook: operations('anchors-on-chain'),
  },
  {
    alert: 'K3sDaasLoopBlocked',
    expr: 'max by (instance) (k3s_daas_event_loop_delay_seconds{quantile="0.99"}) > 0.2',
    forTime: '5m',
    severity: 'ticket',
    summary: 'The gateway has too much to do: the 99th percentile of its loop delay is above 200 ms',
    runbook: operations('operations'),
  },
  {
    alert: 'K3sDaasPortUnderLoad',
    expr: 'sum by (instance) (rate(k3s_daas_connections_cut_total[5m])) > 5',
    forTime: '10m',
    severity: 'ticket',
    summary: 'The public port cuts connections to protect the others',
    runbook: operations('operations'),
  },
];
