import { toBase58 } from '@mysten/bcs';
import { blake2b } from '@noble/hashes/blake2.js';

/** What Sui hashes: the name stands before the BCS bytes (sui `crates/sui-types/src/crypto.rs`, `BcsSignable`). */
export type HashedName =
  | 'CheckpointSummary'
  | 'CheckpointContents'
  | 'TransactionEffects'
  | 'TransactionEvents'
  | 'Object';

/** Base58 of BLAKE2b-256 over `<name>::` and the bytes as they were received: unknown variants do no harm to it. */
export function digestOf(name: HashedName, bytes: Uint8Array): string {
  const salt = new TextEncoder().encode(`${name}::`);
  return toBase58(blake2b.create({ dkLen: 32 }).update(salt).update(bytes).digest());
}
