import { fork } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Secret } from '#base';
import { haveFlapped } from '../integration/fleet/node-watch.ts';
import type { HostFacts } from '../integration/fleet/simulated-host.ts';
import { SimulatedHosts } from '../integration/fleet/simulated-hosts.ts';
import { type CuttableGateway, TwoGateways } from '../integration/fleet/two-gateways.ts';
import { type LoopDelay, merged, type ReportOfHosts, report } from './failover-report.ts';

/**
 * The fail-over of many simulated workers from one whole gateway to another, which share a real etcd: the leading one is cut off
 * from everything at once. Prints what the workers and their Nodes felt of it; ends with 1 when a Node did, or when a worker
 * was not served by the other gateway within five minutes.
 *
 * usage: node --conditions=source bench/failover.ts [workers] [leaseSeconds] [seconds afterwards]
 */
const [workers = 2_000, leaseSeconds = 15, afterwardsSeconds = 90] = process.argv.slice(2, 5).map(Number);
const heartbeatIntervalMs = 10_000;
/** So that a registration waits neither for another nor for the chain. */
const startEveryMs = 40;
const withinMs = 300_000;
/** A process that holds all of them would be late with its part of the handshakes, which a gateway does not wait for. */
const hostProcesses = 4;

type ToHosts =
  | { readonly kind: 'start'; readonly facts: readonly HostFacts[] }
  | { readonly kind: 'joined'; readonly nodeId: string; readonly certificates: readonly string[] }
  | { readonly kind: 'reset' | 'report' };
type FromHosts = { readonly kind: 'join'; readonly nodeId: string; readonly token: string } | ReportOfHosts;

if (process.send) process.on('message', hostsProcess());
else await measure();

/** The workers have processes of their own: their signing and TLS must not delay the gateways. */
function hostsProcess(): (message: ToHosts) => void {
  // It lives no longer than what measures it.
  process.once('disconnect', () => process.exit());
  const tell = (message: FromHosts) => process.send?.(message);
  const joining = new Map<string, (certificates: readonly string[]) => void>();
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  let hosts: SimulatedHosts | undefined;
  return (message) => {
    if (message.kind === 'start') {
      hosts = new SimulatedHosts(message.facts, (nodeId, token) => {
        const { promise, resolve } = Promise.withResolvers<readonly string[]>();
        joining.set(nodeId, resolve);
        tell({ kind: 'join', nodeId, token: token.reveal() });
        return promise;
      });
      void hosts.start(startEveryMs * hostProcesses);
    }
    if (message.kind === 'joined') joining.get(message.nodeId)?.(message.certificates);
    if (message.kind === 'reset') {
      hosts?.reset();
      delay.reset();
    }
    if (message.kind === 'report' && hosts)
      tell({
        kind: 'report',
        report: hosts.report(),
        cpu: process.cpuUsage(),
        loopDelay: loopDelayOf(delay),
      });
  };
}

async function measure(): Promise<void> {
  await using both = await TwoGateways.start({
    workers,
    leaseSeconds,
    heartbeatIntervalMs,
    haveAddresses: true,
  });
  const leader = await until('a gateway leads', () => both.leader());
  const hosts = startHosts(both, await both.stakeAll());
  await until('every worker is served', () => areAllHeard(hosts));
  hosts.reset();
  await until('every worker is at rest', () => areAllHeard(hosts));
  const figures = await failOver(both, leader, hosts);
  hosts.end();
  console.log(JSON.stringify(figures, undefined, 2));
  process.exitCode = figures.areAllServed && !figures.haveNodesFlapped ? 0 : 1;
}

async function areAllHeard(hosts: Hosts): Promise<boolean> {
  const { acknowledged, streams } = (await hosts.report()).report;
  console.error(`${acknowledged} heard, ${streams} hear of changes`);
  return acknowledged === workers;
}

type Hosts = ReturnType<typeof startHosts>;

function startHosts(both: TwoGateways, facts: readonly HostFacts[]) {
  const processes = Array.from({ length: hostProcesses }, (_value, at) =>
    startProcess(
      both,
      facts.filter((_fact, index) => index % hostProcesses === at),
    ),
  );
  return {
    reset(): void {
      for (const { reset } of processes) reset();
    },
    report: async () => merged(await Promise.all(processes.map(({ report }) => report()))),
    end(): void {
      for (const { end } of processes) end();
    },
  };
}

