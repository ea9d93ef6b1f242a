import { z } from 'zod';
import type { ObjectVersion, SignedTransaction } from './prepare-transaction.ts';

const Digits = z.string().regex(/^\d+$/);
const ObjectVersions = z.array(z.strictObject({ objectId: z.string(), version: Digits }));

/** How a journal keeps a signed transaction: a process that ends before its outcome is known leaves it to the next. */
export const SignedEntry = z.strictObject({
  digest: z.string(),
  bytes: z.base64(),
  signature: z.string(),
  sponsorSignature: z.string().optional(),
  expirationEpoch: Digits,
  gas: ObjectVersions,
  owned: ObjectVersions.optional(),
});
export type SignedEntry = z.infer<typeof SignedEntry>;

export function entryOf(signed: SignedTransaction): SignedEntry {
  return {
    digest: signed.digest,
    bytes: Buffer.from(signed.bytes).toString('base64'),
    signature: signed.signature,
    ...(signed.sponsorSignature !== undefined && { sponsorSignature: signed.sponsorSignature }),
    expirationEpoch: signed.expirationEpoch.toString(),
    gas: signed.gas.map(versionOf),
    owned: (signed.owned ?? []).map(versionOf),
  };
}

const versionOf = ({ objectId, version }: ObjectVersion): ObjectVersion => ({ objectId, version });

export function signedOf(entry: SignedEntry): SignedTransaction {
  return {
    bytes: Uint8Array.from(Buffer.from(entry.bytes, 'base64')),
    signature: entry.signature,
    sponsorSignature: entry.sponsorSignature,
    digest: entry.digest,
    expirationEpoch: BigInt(entry.expirationEpoch),
    gas: entry.gas,
    owned: entry.owned ?? [],
  };
}
