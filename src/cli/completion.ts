import { Argument, Command } from 'commander';
import { completionScript, SHELLS, type Shell } from './completion-scripts.ts';

/** `k3s-daas completion`: completes commands and flags in a shell. `load` gives the whole program. */
export function completionCommand(load: () => Promise<Command>): Command {
  return new Command('completion')
    .description(
      'Prints a script that completes commands and flags. bash: `source <(k3s-daas completion bash)`; zsh: write it to a file `_k3s-daas` in a directory of $fpath; fish: `k3s-daas completion fish | source`.',
    )
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .action(async (shell: Shell) => {
      process.stdout.write(completionScript(await load(), shell));
    });
}
