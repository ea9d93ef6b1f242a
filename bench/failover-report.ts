import type { HostsReport } from '../integration/fleet/simulated-hosts.ts';
import type { CuttableGateway } from '../integration/fleet/two-gateways.ts';

export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What a process of hosts says. */
export interface ReportOfHosts {
  readonly kind: 'report';
  readonly report: HostsReport;
  readonly cpu: NodeJS.CpuUsage;
  readonly loopDelay: LoopDelay;
}

/** Of all processes; the delay is that of the one that is furthest behind. */
export function merged(reports: readonly ReportOfHosts[]): Omit<ReportOfHosts, 'kind'> {
  const all = reports.map(({ report: one }) => one);
  const sum = (of: (one: HostsReport) => number) => all.reduce((total, one) => total + of(one), 0);
  const worst = (of: (delay: LoopDelay) => number) =>
    Math.max(...reports.map(({ loopDelay }) => of(loopDelay)));
  return {
    report: {
      acknowledged: sum(({ acknowledged }) => acknowledged),
      servedBy: sums(all.map(({ servedBy }) => servedBy)),
      silenceSeconds: all.flatMap(({ silenceSeconds }) => silenceSeconds),
      calls: sums(all.map(({ calls }) => calls)),
      joins: sum(({ joins }) => joins),
      streams: sum(({ streams }) => streams),
      ended: all.flatMap(({ ended }) => ended),
    },
    cpu: {
      user: reports.reduce((total, { cpu }) => total + cpu.user, 0),
      system: reports.reduce((total, { cpu }) => total + cpu.system, 0),
    },
    loopDelay: { p50: worst(({ p50 }) => p50), p99: worst(({ p99 }) => p99), max: worst(({ max }) => max) },
  };
}

function sums(counts: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const total: Record<string, number> = {};
  for (const one of counts)
    for (const [name, count] of Object.entries(one)) total[name] = (total[name] ?? 0) + count;
  return total;
}

interface FailOver {
  readonly workers: number;
  readonly leaseSeconds: number;
  readonly leader: CuttableGateway;
  readonly next: CuttableGateway;
  readonly leadsAfterMs: number;
  readonly servedAfterMs: number | undefined;
  /** When all were served again. */
  readonly hostsReport: HostsReport;
  /** Some time later. */
  readonly hostsAtTheEnd: HostsReport;
}

/** What the workers felt of a fail-over. */
export function report({ workers, leaseSeconds, leader, next, ...felt }: FailOver) {
  const { leadsAfterMs, servedAfterMs, hostsReport, hostsAtTheEnd } = felt;
  const named = (calls: Readonly<Record<string, number>>, gateway: CuttableGateway) =>
    Object.fromEntries(
      Object.entries(calls)
        .filter(([name]) => name.startsWith(gateway.id))
        .toSorted(([left], [right]) => left.localeCompare(right))
        .map(([name, count]) => [name.slice(gateway.id.length + 1), count]),
    );
  return {
    workers,
    leaseSeconds,
    secondLeadsAfterSeconds: rounded(leadsAfterMs / 1_000),
    allServedAfterSeconds: servedAfterMs === undefined ? undefined : rounded(servedAfterMs / 1_000),
    areAllServed: servedAfterMs !== undefined && (hostsAtTheEnd.servedBy[next.id] ?? 0) === workers,
    silenceSeconds: percentiles(hostsReport.silenceSeconds),
    callsUntilServed: {
      toTheSilentOne: named(hostsReport.calls, leader),
      toTheNext: named(hostsReport.calls, next),
    },
    callsAfterwards: difference(named(hostsAtTheEnd.calls, next), named(hostsReport.calls, next)),
    streamsOpen: { whenServed: hostsReport.streams, afterwards: hostsAtTheEnd.streams },
    agentsStartedAgain: hostsAtTheEnd.joins,
    hostsEnded: hostsAtTheEnd.ended,
    warnings: warningsOf(next),
    connections: next.logged.findLast(({ message }) => message.startsWith('Connections were cut off'))
      ?.fields,
  };
}

function percentiles(values: readonly number[]) {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) =>
    rounded(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN);
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

function difference(later: Readonly<Record<string, number>>, earlier: Readonly<Record<string, number>>) {
  return Object.fromEntries(
    Object.entries(later)
      .map(([name, count]) => [name, count - (earlier[name] ?? 0)] as const)
      .filter(([, count]) => count > 0),
  );
}

function warningsOf({ logged }: CuttableGateway): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { level, message } of logged)
    if (level === 'warn' || level === 'error') counts[message] = (counts[message] ?? 0) + 1;
  return counts;
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}
