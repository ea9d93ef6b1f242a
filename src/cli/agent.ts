import { Command } from 'commander';
import { distance } from 'fastest-levenshtein';
import { ConfigurationError } from '#base';
import { createLogger } from '#infrastructure';
import { createAgentHost } from './agent-host.ts';
import { agentParts } from './agent-parts.ts';
import { missingDevnet } from './devnet-package.ts';
import type { Io } from './io.ts';
import { leaveSoon } from './leave.ts';
import { type Loaded, loadWorkerSettings, runtimeArguments, settingWarnings } from './settings.ts';

interface AgentFlags {
  readonly config?: string;
  readonly k3sConfig?: string;
  readonly nodeId?: string;
  readonly stakeAgain?: boolean;
  readonly dryRun?: boolean;
}

/** `k3s-daas agent`: what runs on a worker instead of `k3s agent`. */
export function agentCommand(io: Io): Command {
  return new Command('agent')
    .description(
      'Stakes, mints the Seal token, registers with the gateway, and runs and supervises the unmodified `k3s agent`. Flags that are not listed here are passed on to `k3s agent`. --server, --token, --token-file and --with-node-id are rejected: the gateway supplies them.',
    )
    .usage('[options] [flags of k3s agent]')
    .option(
      '-c, --config <file>',
      'the configuration (default: k3s-daas.{json,yaml} in /etc/k3s-daas; users other than root: first here)',
    )
    .option('--k3s-config <file>', "k3s' own configuration file, which k3s calls --config")
    .option('--node-id <id>', 'the name of the Kubernetes Node')
    .option(
      '--stake-again',
      'make another stake after a slash or the end of a stake; without it nothing is staked twice',
    )
    .option('--dry-run', 'show the stake and the cluster it would join; send and start nothing')
    .option('--json', 'log JSON lines even on a terminal')
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async (flags: AgentFlags, command: Command) => {
      process.exitCode = await runAgent(io, flags, command.args);
      leaveSoon(process.exitCode);
    });
}

async function runAgent(io: Io, flags: AgentFlags, k3sFlags: readonly string[]): Promise<number> {
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
/** The one flag of k3s that is as near to one of ours as a slip. */
const theirs = 'node-ip';

/**
 * What is not ours goes to k3s, which would find a slip like `--dryrun` out after the stake was made, and `--nodeid` after
 * it was made for another node. Throws `DAAS_FLAG_UNKNOWN` (exit 78).
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
