import { Command } from 'commander';
import type { RestoreFlags, StateFlags } from './gateway-state-actions.ts';
import type { Io } from './io.ts';

/** `k3s-daas gateway state backup | restore | verify | rotate-key`. */
export function stateCommand(io: Io): Command {
  const state = new Command('state').description(
    'The state of the gateway: bans, locks, workers, names. A state file is read while the gateway is stopped.',
  );
  withCommon(state.command('verify'))
    .description('Read every record as a start would, and change nothing.')
    .action(async (flags: StateFlags) => (await actions()).verify(io, flags));
  withCommon(state.command('backup'))
    .description('Write the state into a file (0600), sealed like the state itself.')
    .requiredOption('--out <file>', 'the file, which must not exist')
    .option('--dry-run', 'read the state, write no file')
    .action(async (flags: StateFlags & { readonly out: string }) => (await actions()).backUp(io, flags));
  withCommon(state.command('restore'))
    .description('Put a backup in the place of the state. Decisions since the backup are lost.')
    .argument('[file]', 'what `backup` wrote')
    .option('--empty', 'instead of a backup: begin with an empty state; nodes register again')
    .option('--dry-run', 'examine the backup, change nothing')
    .option('--yes', 'do not ask before replacing the state')
    .action(async (file: string | undefined, flags: RestoreFlags) =>
      (await actions()).restore(io, file, flags),
    );
  withCommon(state.command('rotate-key'))
    .description(
      'Put a new key before those of gateway.state.keys.file. A running gateway seals with it within seconds; keep the earlier keys until its log says so.',
    )
    .option('--dry-run', 'show what would change')
    .action(async (flags: StateFlags) => (await actions()).rotateKey(io, flags));
  return state;
}

const withCommon = (command: Command): Command =>
  command
    .option('-c, --config <file>', 'the gateway’s configuration')
    .option('--json', 'print one JSON object');

/** Loaded when one of them runs. */
const actions = () => import('./gateway-state-actions.ts');
