import { Writable } from 'node:stream';
import { agentCommand } from '../src/cli/agent.ts';
import { auditCommand } from '../src/cli/audit.ts';
import { clusterCommand } from '../src/cli/cluster.ts';
import { completionCommand } from '../src/cli/completion.ts';
import { configCommand } from '../src/cli/config.ts';
import { contractsCommand } from '../src/cli/contracts.ts';
import { credentialCommand } from '../src/cli/credential.ts';
import { devnetCommand } from '../src/cli/devnet.ts';
import { doctorCommand } from '../src/cli/doctor.ts';
import { gatewayCommand } from '../src/cli/gateway.ts';
import { installCommand } from '../src/cli/install.ts';
import { createIo } from '../src/cli/io.ts';
import { kubeconfigCommand } from '../src/cli/kubeconfig.ts';
import { kubectlCommand } from '../src/cli/kubectl.ts';
import { leaveCommand } from '../src/cli/leave.ts';
import { pluginsCommand } from '../src/cli/plugins.ts';
import { proofCommand } from '../src/cli/proof.ts';
import { slashCommand } from '../src/cli/slash.ts';
import { stakeCommand } from '../src/cli/stake.ts';
import { statusCommand } from '../src/cli/status.ts';
import { teeCommand } from '../src/cli/tee.ts';
import { tokenCommand } from '../src/cli/token.ts';
import { transactionCommand } from '../src/cli/transaction.ts';
import { uninstallCommand } from '../src/cli/uninstall.ts';
import { unstakeCommand } from '../src/cli/unstake.ts';
import { versionCommand } from '../src/cli/version.ts';
import { withdrawCommand } from '../src/cli/withdraw.ts';

type Command = ReturnType<typeof agentCommand>;

const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
const io = createIo({ json: false, stdout: nowhere, stderr: nowhere });
/** Every command of the program. */
export const roots: readonly Command[] = [
  agentCommand,
  auditCommand,
  clusterCommand,
  () => completionCommand(async () => agentCommand(io)),
  configCommand,
  contractsCommand,
  credentialCommand,
  devnetCommand,
  doctorCommand,
  gatewayCommand,
  () => installCommand(io, async () => agentCommand(io)),
  kubeconfigCommand,
  kubectlCommand,
  leaveCommand,
  pluginsCommand,
  proofCommand,
  slashCommand,
  stakeCommand,
  statusCommand,
  teeCommand,
  tokenCommand,
  transactionCommand,
  uninstallCommand,
  unstakeCommand,
  versionCommand,
  withdrawCommand,
].map((make) => make(io));

/** Flags of the program itself, which may stand anywhere. */
const PROGRAM_FLAGS = ['--help', '-h', '--json', '--version', '-V'];

/**
 * Why the program would reject a command line (the words after `k3s-daas`): an unknown command or flag. `undefined` if it
 * would take it. Nothing runs. `agent` passes unknown flags on to k3s: with `allowsK3sFlags` they are no problem.
 */
export function commandProblem(
  words: readonly string[],
  { allowsK3sFlags = true }: { readonly allowsK3sFlags?: boolean } = {},
): string | undefined {
  const line = `k3s-daas ${words.join(' ')}`;
  let command: Command | undefined;
  let isValue = false;
  for (const word of words) {
    // What follows a flag that takes a value is no command, whatever it is called.
    if (isValue) {
      isValue = false;
      continue;
    }
    if (/^--?[a-z]/i.test(word)) {
      if (command?.name() === 'agent' && allowsK3sFlags) continue;
      const flag = word.split('=', 1)[0] ?? word;
      const own = command?.options.find(({ long, short }) => long === flag || short === flag);
      if (!own && !PROGRAM_FLAGS.includes(flag)) return `${line}: no flag ${flag}`;
      isValue = own?.required === true && !word.includes('=');
      continue;
    }
    const commands = command?.commands ?? roots;
    const next = commands.find((one) => one.name() === word);
    if (!next && (!command || command.commands.length > 0)) return `${line}: no such command`;
    // Any other word is an argument of the command, or the value of a flag.
    command = next ?? command;
  }
  return undefined;
}
