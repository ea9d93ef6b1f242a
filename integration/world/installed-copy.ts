import { spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { projectRoot } from './program.ts';

/** Both packages, installed by npm from their tarballs into a directory of their own. */
export interface InstalledCopy {
  readonly directory: string;
  /** The launcher of the installed `k3s-daas`. */
  readonly program: string;
  /** The command of the installed dev chain, where npm links it. */
  readonly devnetProgram: string;
}

/**
 * Builds and packs `k3s-daas` and `@k3s-daas/devnet`, and installs the tarballs as a user does. Works without a network: the
 * packages that both depend on are there already, as in `node_modules` of this clone.
 */
export async function installCopy(home: string): Promise<InstalledCopy> {
  const tarballs = await packBoth(home);
  const directory = await mkdtemp(join(home, 'installed-'));
  await writeFile(join(directory, 'package.json'), '{"private":true}');
  await provideDependencies(directory);
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  run('npm', ['install', '--offline', ...quiet, ...tarballs], directory);
  return {
    directory,
    program: join(directory, 'node_modules', 'k3s-daas', 'bin', 'k3s-daas'),
    devnetProgram: join(directory, 'node_modules', '.bin', 'sui-devnet'),
  };
}

/** Stages the packages with a build of their own: `dist` of the clone may be in use, or be missing. */
async function packBoth(home: string): Promise<readonly string[]> {
  const program = join(home, 'program');
  const devnet = join(home, 'devnet');
  await stage(projectRoot, program);
  await stage(join(projectRoot, 'devnet'), devnet);
  const bundle = join(projectRoot, 'scripts', 'bundle.ts');
  run(process.execPath, [bundle, join(program, 'dist'), join(devnet, 'dist')], projectRoot);
  return [program, devnet].map((directory) => {
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', home];
    const reply = run('npm', args, directory);
    return join(home, (JSON.parse(reply) as [{ filename: string }])[0].filename);
  });
}

/** Copies what `files` of a package.json names and what npm always packs, without the build. */
async function stage(from: string, to: string): Promise<void> {
  await mkdir(to);
  const text = await readFile(join(from, 'package.json'), 'utf8');
  const { files } = JSON.parse(text) as { files: readonly string[] };
  await writeFile(join(to, 'package.json'), text);
  for (const part of ['README.md', ...files.filter((name) => !/^!|^dist\b/.test(name))])
    await cp(join(from, part), join(to, part), { recursive: true });
}

/** Hard links where the file systems allow them: the dependencies have several hundred megabytes. */
async function provideDependencies(directory: string): Promise<void> {
  const record = await readFile(join(projectRoot, 'node_modules', '.package-lock.json'), 'utf8');
  const { packages } = JSON.parse(record) as {
    packages: Record<string, { dev?: boolean; link?: boolean }>;
  };
  const paths = Object.entries(packages)
    .filter(([path, { dev, link }]) => path.startsWith('node_modules/') && !dev && !link)
    .map(([path]) => path);
  const outermost = paths.filter((path) => !paths.some((other) => path.startsWith(`${other}/`)));
  const copy = (how: string) =>
    spawnSync('cp', ['--archive', how, '--parents', ...outermost, directory], { cwd: projectRoot });
  if (copy('--link').status !== 0 && copy('--reflink=auto').status !== 0)
    throw new Error(`the dependencies cannot be copied to ${directory}`);
}

/** What it wrote to standard output. */
function run(program: string, args: readonly string[], cwd: string): string {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, env, encoding: 'utf8' });
  if (status !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr}`, { cause: error });
  return stdout;
}
