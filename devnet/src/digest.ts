import { createHash } from 'node:crypto';
import { fromBase58, toBase58, toHex } from '@mysten/sui/utils';
import { blake2b } from '@noble/hashes/blake2.js';

/** What a digest is of; the name is hashed in front of the BCS, so that no two kinds collide. */
export type DigestName =
  | 'TransactionData'
  | 'TransactionEffects'
  | 'TransactionEvents'
  | 'Object'
  | 'CheckpointSummary'
  | 'CheckpointContents';

/** base58 of BLAKE2b-256 over `Name::` and the BCS. */
export function digestOf(name: DigestName, bcs: Uint8Array): string {
  return toBase58(blake2b256(Buffer.concat([Buffer.from(`${name}::`), bcs])));
}

/** BLAKE2b with 256 bits of output: another function than BLAKE2b-512 cut short, which is all Node's crypto has. */
const blake2b256 = (bytes: Uint8Array): Uint8Array => blake2b(bytes, { dkLen: 32 });

const DERIVED_OBJECT = 0xf1;

/** The id of the `counter`-th object that a transaction creates (0 is the first). */
export function deriveObjectId(transactionDigest: string, counter: bigint): string {
  const number = Buffer.alloc(8);
  number.writeBigUInt64LE(counter);
  return `0x${toHex(blake2b256(Buffer.concat([Buffer.of(DERIVED_OBJECT), fromBase58(transactionDigest), number])))}`;
}

/** A digest of something that exists on this chain only: the genesis, and the system transactions of a checkpoint. */
export function syntheticDigest(...parts: readonly string[]): string {
  return toBase58(createHash('sha256').update(parts.join('\0')).digest());
}

/** Scope TransactionData, version 0, application Sui. */
const TRANSACTION_INTENT = [0, 0, 0];

/** What is signed of a transaction. */
export const intentDigest = (transaction: Uint8Array): Uint8Array =>
  blake2b256(Buffer.concat([Buffer.from(TRANSACTION_INTENT), transaction]));
