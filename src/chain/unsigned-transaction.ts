import { TransactionDataBuilder } from '@mysten/sui/transactions';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { isValidTransactionSignature } from '@mysten/sui/verify';
import { z } from 'zod';
import { ConfigurationError } from '#base';
import type { Where } from './operation.ts';
import { Id } from './plain-fields.ts';
import type { PreparedTransaction, SignedTransaction } from './prepare-transaction.ts';
import { rebuiltBytes } from './rebuild-transaction.ts';
import { plainAct, SignedAct } from './unsigned-act.ts';

const FORMAT = 'k3s-daas transaction, version 1';
const File = z.strictObject({
  format: z.literal(FORMAT),
  chainId: z.string(),
  /** Not there yet where the act publishes it; the same holds for the cluster. */
  packageId: Id.optional(),
  clusterId: Id.optional(),
  act: SignedAct,
  digest: z.string(),
  /** BCS of the TransactionData, as wallets sign it. */
  bytes: z.base64(),
});

/** A transaction without a signature. What its bytes say about sender, gas and expiry is taken from the bytes. */
export interface UnsignedTransaction extends Where {
  readonly act: SignedAct;
  readonly digest: string;
  readonly bytes: Uint8Array;
  readonly sender: string;
  /** Who pays the gas: the sender, or a sponsor, who signs too. */
  readonly gasOwner: string;
  readonly expirationEpoch: bigint;
  /** The most gas that it may take. */
  readonly budgetMist: bigint;
  /** The coins and other objects it takes. */
  readonly gas: SignedTransaction['gas'];
  readonly owned: SignedTransaction['gas'];
}

/** The text of the file: JSON without secrets. */
export function unsignedTransactionText(
  { chainId, packageId, clusterId }: Where,
  act: SignedAct,
  { bytes, digest }: PreparedTransaction,
): string {
  const file = {
    format: FORMAT,
    chainId,
    packageId,
    clusterId,
    act: plainAct(act),
    digest,
    bytes: base64Of(bytes),
  };
  return `${JSON.stringify(file, undefined, 2)}\n`;
}

export const base64Of = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

/**
 * Reads the text of a file. Throws `DAAS_TRANSACTION_FILE_INVALID` when it is another thing, when its bytes are not those of
 * its digest, or when they do anything else than the act that it names.
 */
export async function readUnsignedTransaction(text: string, origin: string): Promise<UnsignedTransaction> {
  const parsed = File.safeParse(jsonOf(text));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw invalid(origin, `${issue?.path.join('.') || 'the file'}: ${issue?.message ?? 'unreadable'}`);
  }
  const { bytes: encoded, ...file } = parsed.data;
  const bytes = Uint8Array.from(Buffer.from(encoded, 'base64'));
  return { ...file, bytes, ...(await factsOf(bytes, file, origin)) };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

type BytesFacts = Pick<
  UnsignedTransaction,
  'sender' | 'gasOwner' | 'expirationEpoch' | 'budgetMist' | 'gas' | 'owned'
>;

async function factsOf(
  bytes: Uint8Array,
  {
    act,
    packageId,
    clusterId,
    digest,
  }: Pick<UnsignedTransaction, 'act' | 'packageId' | 'clusterId' | 'digest'>,
  origin: string,
): Promise<BytesFacts> {
  const data = dataOf(bytes, origin);
  if (TransactionDataBuilder.getDigestFromBytes(bytes) !== digest)
    throw invalid(origin, 'its bytes are not those of its digest');
  const { sender, gasData, expiration } = data;
  if (!sender || !gasData.owner || !gasData.payment || expiration?.$kind !== 'Epoch')
    throw invalid(origin, 'it lacks a sender, gas coins or an epoch in which it expires');
  const rebuilt = await rebuiltBytes({ packageId, clusterId }, act, data).catch(() => undefined);
  if (!rebuilt || !Buffer.from(rebuilt).equals(bytes))
    throw invalid(origin, `its bytes do not do exactly the ${act.kind} that it names`);
  return {
    sender: normalizeSuiAddress(sender),
    gasOwner: normalizeSuiAddress(gasData.owner),
    expirationEpoch: BigInt(expiration.Epoch),
    budgetMist: BigInt(gasData.budget ?? 0),
    gas: gasData.payment.map(({ objectId, version }) => ({ objectId, version: String(version) })),
    owned: data.inputs.flatMap(({ Object: object }) =>
      object?.$kind === 'ImmOrOwnedObject'
        ? [
            {
              objectId: object.ImmOrOwnedObject.objectId,
              version: String(object.ImmOrOwnedObject.version),
            },
          ]
        : [],
    ),
  };
}

function dataOf(bytes: Uint8Array, origin: string) {
  try {
    return TransactionDataBuilder.fromBytes(bytes).snapshot();
  } catch {
    throw invalid(origin, 'its bytes are no transaction');
  }
}

function invalid(origin: string, why: string): ConfigurationError {
  return new ConfigurationError(
    'DAAS_TRANSACTION_FILE_INVALID',
    `${origin} is not a transaction that --unsigned wrote: ${why}. Write it anew`,
    { details: { origin } },
  );
}

/**
 * Puts signatures to a transaction: that of the sender, and that of the sponsor when another wallet pays the gas. Ed25519,
 * Secp256k1, Secp256r1, passkeys and multisig of them are checked here. Throws `DAAS_SIGNATURE_INVALID`.
 */
export async function withSignatures(
  transaction: UnsignedTransaction,
  signatures: readonly string[],
): Promise<SignedTransaction> {
  const { bytes, digest, expirationEpoch, gas, owned, sender, gasOwner } = transaction;
  const signature = await signatureOf(bytes, sender, signatures);
  const isSponsored = gasOwner !== sender;
  return {
    bytes,
    digest,
    expirationEpoch,
    gas,
    owned,
    signature,
    ...(isSponsored && { sponsorSignature: await signatureOf(bytes, gasOwner, signatures) }),
  };
}

async function signatureOf(
  bytes: Uint8Array,
  address: string,
  signatures: readonly string[],
): Promise<string> {
  for (const signature of signatures)
    if (await isValidTransactionSignature(bytes, signature, { address }).catch(() => false)) return signature;
  throw new ConfigurationError(
    'DAAS_SIGNATURE_INVALID',
    `no signature that was given is one of ${address} over this transaction: sign exactly the bytes of the file with that wallet, and pass the signature by --signature`,
    { details: { address } },
  );
}
