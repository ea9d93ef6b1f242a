import { Command, CommanderError } from 'commander';
import { ConfigurationError, EXIT } from '#base';
import { createIo, type Io, reportError } from './cli/io.ts';
import { packageVersion } from './cli/package-version.ts';

/**
 * The entry of the `k3s-daas` program. A command is loaded when it runs, with the layers that it needs: the host of a worker
 * does not load the Kubernetes client of the gateway.
 */
const commands: Readonly<
  Record<string, { summary: string; load: (argv: readonly string[]) => Promise<(io: Io) => Command> }>
> = {
  agent: {
    summary: 'run a worker: stake, prove, join, and supervise the k3s agent (replaces `k3s agent`)',
    load: async (argv) => (await import('./cli/agent.ts')).loadAgentCommand(argv),
  },
  gateway: {
    summary: 'set up, run and operate the Nautilus gateway beside the k3s server',
    load: async () => (await import('./cli/gateway.ts')).gatewayCommand,
  },
  audit: {
    summary: 'verify, show and export the audit files of a gateway',
    load: async () => (await import('./cli/audit.ts')).auditCommand,
  },
  stake: {
    summary: 'stake for a node without running a worker; list and top up stakes',
    load: async () => (await import('./cli/stake.ts')).stakeCommand,
  },
  unstake: {
    summary: 'end the stake of a node: its coins come out after the unbonding time',
    load: async () => (await import('./cli/unstake.ts')).unstakeCommand,
  },
  leave: {
    summary: 'take this worker out of its cluster, and end its stake if asked',
    load: async () => (await import('./cli/leave.ts')).leaveCommand,
  },
  withdraw: {
    summary: 'take the coins of an ended stake back to the wallet',
    load: async () => (await import('./cli/withdraw.ts')).withdrawCommand,
  },
  token: {
    summary: 'show, rotate or revoke the Seal token of a node',
    load: async () => (await import('./cli/token.ts')).tokenCommand,
  },
  kubeconfig: {
    summary: 'write a kubeconfig that logs in by your Seal token',
    load: async () => (await import('./cli/kubeconfig.ts')).kubeconfigCommand,
  },
  credential: {
    summary: 'sign a login for kubectl (it runs this by itself)',
    load: async () => (await import('./cli/credential.ts')).credentialCommand,
  },
  kubectl: {
    summary: 'show stakes beside what kubectl shows (as `kubectl daas`)',
    load: async () => (await import('./cli/kubectl.ts')).kubectlCommand,
  },
  transaction: {
    summary: 'show or send a transaction that was signed elsewhere',
    load: async () => (await import('./cli/transaction.ts')).transactionCommand,
  },
  slash: {
    summary: 'propose a slash, vote for it, or expire an old proposal',
    load: async () => (await import('./cli/slash.ts')).slashCommand,
  },
  cluster: {
    summary: 'create a cluster on chain, show it, change its parameters and gateways',
    load: async () => (await import('./cli/cluster.ts')).clusterCommand,
  },
  proof: {
    summary: 'prove what happened on chain, and check a proof offline',
    load: async () => (await import('./cli/proof.ts')).proofCommand,
  },
  tee: {
    summary: 'look at evidence of trusted execution environments, and judge it by a policy',
    load: async () => (await import('./cli/tee.ts')).teeCommand,
  },
  contracts: {
    summary: 'build, test and publish the Move contracts',
    load: async () => (await import('./cli/contracts.ts')).contractsCommand,
  },
  doctor: {
    summary: 'check this worker: what was seen, what to do',
    load: async () => (await import('./cli/doctor.ts')).doctorCommand,
  },
  status: {
    summary: 'show how this worker is, live on a terminal',
    load: async () => (await import('./cli/status.ts')).statusCommand,
  },
  install: {
    summary: 'install the service of a worker or a gateway, or take over a plain k3s agent',
    load: async () => {
      const { installCommand } = await import('./cli/install.ts');
      return (io) => installCommand(io, () => wholeProgram(io));
    },
  },
  uninstall: {
    summary: 'remove the service, or bring plain k3s back',
    load: async () => (await import('./cli/uninstall.ts')).uninstallCommand,
  },
  config: {
    summary: 'print every setting with its origin, secrets masked',
    load: async () => (await import('./cli/config.ts')).configCommand,
  },
  plugins: {
    summary: 'print the integrity of an installed plugin',
    load: async () => (await import('./cli/plugins.ts')).pluginsCommand,
  },
  completion: {
    summary: 'print a script that completes commands and flags in a shell',
    load: async () => {
      const { completionCommand } = await import('./cli/completion.ts');
      return (io) => completionCommand(() => wholeProgram(io));
    },
  },
  version: {
    summary: 'print version, commit, and what this release was tested with',
    load: async () => (await import('./cli/version.ts')).versionCommand,
  },
  devnet: {
    summary: 'run a dev chain (for development)',
    load: async () => (await import('./cli/devnet.ts')).devnetCommand,
  },
};

