import { resolve } from 'node:path';
import { nodeOfPoolFile } from './pool-file.ts';

/** What a pool file adds to a unit. */
export interface PooledUnit {
  /** Of `k3s-daas agent`, the words that were given included. */
  readonly words: readonly string[];
  /** The node of the file: so `doctor`, `leave` and `uninstall` know it, too. */
  readonly environment: Readonly<Record<string, string>>;
}

const flag = '--pool-file';

/**
 * The unit of a machine that gets its stake in a file: `named` by the installer's own flag or variable, or among the words that are
 * for the agent. Throws `DAAS_POOL_FILE_INVALID`, `DAAS_NODE_KEY_EXPOSED`.
 */
export async function pooledUnit(named: string | undefined, words: readonly string[]): Promise<PooledUnit> {
  const at = words.findIndex((word) => word === flag || word.startsWith(`${flag}=`));
  const said = at < 0 ? undefined : words[at] === flag ? words[at + 1] : words[at]?.slice(flag.length + 1);
  const file = named ?? said;
  if (file === undefined) return { words, environment: {} };
  const path = resolve(file);
  const others = words.toSpliced(at, at < 0 ? 0 : words[at] === flag ? 2 : 1);
  return { words: [flag, path, ...others], environment: { K3S_DAAS_NODE_ID: await nodeOfPoolFile(path) } };
}
