import { bcs, toBase58 } from '@mysten/bcs';
import { blake2b } from '@noble/hashes/blake2.js';
import { type Committee, createCommittee } from './committee.ts';
import { ProofError } from './proof-error.ts';
import { assertSize } from './wire.ts';

/** BCS of a committee: what a pin to a first epoch is the digest of. */
const CommitteeBytes = bcs.vector(bcs.tuple([bcs.byteVector(), bcs.u64()]));

/** The committee in bytes, and the digest that a pin to it holds. */
export function encodeCommittee(committee: Committee): {
  readonly bytes: Uint8Array;
  readonly digest: string;
} {
  const bytes = CommitteeBytes.serialize(
    committee.members.map(({ publicKey, votingPower }): [Uint8Array, bigint] => [publicKey, votingPower]),
  ).toBytes();
  return { bytes, digest: committeeDigest(bytes) };
}

/** The committee of a chain's first epoch, if the pin names just these bytes. */
export function pinnedCommittee(pin: { readonly committee: string }, bytes: Uint8Array): Committee {
  assertSize('summary', bytes);
  const digest = committeeDigest(bytes);
  if (digest !== pin.committee) {
    throw new ProofError(
      'pin-mismatch',
      `the committee ${digest} is not the one that the trust pin names: ${pin.committee}`,
    );
  }
  const members = CommitteeBytes.parse(bytes).map(([publicKey, power]) => ({
    publicKey,
    votingPower: BigInt(power),
  }));
  return createCommittee(0n, members);
}

function committeeDigest(bytes: Uint8Array): string {
  const salt = new TextEncoder().encode('Committee::');
  return toBase58(blake2b.create({ dkLen: 32 }).update(salt).update(bytes).digest());
}
