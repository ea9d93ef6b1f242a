import { Writable } from 'node:stream';
import type { Command } from 'commander';
import { agentCommand } from '../../src/cli/agent.ts';
import { clusterCommand } from '../../src/cli/cluster.ts';
import { configCommand } from '../../src/cli/config.ts';
import { contractsCommand } from '../../src/cli/contracts.ts';
import { devnetCommand } from '../../src/cli/devnet.ts';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { gatewayCommand } from '../../src/cli/gateway.ts';
import { installCommand } from '../../src/cli/install.ts';
import { createIo } from '../../src/cli/io.ts';
import { proofCommand } from '../../src/cli/proof.ts';
import { slashCommand } from '../../src/cli/slash.ts';
import { stakeCommand } from '../../src/cli/stake.ts';
import { uninstallCommand } from '../../src/cli/uninstall.ts';

const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
const io = createIo({ json: false, stdout: nowhere, stderr: nowhere });
const roots = [
  agentCommand,
  clusterCommand,
  configCommand,
  contractsCommand,
  devnetCommand,
  doctorCommand,
  gatewayCommand,
  installCommand,
  proofCommand,
  slashCommand,
  stakeCommand,
  uninstallCommand,
].map((make) => make(io));

/** Why the program would not take these words: no such command, flag, or choice. Nothing runs. */
export function commandProblem(words: readonly string[]): string | undefined {
  const said = `k3s-daas ${words.join(' ')}`;
  let command: Command | undefined;
  let commands: readonly Command[] = roots;
  for (const word of words) {
    if (word.startsWith('-')) break;
    const next = commands.find((one) => one.name() === word);
    if (!next) break;
    [command, commands] = [next, next.commands];
  }
  if (!command) return words[0]?.startsWith('-') ? undefined : `${said}: no such command`;
  if (
    commands.length > 0 &&
    words[1] !== undefined &&
    !words[1].startsWith('-') &&
    commands === command.commands
  )
    return `${said}: no such command`;
  const known = new Set(['--help', '--json', ...command.options.flatMap(({ long, short }) => [long, short])]);
  // Flags that are not its own are those of k3s.
  if (command.name() === 'agent') return undefined;
  const unknown = words
    .filter((word) => /^--?[a-z]/.test(word))
    .find((word) => !known.has(word.split('=', 1)[0]));
  return unknown === undefined ? undefined : `${said}: no flag ${unknown}`;
}