export async function main(argv: readonly string[]): Promise<number> {
  const isJson = beforeDashes(argv).includes('--json');
  const io = createIo({ json: isJson });
  try {
    const program = await buildProgram(argv, io);
    await program.parseAsync([...argv], { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : EXIT.ok;
  } catch (error) {
    if (error instanceof CommanderError) return endOf(error, isJson);
    return reportError(error, isJson);
  }
}

/** Commander has printed help and version; its errors are reported here. */
function endOf({ code, exitCode, message }: CommanderError, isJson: boolean): number {
  if (exitCode === 0) return EXIT.ok;
  if (code === 'commander.help') return EXIT.configuration;
  const sentence = message.replace(/^error: /, '').replaceAll('\n', ' ');
  return reportError(
    new ConfigurationError('DAAS_COMMAND_LINE_INVALID', `${sentence}; --help lists commands and flags`),
    isJson,
  );
}

async function buildProgram(argv: readonly string[], io: Io): Promise<Command> {
  const program = new Command('k3s-daas')
    .description('Admits workers to a k3s cluster by a stake on the Sui blockchain instead of a join token.')
    .version(packageVersion())
    // Declared here so that it may stand anywhere; the help of each command says what it does there.
    .option('--json', 'print JSON instead of text; before or after the command')
    .showSuggestionAfterError()
    .configureOutput(output)
    .exitOverride();
  const asked = argv.find((argument) => Object.hasOwn(commands, argument));
  for (const [name, { summary, load }] of Object.entries(commands)) {
    if (name === asked) {
      const command = (await load(argv))(io);
      inheritExitOverride(command);
      program.addCommand(command.summary(summary));
    } else {
      program.command(name).summary(summary).description(summary).allowUnknownOption();
    }
  }
  return program;
}

/** With every command loaded: for what is made from the tree of commands. */
async function wholeProgram(io: Io): Promise<Command> {
  const program = new Command('k3s-daas')
    .version(packageVersion())
    .option('--json', 'print JSON instead of text');
  for (const [, { summary, load }] of Object.entries(commands))
    program.addCommand((await load([]))(io).summary(summary));
  return program;
}

/** Arguments after `--` are not flags. */
function beforeDashes(argv: readonly string[]): readonly string[] {
  const dashes = argv.indexOf('--');
  return dashes === -1 ? argv : argv.slice(0, dashes);
}

/** `endOf` reports the error instead. */
const output = { outputError: () => undefined };

/** Commander hands `exitOverride` only to commands it makes itself. */
function inheritExitOverride(command: Command): void {
  command.exitOverride().configureOutput(output).showSuggestionAfterError();
  for (const inner of command.commands) inheritExitOverride(inner);
}

/** As Node ends a program that waits for something which never comes. */
const endsUnsettled = () => {
  process.exitCode = 13;
};
process.once('exit', endsUnsettled);
// No `await`: the program of the single executable is no ES module.
void main(process.argv.slice(2)).then((exitCode) => {
  process.off('exit', endsUnsettled);
  process.exitCode = exitCode;
});
