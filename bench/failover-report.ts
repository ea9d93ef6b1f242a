import type { HostsReport } from '../integration/fleet/simulated-hosts.ts';
import type { CuttableGateway } from '../integration/fleet/two-gateways.ts';

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
