import { createHash } from 'node:crypto';
import { bls12_381 } from '@noble/curves/bls12-381.js';

const { shortSignatures } = bls12_381;

/** In all 10 000, as on every Sui network; the large one has a quorum (6 667) alone. */
const VOTING_POWERS = [7_000n, 1_000n, 1_000n, 1_000n];
const MOST_SIGNED = 4_096;
/** Scope CheckpointSummary, version 0, application Sui. */
const SUMMARY_INTENT = [2, 0, 0];

interface Validator {
  readonly secretKey: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly votingPower: bigint;
}

/** What a checkpoint's signature is made of (`sui.rpc.v2.ValidatorAggregatedSignature`). */
export interface CheckpointSignature {
  readonly epoch: bigint;
  /** 48 bytes: a point of BLS12-381 G1. */
  readonly signature: Uint8Array;
  /** A RoaringBitmap of the signers' indexes. */
  readonly bitmap: Uint8Array;
}

/**
 * The validators of this chain: they take part in no consensus and sign what a client asks to see signed. Their keys come
 * from the chain's seed, so their signatures prove this chain's history alone. One of the small ones has another key
 * in each epoch, so that clients must follow.
 */
export class Validators {
  readonly #seed: string;
  readonly #committees = new Map<bigint, readonly Validator[]>();
  /** Signing costs some 10 ms, and many clients ask for the same checkpoints. */
  readonly #signed = new Map<string, CheckpointSignature>();

  constructor(seed: string) {
    this.#seed = seed;
  }

  /** Ascending by key, as signer maps count. */
  committee(epoch: bigint): readonly Validator[] {
    const known = this.#committees.get(epoch);
    if (known) return known;
    const committee = VOTING_POWERS.map((votingPower, index) =>
      this.#validator(epoch, index, votingPower),
    ).sort((left, right) => Buffer.compare(left.publicKey, right.publicKey));
    this.#committees.set(epoch, committee);
    return committee;
  }

  /** Signed by the large validator and the first of the others. */
  sign(epoch: bigint, summary: Uint8Array): CheckpointSignature {
    const name = `${epoch} ${createHash('sha256').update(summary).digest('hex')}`;
    const known = this.#signed.get(name);
    if (known) return known;
    const signed = this.#signAnew(epoch, summary);
    this.#signed.set(name, signed);
    const [oldest] = this.#signed.keys();
    if (this.#signed.size > MOST_SIGNED && oldest !== undefined) this.#signed.delete(oldest);
    return signed;
  }

  #signAnew(epoch: bigint, summary: Uint8Array): CheckpointSignature {
    const committee = this.committee(epoch);
    const large = committee.findIndex(({ votingPower }) => votingPower === VOTING_POWERS[0]);
    const signers = [large, large === 0 ? 1 : 0].sort((left, right) => left - right);
    const epochBytes = Buffer.alloc(8);
    epochBytes.writeBigUInt64LE(epoch);
    const message = shortSignatures.hash(Buffer.concat([Buffer.from(SUMMARY_INTENT), summary, epochBytes]));
    const signatures = signers.map((index) =>
      shortSignatures.sign(message, committee[index]?.secretKey ?? new Uint8Array()),
    );
    return {
      epoch,
      signature: shortSignatures.Signature.toBytes(shortSignatures.aggregateSignatures(signatures)),
      bitmap: signerMap(signers),
    };
  }

  #validator(epoch: bigint, index: number, votingPower: bigint): Validator {
    const isChanging = index === VOTING_POWERS.length - 1;
    const name = `${this.#seed}\0validator\0${index}\0${isChanging ? epoch : 0}`;
    const secretKey = Uint8Array.from(createHash('sha256').update(name).digest());
    // Below the order of the group, whatever the hash.
    secretKey[0] = (secretKey[0] ?? 0) & 0x3f;
    return { secretKey, publicKey: shortSignatures.getPublicKey(secretKey).toBytes(), votingPower };
  }
}

/** One array container in the portable format, as Sui's own nodes write it. */
function signerMap(indexes: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(16 + 2 * indexes.length);
  bytes.writeUInt32LE(12_346, 0);
  bytes.writeUInt32LE(1, 4);
  bytes.writeUInt16LE(indexes.length - 1, 10);
  bytes.writeUInt32LE(16, 12);
  for (const [at, index] of indexes.entries()) bytes.writeUInt16LE(index, 16 + 2 * at);
  return Uint8Array.from(bytes);
}
