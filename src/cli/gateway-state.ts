import { constants } from 'node:fs';
import { Command } from 'commander';
import { ConfigurationError, systemClock } from '#base';
import type { StateFigures, StateSite } from '#gateway';
import { openTrusted, readTrustedText } from '#infrastructure';
import { deploymentOf } from './chain-settings.ts';
import { gatewaySection } from './gateway-config.ts';
import type { Io } from './io.ts';
import { loadGatewaySettings } from './settings.ts';

interface StateFlags {
  readonly config?: string;
  readonly dryRun?: boolean;
}

/** `k3s-daas gateway state backup | restore | verify | rotate-key`. */
export function stateCommand(io: Io): Command {
  const state = new Command('state').description(
    'The state of the gateway: bans, locks, workers, names. A state file is read while the gateway is stopped.',
  );
  withCommon(state.command('verify'))
    .description('Read every record as a start would, and change nothing.')
    .action((flags: StateFlags) => verify(io, flags));
  withCommon(state.command('backup'))
    .description('Write the state into a file (0600), sealed like the state itself.')
    .requiredOption('--out <file>', 'the file, which must not exist')
    .option('--dry-run', 'read the state, write no file')
    .action((flags: StateFlags & { readonly out: string }) => backUp(io, flags));
  withCommon(state.command('restore'))
    .description('Put a backup in the place of the state. Decisions since the backup are lost.')
    .argument('<file>', 'what `backup` wrote')
    .option('--dry-run', 'examine the backup, change nothing')
    .option('--yes', 'do not ask before replacing the state')
    .action((file: string, flags: StateFlags & { readonly yes?: boolean }) => restore(io, file, flags));
  withCommon(state.command('rotate-key'))
    .description(
      'Put a new key before those of gateway.state.keys.file. A running gateway seals with it within seconds; keep the earlier keys until its log says so.',
    )
    .option('--dry-run', 'show what would change')
    .action((flags: StateFlags) => rotateKey(io, flags));
  return state;
}

const withCommon = (command: Command): Command =>
  command
    .option('-c, --config <file>', 'the gateway’s configuration')
    .option('--json', 'print one JSON object');

async function placeOf({ config: file }: StateFlags): Promise<StateSite> {
  const settings = await loadGatewaySettings({ file });
  const { clusterId } = await deploymentOf(settings);
  return { config: gatewaySection(settings), clusterId };
}

async function verify(io: Io, flags: StateFlags): Promise<void> {
  const { verifyState } = await import('#gateway');
  const figures = await verifyState(await placeOf(flags));
  io.result({ ok: true, ...jsonOf(figures) }, `The state is sound: ${textOf(figures)}`);
}

async function backUp(io: Io, flags: StateFlags & { readonly out: string }): Promise<void> {
  const { backUpState } = await import('#gateway');
  const { text, figures } = await backUpState(await placeOf(flags), systemClock.nowMs());
  if (!flags.dryRun) await writeNew(flags.out, text);
  const json = { file: flags.out, written: !flags.dryRun, ...jsonOf(figures) };
  io.result(json, `${flags.dryRun ? 'Would write' : 'Wrote'} ${flags.out}: ${textOf(figures)}`);
}

/** A backup never takes the place of another one. */
async function writeNew(path: string, text: string): Promise<void> {
  const create = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  try {
    await using file = await openTrusted(path, { what: 'the backup', origin: '--out' }, create);
    await file.chmod(0o600);
    await file.writeFile(text);
    await file.sync();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
    throw new ConfigurationError(
      'DAAS_STATE_BACKUP_EXISTS',
      `${path} exists already: give --out a file that does not`,
      { cause },
    );
  }
}

async function restore(io: Io, path: string, flags: StateFlags & { readonly yes?: boolean }): Promise<void> {
  const { openBackup } = await import('#gateway');
  const text = await readTrustedText(path, { what: 'the backup', origin: 'the command line' });
  const { backup, figures, restore: putBack } = await openBackup(await placeOf(flags), text, path);
  const madeAt = new Date(backup.madeAtMs).toISOString();
  const json = { file: path, made_at: backup.madeAtMs, ...jsonOf(figures) };
  if (flags.dryRun)
    return io.result({ ...json, restored: false }, `Would restore ${path} of ${madeAt}: ${textOf(figures)}`);
  const question = `Replace the state of this gateway by the backup of ${madeAt}?`;
  if (!flags.yes && !(await io.confirm(question))) return;
  const replaced = await putBack();
  io.result(
    { ...json, restored: true, replaced },
    `Restored ${path} of ${madeAt}: ${textOf(figures)}\nRepeat the bans, locks and evictions since then; the audit file lists them.`,
  );
}

async function rotateKey(io: Io, flags: StateFlags): Promise<void> {
  const settings = await loadGatewaySettings({ file: flags.config });
  const { keys } = gatewaySection(settings).state;
  if (keys.file === undefined)
    throw new ConfigurationError(
      'DAAS_STATE_KEYS_INVALID',
      'rotate-key writes a file, and gateway.state.keys.file is not set: set it, or put a new key first where your keys come from',
    );
  const { addKey } = await import('#state');
  const ids = await addKey(keys.file, systemClock.nowMs(), { isDryRun: flags.dryRun === true });
  const [id = '', ...earlier] = ids;
  const done = flags.dryRun ? 'Would put a new key into' : `Put the key ${id} into`;
  const next =
    earlier.length === 0
      ? 'Keep a copy elsewhere: without it nobody can read the state.'
      : `The earlier keys open what is sealed with them: ${earlier.join(', ')}. Remove them once the gateway logs state.resealed, and keep them as long as backups need them.`;
  const key = flags.dryRun ? undefined : id;
  io.result({ file: keys.file, written: !flags.dryRun, key, earlier }, `${done} ${keys.file}.\n${next}`);
}

const jsonOf = ({ isSealed, ...figures }: StateFigures) => ({ ...figures, sealed: isSealed });

const textOf = ({ records, workers, bans, isSealed }: StateFigures) =>
  `${records} records, ${workers} workers, ${bans} bans, ${isSealed ? 'sealed' : 'not sealed'}`;
