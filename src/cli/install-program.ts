import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { isSingleExecutable } from '#base';
import { packageRoot } from '#chain';
import { trustedFile } from '#infrastructure';

/** This program, by a path that another program can run. The single executable is its own launcher. */
export async function ownProgram(isSingle = isSingleExecutable): Promise<string> {
  return isSingle ? process.execPath : join(await packageRoot(), 'bin', 'k3s-daas');
}

/**
 * The launcher that a unit runs: the one in `binDir` if it is this program, else that of this package. Root runs it at every
 * boot: one that others can write is refused (`DAAS_FILE_UNTRUSTED`).
 */
export async function programPath(binDir: string): Promise<string> {
  const program = (await linkedProgram([binDir, DEBIAN_BIN_DIR])) ?? (await ownProgram());
  trustedFile(program, { what: 'the program', origin: 'the unit runs it as root' });
  return program;
}

/** Where the Debian package puts its link. */
const DEBIAN_BIN_DIR = '/usr/bin';

/** The first of these directories whose `k3s-daas` is this program: a path that stays when the program is updated. */
export async function linkedProgram(binDirs: readonly string[]): Promise<string | undefined> {
  const own = await realpath(await ownProgram());
  for (const linked of binDirs.map((directory) => join(directory, 'k3s-daas')))
    if ((await realpath(linked).catch(() => undefined)) === own) return linked;
  return undefined;
}

/** Where deploy/install.sh unpacks the program. */
const INSTALLED_DIR = '/usr/local/lib/k3s-daas';

/** What install.sh has put there, the link last; empty when the program came in another way. */
export async function programFiles(binDir: string): Promise<readonly string[]> {
  if (isSingleExecutable) return [];
  const root = await realpath(await packageRoot());
  if (!root.startsWith(`${INSTALLED_DIR}/`)) return [];
  return [INSTALLED_DIR, join(binDir, 'k3s-daas')];
}
