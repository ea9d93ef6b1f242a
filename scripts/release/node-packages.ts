import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './artefact.ts';
import { MINUTE_MS, outputOf } from './child.ts';

/** Node's own releases as npm packages: the SHA-512 of each is pinned, here or in the lockfile. */

export type Architecture = 'x64' | 'arm64';
export const ARCHITECTURES: readonly Architecture[] = ['x64', 'arm64'];
/** As Debian and the downloads of k3s call them. */
export const debianName = (architecture: Architecture): string =>
  architecture === 'x64' ? 'amd64' : 'arm64';

/** Builds the single executables: Node 24 has no `--build-sea`. */
const NODE_26 = {
  version: '26.12.1',
  integrity: {
    x64: 'sha512-jk5LMAmgHlPlPMWpsUrSOqNaEZG+11UNd35hWQ+p5/XGaelWuTqJ69IcAy/5xtPPN4d5ZRBNOGB6gLMCh2kL9A==',
    arm64: 'sha512-8Oxs6Y7rDcKufVIM/zYRSwytj46WOrZk7yFCLTKDcs17bBjAeD9HMAqo97hMfMyxozIud0S4vZCs5WB/3iavNQ==',
  },
} as const;

/** The directory of the Node 24 that the program brings, as its npm package has it. */
export function node24(architecture: Architecture): string {
  const name = `node-linux-${architecture}`;
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  const locked = lock.packages[`node_modules/${name}`];
  if (!locked) throw new Error(`package-lock.json has no ${name}`);
  const installed = join(root, 'node_modules', name);
  if (existsSync(join(installed, 'bin', 'node'))) return installed;
  return fetchNode({ name, ...locked });
}

/** The directory of Node 26. */
export function node26(architecture: Architecture): string {
  const { version, integrity } = NODE_26;
  return fetchNode({ name: `node-linux-${architecture}`, version, integrity: integrity[architecture] });
}

interface NodePackage {
  readonly name: string;
  readonly version: string;
  readonly integrity: string;
}

/** Fetches it once into `.cache/node`. */
function fetchNode({ name, version, integrity }: NodePackage): string {
  const cache = join(root, '.cache', 'node');
  const directory = join(cache, `${name}-${version}`);
  if (existsSync(directory)) return directory;
  mkdirSync(cache, { recursive: true });
  const partial = mkdtempSync(join(cache, 'partial-'));
  try {
    const packing = ['pack', '--silent', '--pack-destination', partial, `${name}@${version}`];
    outputOf('npm', packing, { withinMs: 10 * MINUTE_MS });
    const file = join(partial, `${name}-${version}.tgz`);
    const found = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
    if (found !== integrity)
      throw new Error(
        `${name}@${version} from the registry is ${found}, expected ${integrity}: nothing was unpacked`,
      );
    const parts = ['bin', 'package.json', 'LICENSE'].map((part) => `package/${part}`);
    outputOf('tar', ['-xzf', file, '-C', partial, ...parts], { withinMs: 5 * MINUTE_MS });
    renameSync(join(partial, 'package'), directory);
    return directory;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
