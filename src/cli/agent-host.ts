import type { Composition } from '#composition';
import { createHost, type Host, HostJournal, HostLife, HostLog, type SignalSource } from '#host';
import { bootId, machineId } from '#infrastructure';
import { builtIns } from '#plugins';
import { offers } from './agent-tokens.ts';
import { serveHealth } from './health-server.ts';
import { pluginEntries } from './plugin-settings.ts';
import { type Loaded, nodeIdOf } from './settings.ts';

export interface AgentHostOptions {
  readonly stakeAgain?: boolean;
  /** Where SIGTERM and SIGINT come from. Default: the process. `undefined`: from nowhere. */
  readonly signals?: SignalSource | undefined;
}

/** The host of a worker: its settings and its parts (`agentParts`). */
export async function createAgentHost(
  settings: Loaded,
  parts: Composition,
  { stakeAgain = false, ...signals }: AgentHostOptions = {},
): Promise<Host> {
  const { value } = settings;
  const host = createHost({
    nodeId: nodeIdOf(settings),
    stateDir: value.stateDir,
    plugins: pluginEntries(settings, { stakeAgain }),
    builtIns,
    pluginDirectory: settings.directory,
    joinDeadlineMs: value.join.deadlineMs,
    joinPatienceMs: value.join.patienceMs,
    machineId: await machineId(),
    bootId: await bootId(),
    drainDeadlineMs: value.drainDeadlineMs,
    mayStakeAgain: stakeAgain,
    ...signals,
    parts,
    offers,
    onLocked: async () => {
      const healthUrl = await serveHealth(host, value.health, parts.get(HostLife));
      await rememberHealthUrl(parts, healthUrl);
      const { stateDir } = value;
      parts
        .get(HostLog)
        .info('Host starts', { event: 'host.started', pid: process.pid, healthUrl, stateDir });
    },
  });
  return host;
}

/** For `k3s-daas status`: with `health.port: 0` nothing else says where this host listens. */
async function rememberHealthUrl(parts: Composition, healthUrl: string): Promise<void> {
  const journal = parts.get(HostJournal).section('host');
  if (journal.read('healthUrl') !== healthUrl) await journal.write('healthUrl', healthUrl);
}
