import { constants } from 'node:fs';
import { rm } from 'node:fs/promises';
import { ConfigurationError, DaasError, messageOf, silentLog, systemClock } from '#base';
import {
  backUpState,
  emptyState,
  openBackup,
  type StateFigures,
  type StateSite,
  verifyState,
} from '#gateway';
import { openTrusted, readTrustedText, writeFailure } from '#infrastructure';
import { addKey } from '#state';
import { deploymentOf } from './chain-settings.ts';
import { gatewaySection } from './gateway-config.ts';
import { type Io, notConfirmed } from './io.ts';
import { loadGatewaySettings } from './settings.ts';
import { stateObjectsOf } from './state-objects.ts';

export interface StateFlags {
  readonly config?: string;
  readonly dryRun?: boolean;
}

async function placeOf({ config: file }: StateFlags): Promise<StateSite> {
  const settings = await loadGatewaySettings({ file });
  const { clusterId } = await deploymentOf(settings);
  const config = gatewaySection(settings);
  return { config, clusterId, openStateObjects: stateObjectsOf(config, silentLog) };
}

export async function verify(io: Io, flags: StateFlags): Promise<void> {
  const figures = await verifyState(await placeOf(flags));
  io.result({ ok: true, ...jsonOf(figures) }, `The state is sound: ${textOf(figures)}`);
}

export async function backUp(io: Io, flags: StateFlags & { readonly out: string }): Promise<void> {
  const { text, figures } = await backUpState(await placeOf(flags), systemClock.nowMs());
  if (!flags.dryRun) await writeNew(flags.out, text);
  const json = { file: flags.out, written: !flags.dryRun, ...jsonOf(figures) };
  io.result(json, `${flags.dryRun ? 'Would write' : 'Wrote'} ${flags.out}: ${textOf(figures)}`);
}

/** A backup never takes the place of another one, and a part of one never stays. */
async function writeNew(path: string, text: string): Promise<void> {
  const create = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  await using file = await openTrusted(path, { what: 'the backup', origin: '--out' }, create).catch(
    (cause: unknown) => {
      throw notMade(path, cause);
    },
  );
  try {
    await file.chmod(0o600);
    await file.writeFile(text);
    await file.sync();
  } catch (cause) {
    await rm(path, { force: true });
    throw writeFailure(path, cause);
  }
}

function notMade(path: string, cause: unknown): unknown {
  if (cause instanceof DaasError) return cause;
  if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') return writeFailure(path, cause);
  return new ConfigurationError(
    'DAAS_STATE_BACKUP_EXISTS',
    `${path} exists already: give --out a file that does not`,
    { cause },
  );
}

async function readBackupText(path: string): Promise<string> {
  try {
    return await readTrustedText(path, { what: 'the backup', origin: 'the command line' });
  } catch (cause) {
    if (cause instanceof DaasError) throw cause;
    throw new ConfigurationError(
      'DAAS_STATE_BACKUP_INVALID',
      `${path} cannot be restored: it cannot be read (${messageOf(cause)}). Check the path, and run this as a user who may read it`,
      { cause },
    );
  }
}

export interface RestoreFlags extends StateFlags {
  readonly yes?: boolean;
  readonly empty?: boolean;
}

const lastStep = 'Repeat the bans, locks and evictions since then; the audit file lists them.';

export async function restore(io: Io, path: string | undefined, flags: RestoreFlags): Promise<void> {
  if ((path === undefined) !== (flags.empty === true))
    throw new ConfigurationError(
      path === undefined ? 'DAAS_FLAG_MISSING' : 'DAAS_FLAGS_CONFLICT',
      "'k3s-daas gateway state restore' needs either the file of a backup or --empty",
    );
  if (path === undefined) return empty(io, flags);
  const site = await placeOf(flags);
  const nowMs = systemClock.nowMs();
  const opened = await openBackup(site, { text: await readBackupText(path), path, nowMs });
  const { backup, figures } = opened;
  const madeAt = new Date(backup.madeAtMs).toISOString();
  const json = { file: path, made_at: backup.madeAtMs, ...jsonOf(figures) };
  if (flags.dryRun)
    return io.result({ ...json, restored: false }, `Would restore ${path} of ${madeAt}: ${textOf(figures)}`);
  await confirmReplacing(io, flags, `Replace the state of this gateway by the backup of ${madeAt}?`);
  const replaced = await opened.restore();
  io.result(
    { ...json, restored: true, replaced },
    `Restored ${path} of ${madeAt}: ${textOf(figures)}\n${lastStep}`,
  );
}

async function empty(io: Io, flags: RestoreFlags): Promise<void> {
  const site = await placeOf(flags);
  if (flags.dryRun)
    return io.result({ restored: false }, 'Would put an empty state in the place of this one');
  await confirmReplacing(io, flags, 'Forget all bans, locks and workers of this gateway?');
  const replaced = await emptyState(site, systemClock.nowMs());
  io.result(
    { restored: true, replaced },
    `The state is empty: ${replaced} records were replaced\n${lastStep}`,
  );
}

async function confirmReplacing(io: Io, { yes }: RestoreFlags, question: string): Promise<void> {
  if (yes || (await io.confirm(question))) return;
  throw notConfirmed('nothing was restored: the answer was no');
}

export async function rotateKey(io: Io, flags: StateFlags): Promise<void> {
  const settings = await loadGatewaySettings({ file: flags.config });
  const { keys } = gatewaySection(settings).state;
  const added = await addKey(keys, systemClock.nowMs(), { isDryRun: flags.dryRun === true });
  if (!added)
    throw new ConfigurationError(
      'DAAS_STATE_KEYS_INVALID',
      'rotate-key writes a file, and gateway.state.keys names none (file, snp or kms): set one, or put a new key first where your keys come from',
    );
  const { file } = added;
  const [id = '', ...earlier] = added.ids;
  const done = flags.dryRun ? 'Would put a new key into' : `Put the key ${id} into`;
  const next =
    earlier.length === 0
      ? 'Keep a copy elsewhere: without it nobody can read the state.'
      : `The earlier keys open what is sealed with them: ${earlier.join(', ')}. Remove them once the gateway logs state.resealed, and keep them as long as backups need them.`;
  const key = flags.dryRun ? undefined : id;
  io.result({ file, written: !flags.dryRun, key, earlier }, `${done} ${file}.\n${next}`);
}

const jsonOf = ({ isSealed, ...figures }: StateFigures) => ({ ...figures, sealed: isSealed });

const textOf = ({ records, workers, bans, isSealed }: StateFigures) =>
  `${records} records, ${workers} workers, ${bans} bans, ${isSealed ? 'sealed' : 'not sealed'}`;
