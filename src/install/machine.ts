import { execFile } from 'node:child_process';
import { chown, lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError } from '#base';
import { readTrustedText } from '#infrastructure';

export interface FileFact {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Finished {
  readonly exitCode: number;
  /** Both streams. */
  readonly output: string;
}

interface RunOptions {
  readonly deadlineMs: number;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** The machine that is looked at and changed. Tests give another root, and another way to run. */
export interface Machine {
  /** `/`; everything below it is read and written there. */
  readonly root: string;
  readonly uid: number;
  run(argv: readonly [string, ...string[]], options: RunOptions): Promise<Finished>;
}

export function thisMachine(): Machine {
  return { root: '/', uid: process.geteuid?.() ?? 0, run };
}

/** Exit code 127: there is no such program. 124: it was ended at the deadline. */
function run(
  [file, ...args]: readonly [string, ...string[]],
  { deadlineMs, env }: RunOptions,
): Promise<Finished> {
  return new Promise((resolve) => {
    const options = {
      timeout: deadlineMs,
      // As a service manager starts a unit: a relative path is one from there.
      cwd: '/',
      maxBuffer: 4 * 1024 * 1024,
      ...(env && { env }),
    };
    execFile(file, args, options, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`.trim();
      if (!error) return resolve({ exitCode: 0, output });
      const { code } = error as { code?: unknown };
      if (code === 'ENOENT') return resolve({ exitCode: 127, output: `${file}: not found` });
      if (error.killed)
        return resolve({ exitCode: 124, output: `${output}\nended after ${deadlineMs} ms`.trim() });
      resolve({ exitCode: typeof code === 'number' ? code : 1, output: output || error.message });
    });
  });
}

export const placeOf = ({ root }: Pick<Machine, 'root'>, path: string): string => join(root, path);

export async function readFileFact(machine: Machine, path: string): Promise<FileFact | undefined> {
  return ifThere(async () => {
    const place = placeOf(machine, path);
    const status = await lstat(place);
    if (!status.isFile()) return undefined;
    const { uid, gid, mode } = status;
    return { path, text: await readFile(place, 'utf8'), mode: mode & 0o7777, uid, gid };
  });
}

/** A file that decides what root runs: others must not be able to write it, nor a directory on the way (`DAAS_FILE_UNTRUSTED`). */
export async function readTrustedFile(
  machine: Machine,
  path: string,
  what: string,
): Promise<string | undefined> {
  return ifThere(() => readTrustedText(placeOf(machine, path), { what }));
}

/** What is at a path that is to hold a file and does not: `a link to /x`, `no regular file`. */
export async function instead(machine: Machine, path: string): Promise<string | undefined> {
  const target = await linkTarget(machine, path);
  if (target !== undefined) return `a link to ${target}`;
  const isFile = await ifThere(async () => (await lstat(placeOf(machine, path))).isFile());
  return isFile === false ? 'no regular file' : undefined;
}

export async function linkTarget(machine: Machine, path: string): Promise<string | undefined> {
  return ifThere(async () => {
    const place = placeOf(machine, path);
    return (await lstat(place)).isSymbolicLink() ? readlink(place) : undefined;
  });
}

export async function isThere(machine: Machine, path: string): Promise<boolean> {
  return (await ifThere(() => lstat(placeOf(machine, path)))) !== undefined;
}

export async function namesIn(machine: Machine, path: string): Promise<readonly string[]> {
  return ((await ifThere(() => readdir(placeOf(machine, path)))) ?? []).toSorted();
}

export async function giveTo(
  place: string,
  owner: { readonly uid: number; readonly gid: number },
): Promise<void> {
  await chown(place, owner.uid, owner.gid);
}

async function ifThere<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    const { code = '', path } = error as NodeJS.ErrnoException;
    if (['ENOENT', 'ENOTDIR'].includes(code)) return undefined;
    if (code !== 'EACCES') throw error;
    throw new ConfigurationError(
      'DAAS_INSTALL_NOT_ROOT',
      `${path} cannot be read as uid ${process.geteuid?.()}: run this as root (sudo), also to look with --dry-run`,
      { cause: error },
    );
  }
}
