import {
  type CertifiedCheckpoint,
  nextCommittee,
  type VerifiedCheckpoint,
  verifyCheckpoint,
} from './certificate.ts';
import { type Committee, KeyCache } from './committee.ts';
import { digestOf } from './digest.ts';
import { ProofError } from './proof-error.ts';
import type { KeptSteps } from './proof-store.ts';
import { pinnedCommittee } from './trust.ts';
import type { EpochPin, TrustPin } from './trust-pin.ts';
import { readSummary } from './wire.ts';

const MAX_VERIFIED = 4_096;

/** A committee, and the checkpoint that named it. */
export interface FollowedCommittee {
  readonly committee: Committee;
  /** Absent for the committee of a chain's first epoch: no checkpoint names it. */
  readonly namedBy: Pick<VerifiedCheckpoint, 'digest' | 'height' | 'timestampMs'> | undefined;
}

/**
 * The committees that follow from a pin, one a Sui epoch. It goes forward alone: each committee is named by the last
 * checkpoint of the epoch before, which the committee of that epoch signed. All are kept, since the proof of an old
 * object needs the committee of its time.
 */
export class Committees {
  readonly keys: KeyCache;
  readonly #known = new Map<bigint, Committee>();
  readonly #first: bigint;
  /** The checkpoint of an epoch that the way has to lead through. */
  readonly #recent: EpochPin | undefined;
  /** Digests by height of the newest verified summaries: several objects of one checkpoint cost one pairing. */
  readonly #verified = new Map<bigint, string>();
  #newest: FollowedCommittee;

  /** `followed`: at least one, ascending, each verified from the one before. */
  constructor(
    followed: readonly [FollowedCommittee, ...FollowedCommittee[]],
    {
      recent,
      keys = new KeyCache(),
    }: { readonly recent?: EpochPin | undefined; readonly keys?: KeyCache } = {},
  ) {
    this.keys = keys;
    this.#recent = recent;
    const [first] = followed;
    this.#first = first.committee.epoch;
    this.#newest = first;
    for (const one of followed) this.#keep(one);
  }

  /** Epoch of the newest committee. */
  get newestEpoch(): bigint {
    return this.#newest.committee.epoch;
  }

  /** The chain's time at which the newest committee was named; `undefined`: that of the first epoch. */
  get newestNamedAtMs(): number | undefined {
    return this.#newest.namedBy?.timestampMs;
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
  isVerified({ height, digest }: Pick<VerifiedCheckpoint, 'height' | 'digest'>): boolean {
    return this.#verified.get(height) === digest;
  }

  /**
   * Keeps a verified summary. Throws `fork` when another one of the same height was verified: then a third of the voting
   * power signed both, and no proof of this chain counts any more.
   */
  remember({ height, digest }: Pick<VerifiedCheckpoint, 'height' | 'digest'>): void {
    const known = this.#verified.get(height);
    if (known !== undefined && known !== digest) {
      throw new ProofError('fork', `two checkpoints of height ${height} are signed: ${known} and ${digest}`);
    }
    this.#verified.set(height, digest);
    const [oldest] = this.#verified.keys();
    if (this.#verified.size > MAX_VERIFIED && oldest !== undefined) this.#verified.delete(oldest);
  }

  /** Takes the last checkpoint of the newest committee's epoch, and with it the committee of the next one. */
  follow(lastOfEpoch: CertifiedCheckpoint): FollowedCommittee {
    return this.take(verifyCheckpoint(this.#newest.committee, lastOfEpoch, this.keys));
  }

  /** What {@link follow} does after the signature is verified. Throws `fork` and `pin-mismatch`. */
  take(lastOfEpoch: VerifiedCheckpoint): FollowedCommittee {
    this.remember(lastOfEpoch);
    const { epoch, digest } = lastOfEpoch;
    if (this.#recent && epoch === BigInt(this.#recent.epoch) && digest !== this.#recent.checkpoint)
      throw new ProofError(
        'pin-mismatch',
        `the last checkpoint of epoch ${epoch} is ${digest}, the recent trust pin names ${this.#recent.checkpoint}: one of the two pins is of another chain, or former validators have signed another history`,
      );
    return this.#keep({ committee: nextCommittee(lastOfEpoch), namedBy: lastOfEpoch });
  }

  #keep(followed: FollowedCommittee): FollowedCommittee {
    this.#known.set(followed.committee.epoch, followed.committee);
    if (followed.namedBy) this.remember(followed.namedBy);
    this.#newest = followed;
    return followed;
  }
}

/**
 * The committee that a pin stands for. `pinned`: what the pin is the digest of ({@link TrustPin}); it does not matter who
 * served it. Throws `pin-mismatch`.
 */
export function committeeOfPin(pin: TrustPin, pinned: Uint8Array): FollowedCommittee {
  if ('committee' in pin) return { committee: pinnedCommittee(pin, pinned), namedBy: undefined };
  const namedBy = pinnedCheckpoint(pin, pinned);
  return { committee: nextCommittee(namedBy), namedBy };
}

/** The summary that a pin is the digest of. Throws `pin-mismatch`. */
export function pinnedCheckpoint(pin: EpochPin, bytes: Uint8Array): VerifiedCheckpoint {
  const checkpoint = checkpointOf(bytes);
  const { digest, epoch } = checkpoint;
  if (digest !== pin.checkpoint || epoch !== BigInt(pin.epoch)) {
    throw new ProofError(
      'pin-mismatch',
      `the checkpoint ${digest} of epoch ${epoch} is not the one that the trust pin names: ${pin.checkpoint} of epoch ${pin.epoch}`,
    );
  }
  return checkpoint;
}

/** A summary whose signature is not looked at here: a pin is its digest, or it was verified before. */
function checkpointOf(bytes: Uint8Array): VerifiedCheckpoint {
  const summary = readSummary(bytes);
  return {
    summary,
    digest: digestOf('CheckpointSummary', bytes),
    epoch: BigInt(summary.epoch),
    height: BigInt(summary.sequenceNumber),
    timestampMs: Number(summary.timestampMs),
  };
}

/** What was followed before, from a store of this program's own: each step was verified then. */
export function restoreCommittees(
  pin: TrustPin,
  { pinned, steps }: KeptSteps,
  recent: EpochPin | undefined,
): Committees {
  const committees = new Committees([committeeOfPin(pin, pinned)], { recent });
  for (const { summary } of steps) committees.take(checkpointOf(summary));
  return committees;
}
