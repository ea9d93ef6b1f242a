import { z } from 'zod';
import { Committees, committeeOfPin } from './committees.ts';
import { ProofError } from './proof-error.ts';
import { type ProvenTransaction, type TransactionProof, verifyTransaction } from './transaction-proof.ts';
import { isSamePin, TrustPin } from './trust-pin.ts';

/** 40 000 epochs would be a century; a file is read whole. */
const MAX_STEPS = 40_000;
/** A transaction of this project writes fewer than ten; each is hashed and parsed before the pairing. */
const MAX_OBJECTS = 64;
const Bytes = z
  .base64()
  .max(24 * 1024 * 1024)
  .transform((text) => Uint8Array.from(Buffer.from(text, 'base64')));
const Certified = z.strictObject({ summary: Bytes, signature: Bytes });

/**
 * A proof that convinces a third party offline: from the trust pin over each committee since to one transaction, its
 * events and the objects that it wrote.
 */
const ProofFile = z.strictObject({
  format: z.literal('k3s-daas-proof/1'),
  chainId: z.string(),
  /** What the file follows from; a verifier compares it with its own. */
  pin: TrustPin,
  /** What the pin is the digest of. */
  pinned: Bytes,
  /** The last checkpoint of each epoch from the pinned committee's on. */
  committees: z.array(Certified).max(MAX_STEPS),
  checkpoint: Certified,
  contents: Bytes,
  transaction: z.string(),
  effects: Bytes,
  events: Bytes.optional(),
  objects: z.array(Bytes).max(MAX_OBJECTS),
});

/** The same with its parts named as the verifier takes them. */
export interface ProofDocument {
  readonly chainId: string;
  readonly pin: TrustPin;
  readonly pinned: Uint8Array;
  readonly committees: ReadonlyArray<{ readonly summary: Uint8Array; readonly signature: Uint8Array }>;
  readonly transaction: TransactionProof;
}

/** Throws `DAAS_PROOF_INVALID` (`malformed`) for what is no proof file. */
export function parseProofFile(text: string): ProofDocument {
  const parsed = ProofFile.safeParse(parseJson(text));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ProofError(
      'malformed',
      `not a proof file: ${issue?.path.join('.') || 'the document'}: ${issue?.message}`,
    );
  }
  const { chainId, pin, pinned, committees, checkpoint, contents, transaction, effects, events, objects } =
    parsed.data;
  const proof = { ...checkpoint, contents, transaction, effects, objects, ...(events && { events }) };
  return { chainId, pin, pinned, committees, transaction: proof };
}

export function formatProofFile({ transaction, committees, ...rest }: ProofDocument): string {
  const { summary, signature, contents, effects, events, objects } = transaction;
  const file = {
    format: 'k3s-daas-proof/1',
    chainId: rest.chainId,
    pin: rest.pin,
    pinned: base64(rest.pinned),
    committees: committees.map((step) => ({
      summary: base64(step.summary),
      signature: base64(step.signature),
    })),
    checkpoint: { summary: base64(summary), signature: base64(signature) },
    contents: base64(contents),
    transaction: transaction.transaction,
    effects: base64(effects),
    ...(events && { events: base64(events) }),
    objects: objects.map(base64),
  };
  return `${JSON.stringify(file, null, 1)}\n`;
}

/**
 * Verifies a whole document against the verifier's own pin, which the document's must be. Costs one pairing a committee
 * step and one for the transaction.
 */
export function verifyProofDocument(document: ProofDocument, pin: TrustPin): ProvenTransaction {
  if (!isSamePin(document.pin, pin)) {
    throw new ProofError('pin-mismatch', 'the proof follows from another trust pin than the one given');
  }
  const committees = new Committees([committeeOfPin(pin, document.pinned)]);
  for (const step of document.committees) committees.follow(step);
  return verifyTransaction(committees, document.transaction);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ProofError('malformed', 'not a proof file: it is not JSON', { cause });
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
