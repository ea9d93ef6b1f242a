import {
  type CertifiedCheckpoint,
  nextCommittee,
  type VerifiedCheckpoint,
  verifyCheckpoint,
} from './certificate.ts';
import { type Committee, KeyCache } from './committee.ts';
import { digestOf } from './digest.ts';
import { ProofError } from './proof-error.ts';
import { pinnedCommittee } from './trust.ts';
import type { TrustPin } from './trust-pin.ts';
import { readSummary } from './wire.ts';

const MAX_VERIFIED = 4_096;

/**
 * The committees that follow from a pin, one a Sui epoch. It goes forward alone: each committee is named by the last
 * checkpoint of the epoch before, which the committee of that epoch signed. All are kept, since the proof of an old
 * object needs the committee of its time.
 */
export class Committees {
  readonly keys: KeyCache;
  readonly #known = new Map<bigint, Committee>();
  readonly #first: bigint;
  /** Digests by height of the newest verified summaries: several objects of one checkpoint cost one pairing. */
  readonly #verified = new Map<bigint, string>();
  #newest: Committee;

  /**
   * `pinned`: what the pin is the digest of, the summary of a checkpoint or a committee ({@link TrustPin}). It does not
   * matter who served it. Throws `pin-mismatch`.
   */
  constructor(pin: TrustPin, pinned: Uint8Array, keys = new KeyCache()) {
    this.keys = keys;
    const committee = 'committee' in pin ? pinnedCommittee(pin, pinned) : committeeAfter(pin, pinned);
    this.#first = committee.epoch;
    this.#newest = this.#keep(committee);
  }

  /** Epoch of the newest committee. */
  get newestEpoch(): bigint {
    return this.#newest.epoch;
  }

  /** Throws `committee-unknown` for an epoch before the pin's, or one that was not followed to yet. */
  of(epoch: bigint): Committee {
    const committee = this.#known.get(epoch);
    if (committee) return committee;
    const reason =
      epoch < this.#first
        ? `the trust pin knows of none before that of epoch ${this.#first}`
        : `the newest known is that of epoch ${this.newestEpoch}`;
    throw new ProofError('committee-unknown', `the committee of epoch ${epoch} is not known: ${reason}`);
  }

  /** Whether this very summary was verified before. */
  isVerified({ height, digest }: VerifiedCheckpoint): boolean {
    return this.#verified.get(height) === digest;
  }

  /**
   * Keeps a verified summary. Throws `fork` when another one of the same height was verified: then a third of the voting
   * power signed both, and no proof of this chain counts any more.
   */
  remember({ height, digest }: VerifiedCheckpoint): void {
    const known = this.#verified.get(height);
    if (known !== undefined && known !== digest) {
      throw new ProofError('fork', `two checkpoints of height ${height} are signed: ${known} and ${digest}`);
    }
    this.#verified.set(height, digest);
    const [oldest] = this.#verified.keys();
    if (this.#verified.size > MAX_VERIFIED && oldest !== undefined) this.#verified.delete(oldest);
  }

  /** Takes the last checkpoint of the newest committee's epoch, and with it the committee of the next one. */
  follow(lastOfEpoch: CertifiedCheckpoint): Committee {
    const verified = verifyCheckpoint(this.#newest, lastOfEpoch, this.keys);
    this.remember(verified);
    this.#newest = this.#keep(nextCommittee(verified));
    return this.#newest;
  }

  #keep(committee: Committee): Committee {
    this.#known.set(committee.epoch, committee);
    return committee;
  }
}

function committeeAfter(
  pin: { readonly epoch: number; readonly checkpoint: string },
  bytes: Uint8Array,
): Committee {
  const summary = readSummary(bytes);
  const digest = digestOf('CheckpointSummary', bytes);
  const epoch = BigInt(summary.epoch);
  if (digest !== pin.checkpoint || epoch !== BigInt(pin.epoch)) {
    throw new ProofError(
      'pin-mismatch',
      `the checkpoint ${digest} of epoch ${epoch} is not the one that the trust pin names: ${pin.checkpoint} of epoch ${pin.epoch}`,
    );
  }
  const height = BigInt(summary.sequenceNumber);
  return nextCommittee({ summary, digest, epoch, height, timestampMs: Number(summary.timestampMs) });
}
