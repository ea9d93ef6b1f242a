import { type CertifiedCheckpoint, nextCommittee, verifyCheckpoint } from './certificate.ts';
import { type Committee, KeyCache } from './committee.ts';
import { digestOf } from './digest.ts';
import { ProofError } from './proof-error.ts';
import { readSummary } from './wire.ts';

/** What is believed without a proof: the digest of the last checkpoint of an epoch. The deployment file names it. */
export interface TrustPin {
  readonly epoch: bigint;
  /** Base58, 32 bytes. */
  readonly checkpoint: string;
}

/**
 * The committees that follow from a pin, one a Sui epoch. It goes forward alone: each committee is named by the last
 * checkpoint of the epoch before, which the committee of that epoch signed. All are kept, since the proof of an old
 * object needs the committee of its time.
 */
export class Committees {
  readonly keys: KeyCache;
  readonly #pin: TrustPin;
  readonly #known = new Map<bigint, Committee>();
  #newest: Committee;

  /** `pinned`: the summary that the pin names; who served it does not matter, its digest decides. */
  constructor(pin: TrustPin, pinned: Uint8Array, keys = new KeyCache()) {
    this.#pin = pin;
    this.keys = keys;
    this.#newest = this.#remember(committeeOf(pin, pinned));
  }

  /** Epoch of the newest committee. */
  get newestEpoch(): bigint {
    return this.#newest.epoch;
  }

  /** Throws `committee-unknown` for an epoch at or before the pin, or one that was not followed to yet. */
  of(epoch: bigint): Committee {
    const committee = this.#known.get(epoch);
    if (committee) return committee;
    const reason =
      epoch <= this.#pin.epoch
        ? `it is not after the trust pin, which is of epoch ${this.#pin.epoch}`
        : `the newest known is that of epoch ${this.newestEpoch}`;
    throw new ProofError('committee-unknown', `the committee of epoch ${epoch} is not known: ${reason}`);
  }

  /** Takes the last checkpoint of the newest committee's epoch, and with it the committee of the next one. */
  follow(lastOfEpoch: CertifiedCheckpoint): Committee {
    const verified = verifyCheckpoint(this.#newest, lastOfEpoch, this.keys);
    this.#newest = this.#remember(nextCommittee(verified));
    return this.#newest;
  }

  #remember(committee: Committee): Committee {
    this.#known.set(committee.epoch, committee);
    return committee;
  }
}

function committeeOf(pin: TrustPin, bytes: Uint8Array): Committee {
  const summary = readSummary(bytes);
  const digest = digestOf('CheckpointSummary', bytes);
  const epoch = BigInt(summary.epoch);
  if (digest !== pin.checkpoint || epoch !== pin.epoch) {
    throw new ProofError(
      'pin-mismatch',
      `the checkpoint ${digest} of epoch ${epoch} is not the one that the trust pin names: ${pin.checkpoint} of epoch ${pin.epoch}`,
    );
  }
  const height = BigInt(summary.sequenceNumber);
  return nextCommittee({ summary, digest, epoch, height, timestampMs: Number(summary.timestampMs) });
}
