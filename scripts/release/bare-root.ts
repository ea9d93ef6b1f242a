import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { root } from './artefact.ts';

/** What a shell in a bare root did. */
export interface BareOutcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly output: string;
}

/** The packages that pages name as needed, as .deb files in the root's /var/cache/apt/archives. */
const PREREQUISITES = ['libatomic1', 'gcc-12-base'];

/**
 * A directory with a Debian that has nothing but its essential packages: `K3S_DAAS_BARE_ROOT`, or one that debootstrap makes once in
 * `.cache`. A string says why there is none.
 */
export function bareRoot(): { readonly directory: string } | { readonly missing: string } {
  const given = process.env.K3S_DAAS_BARE_ROOT;
  if (process.getuid?.() !== 0) return { missing: 'not root' };
  if (spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status !== 0)
    return { missing: 'no namespaces' };
  if (given) return { directory: given };
  const directory = join(root, '.cache', 'bare-root', 'bookworm');
  if (existsSync(directory)) return { directory };
  if (spawnSync('debootstrap', ['--version']).error) return { missing: 'debootstrap is not installed' };
  mkdirSync(join(root, '.cache', 'bare-root'), { recursive: true });
  const partial = mkdtempSync(join(root, '.cache', 'bare-root', 'partial-'));
  try {
    process.stderr.write('making a bare Debian root (once) …\n');
    const made = spawnSync('debootstrap', ['--variant=minbase', 'bookworm', partial], { encoding: 'utf8' });
    if (made.status !== 0) return { missing: `debootstrap failed: ${made.stdout.trim().split('\n').at(-1)}` };
    execFileSync('chmod', ['755', partial]);
    const fetched = ['-o', `Dir::Cache::archives=${join(partial, 'var/cache/apt/archives')}`];
    const archives = join(partial, 'var', 'cache', 'apt', 'archives');
    execFileSync('apt-get', [...fetched, 'download', '-qq', ...PREREQUISITES], {
      cwd: archives,
      stdio: 'ignore',
    });
    renameSync(partial, directory);
    return { directory };
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** Runs a script in the root, which it does not change; `release` is seen as /mnt. */
export function inBareRoot(directory: string, release: string, script: string): BareOutcome {
  const work = mkdtempSync(join(tmpdir(), 'k3s-daas-bare-'));
  try {
    const args = ['--mount', '--pid', '--fork', '--uts', '--ipc', '--net', '--kill-child=KILL'];
    const program = join(import.meta.dirname, 'bare-root.sh');
    const { status, stdout, stderr } = spawnSync(
      'unshare',
      [...args, program, directory, work, release, script],
      {
        encoding: 'utf8',
        timeout: 120_000,
      },
    );
    return { exitCode: status, stdout, output: `${stdout}${stderr}` };
  } finally {
    rmdirSync(work);
  }
}
