import { spawn, spawnSync } from 'node:child_process';
import { cp, mkdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { outcomeOf } from './outcome.ts';
import { projectRoot } from './program.ts';

/** Tarballs of both packages and of what npm installs with them. */
export interface Packed {
  readonly program: string;
  readonly devnet: string;
  /** Of packages that ours depend on. */
  readonly dependencies: readonly string[];
}

/** What `npm install` of either package brings with it on any machine. */
const DEPENDENCIES = ['@mysten/move-bytecode-template'];

/**
 * Packs both packages with `npm pack`, as a release does, in a copy of the clone's sources without any build. `home` is an empty
 * directory.
 */
export async function packBoth(home: string): Promise<Packed> {
  const clone = join(home, 'clone');
  await copySources(clone);
  const tarballs = join(home, 'tarballs');
  await mkdir(tarballs);
  const pack = ['pack', '--json', '--pack-destination', tarballs];
  // Its `prepack` builds both packages.
  const program = tarballOf(await npm(pack, clone));
  const devnet = tarballOf(await npm([...pack, '--ignore-scripts'], join(clone, 'devnet')));
  const dependencies: string[] = [];
  for (const name of DEPENDENCIES)
    dependencies.push(
      tarballOf(await npm([...pack, '--ignore-scripts', join(projectRoot, 'node_modules', name)], tarballs)),
    );
  const [first, second, ...others] = [program, devnet, ...dependencies].map((file) => join(tarballs, file));
  if (!first || !second) throw new Error('npm pack named no files');
  return { program: first, devnet: second, dependencies: others };
}

/** The files that git knows, or would take, with the packages of this clone. */
async function copySources(to: string): Promise<void> {
  const listed = spawnSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
    cwd: projectRoot,
    encoding: 'utf8',
  });
  if (listed.status !== 0) throw new Error(`git ls-files failed: ${listed.stderr}`);
  for (const file of listed.stdout.split('\0').filter((name) => name !== ''))
    await cp(join(projectRoot, file), join(to, file), { recursive: true }).catch((error: unknown) => {
      // Deleted, and not committed yet.
      if ((error as { code?: unknown }).code !== 'ENOENT') throw error;
    });
  await symlink(join(projectRoot, 'node_modules'), join(to, 'node_modules'));
}

function tarballOf(reply: string): string {
  // Scripts of npm write to standard output too.
  const [{ filename }] = JSON.parse(reply.slice(reply.lastIndexOf('\n[') + 1)) as [{ filename: string }];
  return filename;
}

/** What it wrote to standard output. */
export async function npm(args: readonly string[], cwd: string): Promise<string> {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--update-notifier=false'];
  const child = spawn('npm', [...args, ...quiet], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const { exitCode, output } = await outcomeOf(child);
  if (exitCode !== 0) throw new Error(`npm ${args.join(' ')} in ${cwd} ended with ${exitCode}: ${output}`);
  return output;
}
