import { distance } from 'fastest-levenshtein';
import { ConfigurationError } from '#base';
import { createLogger } from '#infrastructure';
import { createAgentHost } from './agent-host.ts';
import { agentParts } from './agent-parts.ts';
import { missingDevnet } from './devnet-package.ts';
import type { Io } from './io.ts';
import { nodeOfPoolFile, takePoolFile } from './pool-file.ts';
import { reportTracing } from './report-tracing.ts';
import { type Loaded, loadWorkerSettings, runtimeArguments, settingWarnings } from './settings.ts';

export interface AgentFlags {
  readonly config?: string;
  readonly k3sConfig?: string;
  readonly nodeId?: string;
  readonly poolFile?: string;
  readonly trustServer?: string;
  readonly stakeAgain?: boolean;
  readonly dryRun?: boolean;
}

/** Runs the host of a worker until it ends; returns its exit code. */
export async function runAgent(io: Io, flags: AgentFlags, k3sFlags: readonly string[]): Promise<number> {
  refuseMistyped(k3sFlags);
  const settings = await loadWorkerSettings({
    file: flags.config,
    flags: [...(await nodeIdFlags(flags)), ...serverFlags(flags)],
  });
  const { value } = settings;
  const log = createLogger({ level: value.log.level, format: io.isJson ? 'json' : value.log.format });
  for (const warning of await settingWarnings(settings))
    log.warn('Configuration warning', { detail: warning });
  if (flags.dryRun) {
    const { rehearse } = await import('./agent-rehearsal.ts');
    return rehearse(io, settings, flags, { args: k3sArguments(settings, flags, k3sFlags), log });
  }
  await reportTracing(log);
  if (flags.poolFile !== undefined)
    await takePoolFile({ file: flags.poolFile, stateDir: value.stateDir, nowMs: Date.now() });
  const missing = await missingDevnet(settings);
  if (missing) log.warn('Configuration warning', { detail: missing.message });
  const parts = agentParts(settings, { log, args: k3sArguments(settings, flags, k3sFlags) });
  const host = await createAgentHost(settings, parts, { stakeAgain: flags.stakeAgain ?? false });
  return (await host.run()).exitCode;
}

/** Whose node this is, as a flag says it: by its name or by the file that was made for it. */
async function nodeIdFlags({ nodeId, poolFile }: AgentFlags) {
  const pooled = poolFile === undefined ? undefined : await nodeOfPoolFile(poolFile);
  if (nodeId !== undefined && pooled !== undefined && nodeId !== pooled)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      `--node-id says '${nodeId}', and the pool file ${poolFile} is for '${pooled}': leave --node-id out`,
    );
  if (pooled !== undefined) return [{ name: 'nodeId', value: pooled, flag: '--pool-file' }];
  return nodeId === undefined ? [] : [{ name: 'nodeId', value: nodeId, flag: '--node-id' }];
}

function serverFlags({ trustServer }: AgentFlags) {
  return trustServer === undefined
    ? []
    : [{ name: 'join.trustServer', value: trustServer, flag: '--trust-server' }];
}

function k3sArguments(
  settings: Loaded,
  { k3sConfig }: AgentFlags,
  flags: readonly string[],
): readonly string[] {
  return [
    ...runtimeArguments(settings),
    ...settings.value.agent.args,
    ...(k3sConfig === undefined ? [] : [`--config=${k3sConfig}`]),
    ...flags,
  ];
}

const ownFlags = ['--dry-run', '--stake-again', '--k3s-config', '--node-id', '--pool-file', '--trust-server'];
/** A flag of k3s that differs from one of ours as little as a typing error. */
const theirs = 'node-ip';

/**
 * Rejects misspelled flags of this command. They would go to k3s, which rejects `--dryrun` only after the stake is made, and
 * `--nodeid` after it is made for another node. Throws `DAAS_FLAG_UNKNOWN` (exit 78).
 */
export function refuseMistyped(k3sFlags: readonly string[]): void {
  for (const word of k3sFlags) {
    const flag = word.split('=', 1)[0] ?? word;
    if (!flag.startsWith('-')) continue;
    const meant = ownFlags.find((own) => distance(own, flag.toLowerCase()) <= 2);
    if (meant && flag.replace(/^--?/, '') !== theirs)
      throw new ConfigurationError(
        'DAAS_FLAG_UNKNOWN',
        `'${flag}' is not a flag of this command or of k3s. Did you mean ${meant}? Nothing was started`,
        { details: { flag, meant } },
      );
  }
}