function startProcess(both: TwoGateways, facts: readonly HostFacts[]) {
  const child = fork(new URL(import.meta.url), [], {
    execArgv: ['--conditions=source'],
    serialization: 'advanced',
  });
  const tell = (message: ToHosts) => child.send(message);
  const asked: Array<(report: ReportOfHosts) => void> = [];
  child.on('message', (message: FromHosts) => {
    if (message.kind === 'report') return asked.shift()?.(message);
    const { nodeId, token } = message;
    both.join(nodeId, new Secret(token)).then(
      (certificates) => tell({ kind: 'joined', nodeId, certificates }),
      (error: unknown) => console.error(error),
    );
    return undefined;
  });
  tell({ kind: 'start', facts });
  return {
    reset: () => void tell({ kind: 'reset' }),
    report(): Promise<ReportOfHosts> {
      const { promise, resolve } = Promise.withResolvers<ReportOfHosts>();
      asked.push(resolve);
      tell({ kind: 'report' });
      return promise;
    },
    end: () => child.disconnect(),
  };
}

async function failOver(both: TwoGateways, leader: CuttableGateway, hosts: Hosts) {
  const { cpu: hostsBefore } = await hosts.report();
  const gatewaysBefore = process.cpuUsage();
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  both.nodes.begin();
  hosts.reset();
  console.error('the leading gateway is cut off');
  const cutAtMs = performance.now();
  await both.strike(leader);
  const next = await until('the other gateway leads', () => both.leader(leader), 50);
  const leadsAfterMs = performance.now() - cutAtMs;
  const servedAfterMs = await servedBy(next, hosts, cutAtMs);
  delay.disable();
  const gatewaysCpu = process.cpuUsage(gatewaysBefore);
  const { report: hostsReport, cpu: hostsAfter, loopDelay: ofHosts } = await hosts.report();
  console.error('served again; what comes late is waited for');
  // Heartbeats and a full pass of the gateway.
  await sleep(afterwardsSeconds * 1_000);
  const { report: hostsAtTheEnd } = await hosts.report();
  const nodes = both.nodes.report();
  return {
    ...report({
      workers,
      leaseSeconds,
      leader,
      next,
      leadsAfterMs,
      servedAfterMs,
      hostsReport,
      hostsAtTheEnd,
    }),
    loopDelayMs: { gateways: loopDelayOf(delay), hosts: ofHosts },
    cpuSeconds: {
      gateways: seconds(gatewaysCpu),
      hosts: seconds({
        user: hostsAfter.user - hostsBefore.user,
        system: hostsAfter.system - hostsBefore.system,
      }),
    },
    residentMiB: Math.round(process.memoryUsage.rss() / 1_048_576),
    nodes,
    haveNodesFlapped: haveFlapped(nodes),
    audited: await both.audited(next),
  };
}

/** Resolves with when all were served, or `undefined` when they were not in time. */
async function servedBy(next: CuttableGateway, hosts: Hosts, cutAtMs: number): Promise<number | undefined> {
  while (performance.now() - cutAtMs < withinMs) {
    const { report: seen } = await hosts.report();
    const served = seen.servedBy[next.id] ?? 0;
    if (served === workers) return performance.now() - cutAtMs;
    console.error(`${served} are served again`);
    await sleep(1_000);
  }
  return undefined;
}

function loopDelayOf(delay: ReturnType<typeof monitorEventLoopDelay>): LoopDelay {
  return {
    p50: milliseconds(delay.percentile(50)),
    p99: milliseconds(delay.percentile(99)),
    max: milliseconds(delay.max),
  };
}

function milliseconds(ns: number): number {
  return Math.round(ns / 1e5) / 10;
}

function seconds({ user, system }: NodeJS.CpuUsage): number {
  return Math.round((user + system) / 1e4) / 100;
}

async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  everyMs = 2_000,
): Promise<T> {
  console.error(`until ${what}`);
  const startedAtMs = performance.now();
  while (performance.now() - startedAtMs < 600_000) {
    const found = await look();
    if (found) return found;
    await sleep(everyMs);
  }
  throw new Error(`it did not come to this: ${what}`);
}
