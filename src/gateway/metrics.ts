import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry as Prometheus } from 'prom-client';
import { PATHS } from '#api';
import { EVENTS_FROM_THE_START, METRICS, type MetricName, type MetricRow } from './metric-table.ts';
import type { Worker } from './worker.ts';

/** What the parts of the gateway count as it happens; everything else is read when somebody scrapes. */
export interface Metrics {
  /** A line for the audit file. */
  readonly decided: (event: string) => void;
  readonly refused: (event: string, reason: string, times?: number) => void;
  /** A caller had to wait, because the event loop was behind. */
  readonly shed: () => void;
  answered(reply: { readonly route: string; readonly status: number; readonly seconds: number }): void;
  readonly workerChanged: (before: Worker | undefined, after: Worker | undefined) => void;
  /** Sets a gauge, or a counter that another part keeps, to what it is now. */
  show(name: MetricName, value: number, labels?: Readonly<Record<string, string>>): void;
  /** In the text format of Prometheus. */
  text(): Promise<string>;
  readonly contentType: string;
  [Symbol.asyncDispose](): Promise<void>;
}

const routes: ReadonlySet<string> = new Set([...Object.values(PATHS), '/livez']);
/** Paths are chosen by strangers: what is no route counts as one. */
const routeLabel = (route: string) => (routes.has(route) ? route : 'other');

/** `isOwnProcess`: the figures of the process are the gateway's; an embedder has its own. */
export function createMetrics({ isOwnProcess = false } = {}): Metrics {
  const registry = new Prometheus();
  if (isOwnProcess) collectDefaultMetrics({ register: registry });
  const made = Object.fromEntries(
    Object.entries<MetricRow>(METRICS).map(([name, row]) => [name, instrument(row, registry)]),
  ) as Readonly<Record<MetricName, Counter | Gauge | Histogram>>;
  const counter = (name: MetricName) => made[name] as Counter;
  const histogram = (name: MetricName) => made[name] as Histogram;
  for (const event of EVENTS_FROM_THE_START) counter('decisions').inc({ event }, 0);
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();

  const metrics: Metrics = {
    contentType: registry.contentType,
    decided: (event) => counter('decisions').inc({ event }),
    refused: (event, reason, times = 1) => counter('refusals').inc({ event, reason }, times),
    shed: () => counter('shed').inc(),
    answered: ({ route, status, seconds }) =>
      histogram('requests').observe({ route: routeLabel(route), status: String(status) }, seconds),
    workerChanged(before, after) {
      for (const [worker, sign] of [
        [before, -1],
        [after, 1],
      ] as const)
        if (worker) countWorker(made, worker, sign);
      if (before?.status.kind === 'evicting' && after?.status.kind === 'evicted')
        histogram('eviction').observe((after.statusSinceMs - before.statusSinceMs) / 1000);
    },
    show(name, value, labels = {}) {
      const { kind } = METRICS[name];
      if (kind === 'gauge') (made[name] as Gauge).set(labels, value);
      else raise(counter(name), value, labels);
    },
    async text() {
      showDelay(metrics, delay);
      return registry.metrics();
    },
    async [Symbol.asyncDispose]() {
      delay.disable();
      registry.clear();
    },
  };
  return metrics;
}

function instrument({ name, kind, help, labels, buckets }: MetricRow, registry: Prometheus) {
  const common = { name, help, labelNames: [...labels], registers: [registry] };
  switch (kind) {
    case 'counter':
      return new Counter(common);
    case 'gauge':
      return new Gauge(common);
    case 'histogram':
      return new Histogram({ ...common, buckets: [...(buckets ?? [])] });
    default:
      return kind satisfies never;
  }
}

function countWorker(
  made: Readonly<Record<'workers' | 'held' | 'cloned', unknown>>,
  { status, heldFor, clone }: Worker,
  sign: 1 | -1,
): void {
  (made.workers as Gauge).inc({ status: status.kind }, sign);
  if (heldFor !== undefined) (made.held as Gauge).inc(sign);
  if (clone) (made.cloned as Gauge).inc(sign);
}

/** A counter of another part begins anew with that part alone. */
const shown = new WeakMap<Counter, Map<string, number>>();

function raise(counter: Counter, value: number, labels: Readonly<Record<string, string>>): void {
  const known = shown.get(counter) ?? new Map<string, number>();
  shown.set(counter, known);
  const key = JSON.stringify(labels);
  const before = known.get(key) ?? 0;
  known.set(key, value);
  counter.inc(labels, Math.max(0, value - before));
}

type Delay = ReturnType<typeof monitorEventLoopDelay>;

function showDelay(metrics: Metrics, delay: Delay): void {
  const seconds = (nanoseconds: number) => (Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0);
  metrics.show('loopDelay', seconds(delay.percentile(50)), { quantile: '0.5' });
  metrics.show('loopDelay', seconds(delay.percentile(99)), { quantile: '0.99' });
  metrics.show('loopDelay', seconds(delay.max), { quantile: '1' });
  delay.reset();
}
