import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LocalRegistry } from './local-registry.ts';
import { npm, type Packed, packBoth } from './packed.ts';

/** Both packages, installed by npm into a directory of their own. */
export interface InstalledCopy {
  readonly directory: string;
  /** The launcher of the installed `k3s-daas`. */
  readonly program: string;
  /** The command of the installed dev chain, where npm links it. */
  readonly devnetProgram: string;
  readonly packed: Packed;
  /** Packages that came with `npm install k3s-daas`. */
  readonly fetched: ReadonlySet<string>;
}

/**
 * Packs `k3s-daas` and `@k3s-daas/devnet`, and installs them as a user does: into an empty directory, from a registry, here one
 * that has these and their dependencies alone. Then again from npm's cache, without any registry: that is the copy.
 */
export async function installCopy(home: string): Promise<InstalledCopy> {
  const packed = await packBoth(home);
  await using registry = await LocalRegistry.of([packed.program, packed.devnet, ...packed.dependencies]);
  const cache = ['--cache', join(home, 'npm-cache')];
  await install(join(home, 'first'), ['k3s-daas'], ['--registry', registry.url, ...cache]);
  const fetched = new Set(registry.fetched);
  await install(join(home, 'second'), ['@k3s-daas/devnet'], ['--registry', registry.url, ...cache]);
  const directory = join(home, 'installed');
  const both = ['k3s-daas', '@k3s-daas/devnet'];
  await install(directory, both, ['--offline', '--registry', registry.url, ...cache]);
  return {
    directory,
    program: join(directory, 'node_modules', 'k3s-daas', 'bin', 'k3s-daas'),
    devnetProgram: join(directory, 'node_modules', '.bin', 'sui-devnet'),
    packed,
    fetched,
  };
}

async function install(directory: string, names: readonly string[], flags: readonly string[]): Promise<void> {
  await mkdir(directory);
  await writeFile(join(directory, 'package.json'), '{"private":true}');
  await npm(['install', ...flags, ...names], directory);
}
