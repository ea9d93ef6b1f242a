import { distance } from 'fastest-levenshtein';
import { ConfigurationError } from '#base';
import { createLogger } from '#infrastructure';
import { createAgentHost } from './agent-host.ts';
import { agentParts } from './agent-parts.ts';
import { missingDevnet } from './devnet-package.ts';
import type { Io } from './io.ts';
import { type Loaded, loadWorkerSettings, runtimeArguments, settingWarnings } from './settings.ts';

export interface AgentFlags {
  readonly config?: string;
  readonly k3sConfig?: string;
  readonly nodeId?: string;
  readonly stakeAgain?: boolean;
  readonly dryRun?: boolean;
}

/** Runs the host of a worker until it ends; returns its exit code. */
export async function runAgent(io: Io, flags: AgentFlags, k3sFlags: readonly string[]): Promise<number> {
  refuseMistyped(k3sFlags);
  const settings = await loadWorkerSettings({
    file: flags.config,
    flags: flags.nodeId === undefined ? [] : [{ name: 'nodeId', value: flags.nodeId, flag: '--node-id' }],
  });
  const { value } = settings;
  const log = createLogger({ level: value.log.level, format: io.isJson ? 'json' : value.log.format });
  for (const warning of await settingWarnings(settings))
    log.warn('Configuration warning', { detail: warning });
  if (flags.dryRun) {
    const { rehearse } = await import('./agent-rehearsal.ts');
    return rehearse(io, settings, flags, { args: k3sArguments(settings, flags, k3sFlags), log });
  }
  const missing = await missingDevnet(settings);
  if (missing) log.warn('Configuration warning', { detail: missing.message });
  const parts = agentParts(settings, { log, args: k3sArguments(settings, flags, k3sFlags) });
  const host = await createAgentHost(settings, parts, { stakeAgain: flags.stakeAgain ?? false });
  return (await host.run()).exitCode;
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

const ownFlags = ['--dry-run', '--stake-again', '--k3s-config', '--node-id'];
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
