import { bls12_381 } from '@noble/curves/bls12-381.js';
import { signerIndexes } from './bitmap.ts';
import {
  type Committee,
  type CommitteeMember,
  createCommittee,
  KeyCache,
  type PublicKeyPoint,
  QUORUM_THRESHOLD,
} from './committee.ts';
import { digestOf } from './digest.ts';
import { ProofError } from './proof-error.ts';
import { type AggregatedSignature, type CheckpointSummary, readSignature, readSummary } from './wire.ts';

/** Min-sig: keys in G2, signatures in G1 (sui-rust-sdk `crates/sui-crypto/src/bls12381.rs`). */
const DOMAIN = 'BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_';
/** Intent of a signature over a checkpoint summary: scope 2, version 0, app 0. */
const INTENT = Uint8Array.of(2, 0, 0);

/** A checkpoint as a node serves it: BCS of the summary and of its aggregated signature. */
export interface CertifiedCheckpoint {
  readonly summary: Uint8Array;
  readonly signature: Uint8Array;
}

/** A summary that at least two thirds of a committee's voting power signed. */
export interface VerifiedCheckpoint {
  readonly summary: CheckpointSummary;
  readonly digest: string;
  readonly epoch: bigint;
  readonly height: bigint;
  /** Consensus time: never falls from one checkpoint to the next. */
  readonly timestampMs: number;
}

/** All that is checked before the pairing, which alone costs more than the rest together. */
export interface PreparedCheckpoint {
  readonly checkpoint: VerifiedCheckpoint;
  readonly signature: AggregatedSignature;
  readonly signers: readonly CommitteeMember[];
  readonly summaryBytes: Uint8Array;
}

/**
 * Epochs, signer map and voting power of a certificate. Cheap: callers check what hangs on the summary next, and the
 * signature ({@link verifySignature}) last.
 */
export function prepareCheckpoint(
  committee: Committee,
  { summary: summaryBytes, signature: signatureBytes }: CertifiedCheckpoint,
): PreparedCheckpoint {
  const summary = readSummary(summaryBytes);
  const signature = readSignature(signatureBytes);
  const epoch = BigInt(summary.epoch);
  if (epoch !== committee.epoch || BigInt(signature.epoch) !== committee.epoch) {
    throw new ProofError(
      'wrong-epoch',
      `checkpoint ${summary.sequenceNumber} is of epoch ${epoch}, its signature of epoch ${signature.epoch}, the committee of epoch ${committee.epoch}`,
    );
  }
  const signers = signersOf(committee, signature.bitmap);
  const digest = digestOf('CheckpointSummary', summaryBytes);
  const height = BigInt(summary.sequenceNumber);
  const checkpoint = { summary, digest, epoch, height, timestampMs: Number(summary.timestampMs) };
  return { checkpoint, signature, signers, summaryBytes };
}

/** What the pairing check needs, as plain bytes: another thread can do it. */
export interface PairingJob {
  readonly publicKeys: readonly Uint8Array[];
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

export function pairingJobOf({
  checkpoint,
  signature,
  signers,
  summaryBytes,
}: PreparedCheckpoint): PairingJob {
  return {
    publicKeys: signers.map(({ publicKey }) => publicKey),
    message: signedMessage(checkpoint.epoch, summaryBytes),
    signature: signature.signature,
  };
}

/** Whether the signers, all of them, signed the message. Throws `committee-invalid` for a key that is none. */
export function isPaired({ publicKeys, message, signature }: PairingJob, keys: KeyCache): boolean {
  const points = publicKeys.map((publicKey) => keys.point(publicKey));
  const aggregate = points.reduce((sum: PublicKeyPoint, point) => sum.add(point), bls12_381.G2.Point.ZERO);
  return isSigned(message, signature, aggregate);
}

/** The summary, if the pairing check says so; throws `signature-invalid`. */
export function certified({ checkpoint }: PreparedCheckpoint, isPairedNow: boolean): VerifiedCheckpoint {
  if (isPairedNow) return checkpoint;
  throw new ProofError(
    'signature-invalid',
    `the signature of checkpoint ${checkpoint.height} is not that of the committee of epoch ${checkpoint.epoch}`,
  );
}

/** The pairing check: throws `signature-invalid` unless the signers signed exactly these bytes. */
export function verifySignature(prepared: PreparedCheckpoint, keys: KeyCache): VerifiedCheckpoint {
  return certified(prepared, isPaired(pairingJobOf(prepared), keys));
}

/** Both halves in one, for a checkpoint of which only the summary matters. */
export function verifyCheckpoint(
  committee: Committee,
  certified: CertifiedCheckpoint,
  keys = new KeyCache(),
): VerifiedCheckpoint {
  return verifySignature(prepareCheckpoint(committee, certified), keys);
}

/** What validators sign: the intent, the summary's bytes, and its epoch once more (sui `crypto.rs`). */
export function signedMessage(epoch: bigint, summary: Uint8Array): Uint8Array {
  const message = new Uint8Array(INTENT.length + summary.length + 8);
  message.set(INTENT);
  message.set(summary, INTENT.length);
  new DataView(message.buffer).setBigUint64(INTENT.length + summary.length, epoch, true);
  return message;
}

/** The committee of the next epoch, which the last checkpoint of an epoch names. */
export function nextCommittee({ summary, epoch, height }: VerifiedCheckpoint): Committee {
  const { endOfEpochData } = summary;
  if (!endOfEpochData) {
    throw new ProofError('not-end-of-epoch', `checkpoint ${height} is not the last one of epoch ${epoch}`);
  }
  const members = endOfEpochData.nextEpochCommittee.map(([publicKey, votingPower]) => ({
    publicKey,
    votingPower: BigInt(votingPower),
  }));
  return createCommittee(epoch + 1n, members);
}

function signersOf(committee: Committee, bitmap: Uint8Array): readonly CommitteeMember[] {
  const signers = signerIndexes(bitmap).map((index) => {
    const member = committee.members[index];
    if (member) return member;
    throw new ProofError(
      'bitmap-invalid',
      `the certificate names validator ${index} of ${committee.members.length}`,
    );
  });
  const power = signers.reduce((sum, { votingPower }) => sum + votingPower, 0n);
  if (power >= QUORUM_THRESHOLD) return signers;
  throw new ProofError(
    'no-quorum',
    `the certificate has a voting power of ${power}; ${QUORUM_THRESHOLD} of 10 000 are needed`,
  );
}

function isSigned(message: Uint8Array, signature: Uint8Array, key: PublicKeyPoint): boolean {
  const { shortSignatures } = bls12_381;
  try {
    return shortSignatures.verify(signature, shortSignatures.hash(message, DOMAIN), key);
  } catch {
    // Bytes that are no point of the curve.
    return false;
  }
}
