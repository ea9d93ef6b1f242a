import { Command } from 'commander';
import type { AgentFlags } from './agent-run.ts';
import { leaveSoon } from './exit-soon.ts';
import type { Io } from './io.ts';

/** The command, with the flags of the installed k3s in its help when that is asked for. */
export async function loadAgentCommand(argv: readonly string[]): Promise<(io: Io) => Command> {
  if (!argv.some((word) => word === '--help' || word === '-h')) return agentCommand;
  const { k3sAgentHelp } = await import('#agent');
  const help = await k3sAgentHelp(process.env.K3S_DAAS_AGENT_BINARY ?? 'k3s', process.env);
  return (io) => agentCommand(io).addHelpText('after', `\n${help}`);
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
      '--pool-file <file>',
      'node id and node key of a stake that was made beforehand (`k3s-daas token pool make`); the file is renamed when it is used',
    )
    .option(
      '--trust-server <url#hash>',
      'the Kubernetes server and its CA hash (https://host:6443#HASH), where the cluster names none on chain; what that server says runs as root here',
    )
    .option(
      '--stake-again',
      'make another stake after a slash or the end of a stake; without it nothing is staked twice',
    )
    .option('--dry-run', 'show the stake and the cluster it would join; send and start nothing')
    .option('--json', 'log JSON lines even on a terminal')
    .allowUnknownOption()
    .allowExcessArguments()
    .action(async (flags: AgentFlags, command: Command) => {
      const { runAgent } = await import('./agent-run.ts');
      process.exitCode = await runAgent(io, flags, command.args);
      leaveSoon(process.exitCode);
    });
}
