import { bls12_381 } from '@noble/curves/bls12-381.js';
import { ProofError } from './proof-error.ts';

/** Sui's constants (sui `crates/sui-types/src/committee.rs`): all voting power, and what a certificate needs. */
const TOTAL_VOTING_POWER = 10_000n;
export const QUORUM_THRESHOLD = 6_667n;
const KEY_BYTES = 96;
/** Mainnet has about 110; the largest number is a limit for hostile input. */
const MAX_MEMBERS = 4_096;

export type PublicKeyPoint = ReturnType<typeof bls12_381.G2.Point.fromBytes>;

export interface CommitteeMember {
  /** BLS12-381 public key in G2, compressed: 96 bytes. */
  readonly publicKey: Uint8Array;
  readonly votingPower: bigint;
}

/** The validators of one epoch, in the order that signer maps count in. */
export interface Committee {
  readonly epoch: bigint;
  readonly members: readonly CommitteeMember[];
}

/**
 * Checks what the chain guarantees of a committee: keys of 96 bytes in strictly ascending order, voting power above
 * nothing and 10 000 in all.
 */
export function createCommittee(epoch: bigint, members: readonly CommitteeMember[]): Committee {
  if (members.length === 0 || members.length > MAX_MEMBERS) throw invalid(epoch, `${members.length} members`);
  let total = 0n;
  let previous = '';
  for (const { publicKey, votingPower } of members) {
    if (publicKey.length !== KEY_BYTES) throw invalid(epoch, `a key of ${publicKey.length} bytes`);
    const key = Buffer.from(publicKey).toString('hex');
    if (key <= previous) throw invalid(epoch, 'keys are not in ascending order');
    if (votingPower <= 0n) throw invalid(epoch, `a voting power of ${votingPower}`);
    previous = key;
    total += votingPower;
  }
  if (total !== TOTAL_VOTING_POWER) throw invalid(epoch, `a voting power of ${total} in all`);
  return { epoch, members: [...members] };
}

/**
 * Parsed keys by their bytes. Parsing one costs 3 to 5 ms, and nearly all validators keep their key from one epoch to the
 * next.
 */
export class KeyCache {
  readonly #points = new Map<string, PublicKeyPoint>();
  readonly #maxEntries: number;

  constructor(maxEntries = 1024) {
    this.#maxEntries = maxEntries;
  }

  /** Throws `committee-invalid` when the bytes are no point of the right subgroup, or the point at infinity. */
  point(publicKey: Uint8Array): PublicKeyPoint {
    const name = Buffer.from(publicKey).toString('hex');
    const known = this.#points.get(name);
    if (known) return known;
    const point = parsePoint(publicKey);
    const oldest = this.#points.keys().next();
    if (this.#points.size >= this.#maxEntries && !oldest.done) this.#points.delete(oldest.value);
    this.#points.set(name, point);
    return point;
  }
}

function parsePoint(publicKey: Uint8Array): PublicKeyPoint {
  let point: PublicKeyPoint;
  try {
    point = bls12_381.G2.Point.fromBytes(publicKey);
    point.assertValidity();
  } catch (cause) {
    throw new ProofError('committee-invalid', 'a validator’s key is no point of BLS12-381 G2', { cause });
  }
  // The library reads the point at infinity as a key; with it anybody could sign.
  if (point.is0()) throw new ProofError('committee-invalid', 'a validator’s key is the point at infinity');
  return point;
}

function invalid(epoch: bigint, what: string): ProofError {
  return new ProofError('committee-invalid', `the committee of epoch ${epoch} is invalid: ${what}`);
}
