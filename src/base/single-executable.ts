import { getAsset, isSea } from 'node:sea';

/**
 * Whether this program is one file with its Node inside (scripts/release/executable.ts). Nothing of its package lies beside it then,
 * and it can import nothing but Node's own modules by name.
 */
export const isSingleExecutable: boolean = isSea();

/** What the single executable carries, by the path in the package; `pairing-worker.js` is of its own build. */
export type CarriedFile =
  | 'package.json'
  | 'contracts/build/k3s_daas.json'
  | 'build.json'
  | 'pairing-worker.js';

/** The text of a file that the single executable carries. Throws elsewhere. */
export function carriedFile(name: CarriedFile): string {
  return getAsset(name, 'utf8');
}
