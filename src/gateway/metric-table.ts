/** A metric of the gateway. Its name is API: dashboards and alerts of operators use it. */
export interface MetricRow {
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** One sentence, as `/metrics` and docs/metrics.md have it. */
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds in seconds, of a histogram. */
  readonly buckets?: readonly number[];
}

const row = <const Row extends MetricRow>(metric: Row): Row => metric;
const requestBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const evictionBuckets = [0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300];

/**
 * Every metric of the gateway beside those of its process. `/metrics`, docs/metrics.md, the dashboard and the alert rules are
 * made from this table or held to it (`npm run metrics`).
 */
export const METRICS = {
  build: row({
    name: 'k3s_daas_build_info',
    kind: 'gauge',
    help: 'Always 1; the version of the program as a label.',
    labels: ['version', 'gateway'],
  }),
  check: row({
    name: 'k3s_daas_ready_check',
    kind: 'gauge',
    help: 'Whether a check of /readyz holds (1) or not (0).',
    labels: ['check'],
  }),
  workers: row({
    name: 'k3s_daas_workers',
    kind: 'gauge',
    help: 'Node ids by the status of their worker.',
    labels: ['status'],
  }),
  held: row({
    name: 'k3s_daas_workers_held',
    kind: 'gauge',
    help: 'Workers whose eviction the tripped breaker holds.',
    labels: [],
  }),
  cloned: row({
    name: 'k3s_daas_workers_cloned',
    kind: 'gauge',
    help: 'Workers whose node key is used in two places: their registrations are frozen.',
    labels: [],
  }),
  bans: row({ name: 'k3s_daas_bans', kind: 'gauge', help: 'Standing bans.', labels: [] }),
  claims: row({
    name: 'k3s_daas_claimed_names',
    kind: 'gauge',
    help: 'Names that somebody with a join credential has claimed at the k3s server, as far as they are remembered.',
    labels: [],
  }),
  breaker: row({
    name: 'k3s_daas_breaker_tripped',
    kind: 'gauge',
    help: 'Whether the breaker has tripped (1): evictions are held.',
    labels: [],
  }),
  streams: row({
    name: 'k3s_daas_event_streams',
    kind: 'gauge',
    help: 'Hosts that hear of changes of their stake record by a stream.',
    labels: [],
  }),
  decisions: row({
    name: 'k3s_daas_audit_events_total',
    kind: 'counter',
    help: 'Lines for the audit file by their event: decisions and actions.',
    labels: ['event'],
  }),
  refusals: row({
    name: 'k3s_daas_refusals_total',
    kind: 'counter',
    help: 'Refused proofs, certificates and registrations by reason, each one counted, also where the audit file has one line for many.',
    labels: ['event', 'reason'],
  }),
  eviction: row({
    name: 'k3s_daas_eviction_duration_seconds',
    kind: 'histogram',
    help: 'From the decision to evict a worker until its Node and access are gone.',
    labels: [],
    buckets: evictionBuckets,
  }),
  requests: row({
    name: 'k3s_daas_request_duration_seconds',
    kind: 'histogram',
    help: 'Requests at the public port by route and status of the reply.',
    labels: ['route', 'status'],
    buckets: requestBuckets,
  }),
  connections: row({
    name: 'k3s_daas_connections',
    kind: 'gauge',
    help: 'Open connections at the public port: of workers that have proven themselves, and others.',
    labels: ['kind'],
  }),
  cutConnections: row({
    name: 'k3s_daas_connections_cut_total',
    kind: 'counter',
    help: 'Connections that were refused, or displaced by others, to protect the port.',
    labels: ['why'],
  }),
  chainHeard: row({
    name: 'k3s_daas_chain_heard_age_seconds',
    kind: 'gauge',
    help: 'Time since the gateway last heard the chain.',
    labels: [],
  }),
  chainProven: row({
    name: 'k3s_daas_chain_proven_age_seconds',
    kind: 'gauge',
    help: 'Age, by the chain’s own clock, of the newest change of the cluster object that is proven.',
    labels: [],
  }),
  endpointState: row({
    name: 'k3s_daas_chain_endpoint_state',
    kind: 'gauge',
    help: '1 for the state that a full node is in, 0 for the others.',
    labels: ['endpoint', 'state'],
  }),
  endpointLag: row({
    name: 'k3s_daas_chain_endpoint_lag_seconds',
    kind: 'gauge',
    help: 'How far a full node is behind.',
    labels: ['endpoint'],
  }),
  endpointLatency: row({
    name: 'k3s_daas_chain_endpoint_latency_seconds',
    kind: 'gauge',
    help: '95th percentile of the answers of a full node.',
    labels: ['endpoint'],
  }),
  endpointCalls: row({
    name: 'k3s_daas_chain_endpoint_calls_total',
    kind: 'counter',
    help: 'Calls to a full node.',
    labels: ['endpoint'],
  }),
  endpointFailures: row({
    name: 'k3s_daas_chain_endpoint_failures_total',
    kind: 'counter',
    help: 'Calls to a full node that failed.',
    labels: ['endpoint'],
  }),
  endpointContradiction: row({
    name: 'k3s_daas_chain_endpoint_contradiction',
    kind: 'gauge',
    help: '1 for a full node that served what the validators did not sign: it is no longer asked.',
    labels: ['endpoint'],
  }),
  anchorAge: row({
    name: 'k3s_daas_audit_anchor_age_seconds',
    kind: 'gauge',
    help: 'Time since the end of the audit file was anchored on chain, or since the gateway began to lead without an anchor.',
    labels: ['mode'],
  }),
  loopDelay: row({
    name: 'k3s_daas_event_loop_delay_seconds',
    kind: 'gauge',
    help: 'Delay of the event loop since the last scrape.',
    labels: ['quantile'],
  }),
  shedding: row({
    name: 'k3s_daas_shedding',
    kind: 'gauge',
    help: 'Whether callers that are not known have to wait (1), because the event loop is behind.',
    labels: [],
  }),
  shed: row({
    name: 'k3s_daas_requests_shed_total',
    kind: 'counter',
    help: 'Requests that were refused because the event loop was behind.',
    labels: [],
  }),
} as const satisfies Readonly<Record<string, MetricRow>>;

export type MetricName = keyof typeof METRICS;

/**
 * Events whose counters are there from the start at 0: Prometheus sees no increase in a series that is born with its first
 * event, so an alert on it would miss that.
 */
export const EVENTS_FROM_THE_START = [
  'worker.registered',
  'eviction.done',
  'ban.set',
  'name.claimed',
  'node.cloned',
  'breaker.tripped',
] as const;
