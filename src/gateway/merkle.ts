import { createHash } from 'node:crypto';

// The Merkle tree of RFC 9162, sections 2.1.1 to 2.1.3, over leaves that are hashes in hex.

const leafHash = (leaf: string) => digest([Buffer.of(0), Buffer.from(leaf, 'hex')]);
const nodeHash = (left: Buffer, right: Buffer) => digest([Buffer.of(1), left, right]);

/** A tree, hashed once. */
export interface MerkleTree {
  /** Hex. */
  readonly root: string;
  /** The way from the leaf at `index` to the root, the lowest first, hex. */
  readonly pathOf: (index: number) => readonly string[];
}

/** The tree over at least one leaf. */
export function merkleTree(leaves: readonly string[]): MerkleTree {
  if (leaves.length === 0) throw new RangeError('merkleTree: a tree has at least one leaf');
  let level = leaves.map(leafHash);
  const levels = [level];
  while (level.length > 1) {
    level = levelAbove(level);
    levels.push(level);
  }
  const [root] = level as [Buffer];
  return {
    root: root.toString('hex'),
    pathOf: (index) =>
      levels.flatMap((hashes, height) => hashes[(index >> height) ^ 1]?.toString('hex') ?? []),
  };
}

/** Each node over two neighbours. The last one, where it has none, goes up as it is: so section 2.1.1 splits a tree, too. */
function levelAbove(level: readonly Buffer[]): Buffer[] {
  const above: Buffer[] = [];
  for (let index = 0; index < level.length; index += 2) {
    const [left, right] = level.slice(index, index + 2) as [Buffer, Buffer?];
    above.push(right ? nodeHash(left, right) : left);
  }
  return above;
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

function digest(parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
