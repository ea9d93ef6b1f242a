import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  type Stats,
} from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import type { ErrorCode } from '#base';
import { ConfigurationError } from '#base';
import { isDiskFull, writeFailure } from './write-failure.ts';

/**
 * The one way to a file whose content this process believes: a configuration decides which code runs, a key signs for
 * money. Trusted are files that only root and the user of this process own and may write, in directories of which the
 * same holds up to `/`. What is judged is the opened file, so that it cannot be exchanged in between.
 */
export interface TrustRules {
  /** `the wallet key`, for messages. */
  readonly what: string;
  /** Who named the path: `wallet.keyFile`, `--config`. */
  readonly origin?: string | undefined;
  /** The file is a secret: refused with this code when anyone but its owner may read it. */
  readonly exposedCode?: ErrorCode;
  /** Default: `DAAS_FILE_UNTRUSTED`. */
  readonly code?: ErrorCode;
}

/**
 * Reads a file.
 * @throws `DAAS_FILE_UNTRUSTED` (exit 78), `exposedCode`, and what the operating system says (ENOENT, EACCES), as it is.
 */
export async function readTrusted(path: string, rules: TrustRules): Promise<Buffer> {
  const file = await openTrusted(path, rules);
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

export async function readTrustedText(path: string, rules: TrustRules): Promise<string> {
  return (await readTrusted(path, rules)).toString('utf8');
}

/** As `readTrustedText`, for what is loaded at once: configuration, modules. */
export function readTrustedTextSync(path: string, rules: TrustRules): string {
  return readTrustedSync(path, rules).toString('utf8');
}

export function readTrustedSync(path: string, rules: TrustRules): Buffer {
  const file = openTrustedSync(path, rules);
  try {
    return readFileSync(file);
  } finally {
    closeSync(file);
  }
}

/** As `openTrusted`: the descriptor. */
export function openTrustedSync(path: string, rules: TrustRules, flags = constants.O_RDONLY): number {
  const how = opening(path, rules, flags);
  const file = openSync(how.place, how.flags, 0o600);
  try {
    checkFile(fstatSync(file), path, rules);
    return file;
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

/** Opens a file as `readTrusted` does; with other flags also to write, or to make it (mode 0600). */
export async function openTrusted(
  path: string,
  rules: TrustRules,
  flags = constants.O_RDONLY,
): Promise<FileHandle> {
  const how = opening(path, rules, flags);
  const file = await open(how.place, how.flags, 0o600).catch((cause: unknown) => {
    throw isDiskFull(cause) ? writeFailure(path, cause) : cause;
  });
  try {
    checkFile(await file.stat(), path, rules);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * The path without links, every directory and link on the way judged from `/` down: only a user who could do so before can
 * exchange what was judged. The last part is judged only when it is a directory: a file is when it is open.
 */
export function trustedPath(
  path: string,
  rules: TrustRules,
  { mayBeMissing = false }: { readonly mayBeMissing?: boolean } = {},
): string {
  let here = '/';
  checkDirectory(lstatSync(here), here, path, rules);
  const rest = partsOf(resolve(path));
  for (let links = 0; rest.length > 0; ) {
    const name = rest.shift() as string;
    if (name === '..') {
      here = dirname(here);
      continue;
    }
    const next = join(here, name);
    const status = lstatSync(next, { throwIfNoEntry: !mayBeMissing });
    if (!status) return join(next, ...rest);
    if (status.isSymbolicLink()) {
      links += 1;
      if (links > 40) throw Object.assign(new Error(`ELOOP: too many links, ${path}`), { code: 'ELOOP' });
      checkOwner(status, next, path, rules);
      const target = readlinkSync(next);
      if (isAbsolute(target)) here = '/';
      rest.unshift(...partsOf(target));
      continue;
    }
    if (status.isDirectory()) checkDirectory(status, next, path, rules);
    here = next;
  }
  return here;
}

/** A file that something else opens, a module or a program: as `trustedPath`, and the file is judged, too. */
export function trustedFile(path: string, rules: TrustRules): string {
  const real = trustedPath(path, rules);
  const status = lstatSync(real);
  if (!status.isDirectory()) checkFile(status, real, rules);
  return real;
}

/** Makes a directory (0700, or the mode that is given) unless it is there, and judges it with all above it, what is made included. */
export function makeTrustedDirectory(path: string, rules: TrustRules, mode = 0o700): string {
  const real = trustedPath(path, rules, { mayBeMissing: true });
  try {
    mkdirSync(real, { recursive: true, mode });
  } catch (cause) {
    throw isDiskFull(cause) ? writeFailure(real, cause) : cause;
  }
  return trustedPath(path, rules);
}

function opening(path: string, rules: TrustRules, flags: number): { place: string; flags: number } {
  if (isDescriptor(path)) return { place: path, flags };
  return {
    place: trustedPath(path, rules, { mayBeMissing: (flags & constants.O_CREAT) !== 0 }),
    // A named pipe in the place of the file must not hold the start until somebody writes to it.
    flags: flags | constants.O_NONBLOCK | constants.O_NOFOLLOW,
  };
}

/** `--key-file <(pass show wallet)`: who started us has opened it, and there is no directory to judge. */
function isDescriptor(path: string): boolean {
  return /^\/dev\/(?:stdin|fd\/\d+)$|^\/proc\/self\/fd\/\d+$/.test(path);
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

function checkFile(status: Stats, path: string, rules: TrustRules): void {
  if (!status.isFile() && !isDescriptor(path))
    throw refusal(path, path, 'is not a regular file', 'Put a file there', rules);
  checkOwner(status, path, path, rules);
  checkWriters(status, path, path, rules);
  if (rules.exposedCode === undefined || (status.mode & 0o077) === 0) return;
  const mode = modeOf(status);
  throw new ConfigurationError(
    rules.exposedCode,
    `${named(path, rules)} can be read by others (mode ${mode}). Run \`chmod 600 ${path}\`; if others are on the machine, make a new one`,
    { details: { path, mode } },
  );
}

function checkDirectory(status: Stats, directory: string, path: string, rules: TrustRules): void {
  checkOwner(status, directory, path, rules);
  // In a sticky directory, such as /tmp, an entry is removed or renamed by its owner alone.
  if ((status.mode & 0o1000) !== 0) return;
  checkWriters(status, directory, path, rules);
}

function checkOwner({ uid }: Stats, culprit: string, path: string, rules: TrustRules): void {
  if (uid === 0 || uid === process.geteuid?.()) return;
  const us = process.geteuid?.() === 0 ? 'root' : `uid ${process.geteuid?.()} or root`;
  throw refusal(
    path,
    culprit,
    `belongs to uid ${uid}, not to ${us}`,
    `Run \`chown ${process.geteuid?.()} ${culprit}\` if its content is yours, or use another place`,
    rules,
  );
}

function checkWriters(status: Stats, culprit: string, path: string, rules: TrustRules): void {
  const byAll = (status.mode & 0o002) !== 0;
  if (!byAll && ((status.mode & 0o020) === 0 || isOurGroup(status.gid))) return;
  const who = byAll ? 'everybody' : `group ${status.gid}`;
  throw refusal(
    path,
    culprit,
    `can be written by ${who} (mode ${modeOf(status)})`,
    `Run \`chmod go-w ${culprit}\` if its content is yours, or use another place`,
    rules,
  );
}

/** A group without members but root and this user: many systems give each user such a group, and let it write. */
function isOurGroup(gid: number): boolean {
  try {
    const own = new Set([0, process.geteuid?.()]);
    const users = entriesOf('/etc/passwd').map(([name = '', , uid, group]) => ({ name, uid, group }));
    const group = entriesOf('/etc/group').find(([, , id]) => Number(id) === gid);
    if (!group) return false;
    const named = (group[3] ?? '').split(',').filter((name) => name !== '');
    const isOurs = (name: string) =>
      own.has(Number(users.find((user) => user.name === name)?.uid ?? Number.NaN));
    return (
      named.every(isOurs) && users.every((user) => Number(user.group) !== gid || own.has(Number(user.uid)))
    );
  } catch {
    return false;
  }
}

function entriesOf(path: string): string[][] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(':'));
}

function modeOf({ mode }: Stats): string {
  return (mode & 0o7777).toString(8).padStart(3, '0');
}

function named(path: string, { what, origin }: TrustRules): string {
  return `${what} ${path}${origin === undefined ? '' : ` (${origin})`}`;
}

function refusal(
  path: string,
  culprit: string,
  why: string,
  fix: string,
  rules: TrustRules,
): ConfigurationError {
  const subject = culprit === path ? 'it' : culprit;
  return new ConfigurationError(
    rules.code ?? 'DAAS_FILE_UNTRUSTED',
    `${named(path, rules)} is not trusted: ${subject} ${why}. ${fix}`,
    { details: { path, culprit } },
  );
}
