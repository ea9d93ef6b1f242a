import { createHash } from 'node:crypto';

// The Merkle tree of RFC 9162, sections 2.1.1 to 2.1.3, over leaves that are hashes in hex.

const leafHash = (leaf: string) => digest([Buffer.of(0), Buffer.from(leaf, 'hex')]);
const nodeHash = (left: Buffer, right: Buffer) => digest([Buffer.of(1), left, right]);

/** The root over at least one leaf, hex. */
export function merkleRoot(leaves: readonly string[]): string {
  return rootOf(leaves.map(leafHash)).toString('hex');
}

/** The way from the leaf at `index` to the root, the lowest first, hex. */
export function merklePath(leaves: readonly string[], index: number): readonly string[] {
  return pathOf(leaves.map(leafHash), index).map((hash) => hash.toString('hex'));
}

export interface Inclusion {
  readonly leaf: string;
  readonly index: number;
  readonly size: number;
  readonly path: readonly string[];
  readonly root: string;
}

/** Whether this leaf is the one at `index` of a tree of `size` leaves with this root (section 2.1.3.2). */
export function isIncluded({ leaf, index, size, path, root }: Inclusion): boolean {
  if (!(index >= 0 && index < size)) return false;
  let [position, last] = [index, size - 1];
  let hash = leafHash(leaf);
  for (const text of path) {
    if (last === 0) return false;
    const sibling = Buffer.from(text, 'hex');
    if (position % 2 === 1 || position === last) {
      hash = nodeHash(sibling, hash);
      while (position % 2 === 0 && position !== 0) [position, last] = [position >> 1, last >> 1];
    } else hash = nodeHash(hash, sibling);
    [position, last] = [position >> 1, last >> 1];
  }
  return last === 0 && hash.toString('hex') === root;
}

function rootOf(hashes: readonly Buffer[]): Buffer {
  const [only] = hashes;
  if (hashes.length === 1 && only) return only;
  if (hashes.length === 0) throw new RangeError('merkleRoot: a tree has at least one leaf');
  const split = splitOf(hashes.length);
  return nodeHash(rootOf(hashes.slice(0, split)), rootOf(hashes.slice(split)));
}

function pathOf(hashes: readonly Buffer[], index: number): readonly Buffer[] {
  if (hashes.length <= 1) return [];
  const split = splitOf(hashes.length);
  const [left, right] = [hashes.slice(0, split), hashes.slice(split)];
  return index < split
    ? [...pathOf(left, index), rootOf(right)]
    : [...pathOf(right, index - split), rootOf(left)];
}

/** The largest power of two below `size`. */
function splitOf(size: number): number {
  return 2 ** (Math.ceil(Math.log2(size)) - 1);
}

function digest(parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
