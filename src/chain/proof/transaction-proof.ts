import { TypeTagSerializer } from '@mysten/sui/bcs';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import {
  type CertifiedCheckpoint,
  type PreparedCheckpoint,
  prepareCheckpoint,
  type VerifiedCheckpoint,
  verifySignature,
} from './certificate.ts';
import type { Committees } from './committees.ts';
import { digestOf } from './digest.ts';
import type { Pairing } from './pairing.ts';
import { ProofError } from './proof-error.ts';
import {
  assertSize,
  type ChainEvent,
  readContents,
  readEffects,
  readEvents,
  readObject,
  readSummary,
  type SuiObject,
  type TransactionEffects,
} from './wire.ts';

/** All bytes that prove what one transaction did. Their source need not be trusted. */
export interface TransactionProof extends CertifiedCheckpoint {
  /** BCS of the checkpoint's contents. */
  readonly contents: Uint8Array;
  /** Digest of the transaction, base58. */
  readonly transaction: string;
  readonly effects: Uint8Array;
  /** BCS of the events; absent where none are claimed. */
  readonly events?: Uint8Array;
  /** BCS of objects that the transaction wrote, each at the version that it wrote. */
  readonly objects: readonly Uint8Array[];
}

export interface ProvenObject {
  /** `0x` and 64 hexadecimal digits. */
  readonly id: string;
  readonly version: bigint;
  readonly digest: string;
  /** Normal form with full addresses; `undefined` for a package. */
  readonly type: string | undefined;
  /** BCS of the Move struct; empty for a package. */
  readonly contents: Uint8Array;
  readonly previousTransaction: string;
  /** The address that owns it; `undefined` for shared and immutable objects. */
  readonly ownerAddress: string | undefined;
  /** Where a shared object was shared. */
  readonly initialSharedVersion: bigint | undefined;
}

/** What a valid {@link TransactionProof} establishes. */
export interface ProvenTransaction {
  readonly checkpoint: VerifiedCheckpoint;
  readonly digest: string;
  readonly objects: readonly ProvenObject[];
  readonly events: readonly ChainEvent[];
  /** Objects that are gone since this transaction: `0x` ids. */
  readonly deleted: readonly string[];
  /** Shared objects that it was given and did not change, by id: the version that each had when it ran. */
  readonly seen: ReadonlyMap<string, SeenVersion>;
}

/** The version of a shared object when a transaction ran, as its effects name it. */
interface SeenVersion {
  readonly version: bigint;
  readonly digest: string;
}

/**
 * Verifies bytes, cheapest check first and the pairing last: summary, certificate's power, contents, effects, events,
 * objects, signature. A failed transaction proves nothing here: it is refused with `transaction-failed`.
 */
export function verifyTransaction(committees: Committees, proof: TransactionProof): ProvenTransaction {
  const prepared = prepareTransaction(committees, proof);
  if (prepared.isSignatureDue) verifySignature(prepared.checkpoint, committees.keys);
  return prepared.taken();
}

/** The same, with the pairing check somewhere else. */
export async function verifyTransactionBy(
  pairing: Pairing,
  committees: Committees,
  proof: TransactionProof,
): Promise<ProvenTransaction> {
  const prepared = prepareTransaction(committees, proof);
  if (prepared.isSignatureDue) await pairing(prepared.checkpoint);
  return prepared.taken();
}

/** Everything but the pairing check. */
interface PreparedTransaction {
  readonly checkpoint: PreparedCheckpoint;
  /** The signature was not verified before with another transaction of the checkpoint. */
  readonly isSignatureDue: boolean;
  /** To be called once the signature holds. */
  readonly taken: () => ProvenTransaction;
}

function prepareTransaction(committees: Committees, proof: TransactionProof): PreparedTransaction {
  const committee = committees.of(BigInt(readSummary(proof.summary).epoch));
  const prepared = prepareCheckpoint(committee, proof);
  const { summary } = prepared.checkpoint;
  const effects = effectsOf(proof, summary.contentDigest);
  const events = eventsOf(proof, effects.eventsDigest);
  const objects = proof.objects.map((bytes) => objectOf(bytes, effects));
  const { checkpoint } = prepared;
  const { transaction: digest } = proof;
  const { deleted, seen } = effects;
  return {
    checkpoint: prepared,
    isSignatureDue: !committees.isVerified(checkpoint),
    taken: () => {
      committees.remember(checkpoint);
      return { checkpoint, digest, objects, events, deleted, seen };
    },
  };
}

/** The objects of a proof whose checkpoint has these contents, without a look at its signature. */
export function objectsOf(proof: TransactionProof, contentDigest: string): readonly ProvenObject[] {
  const effects = effectsOf(proof, contentDigest);
  return proof.objects.map((bytes) => objectOf(bytes, effects));
}

/** What is used of effects, the same for both of their versions. */
interface Effects {
  readonly eventsDigest: string | null;
  /** `<id>@<version>` → digest. */
  readonly written: ReadonlyMap<string, string>;
  readonly deleted: readonly string[];
  readonly seen: ReadonlyMap<string, SeenVersion>;
}

function effectsOf(proof: TransactionProof, contentDigest: string): Effects {
  assertSize('contents', proof.contents);
  assertSize('effects', proof.effects);
  if (digestOf('CheckpointContents', proof.contents) !== contentDigest) {
    throw new ProofError('contents-mismatch', 'the contents are not those of the checkpoint');
  }
  const entry = readContents(proof.contents).find(({ transaction }) => transaction === proof.transaction);
  if (!entry) {
    throw new ProofError('transaction-missing', `transaction ${proof.transaction} is not in the checkpoint`);
  }
  if (digestOf('TransactionEffects', proof.effects) !== entry.effects) {
    throw new ProofError('effects-mismatch', `the effects are not those of transaction ${proof.transaction}`);
  }
  const effects = readEffects(proof.effects);
  const version = effects.V1 ?? effects.V2;
  if (version.status.$kind !== 'Success') {
    throw new ProofError(
      'transaction-failed',
      `transaction ${proof.transaction} failed: it changed nothing but gas`,
    );
  }
  return { eventsDigest: version.eventsDigest, ...writesOf(effects) };
}

type Writes = Pick<Effects, 'written' | 'deleted' | 'seen'>;

function writesOf(effects: TransactionEffects): Writes {
  return effects.V2 ? writesOfV2(effects.V2) : writesOfV1(effects.V1);
}

/** Version 1 does not tell what was read from what was written, and no chain of today writes it: it shows nothing as read. */
function writesOfV1(effects: NonNullable<TransactionEffects['V1']>): Writes {
  const references = [...effects.created, ...effects.mutated, ...effects.unwrapped].map(
    ([reference]) => reference,
  );
  return {
    written: new Map(references.map(({ objectId, version, digest }) => [placeOf(objectId, version), digest])),
    deleted: effects.deleted.map(({ objectId }) => objectId),
    seen: new Map(),
  };
}

function writesOfV2(effects: NonNullable<TransactionEffects['V2']>): Writes {
  const written = new Map<string, string>();
  const deleted: string[] = [];
  for (const [id, { outputState, idOperation }] of effects.changedObjects) {
    if (outputState.ObjectWrite) written.set(placeOf(id, effects.lamportVersion), outputState.ObjectWrite[0]);
    if (outputState.PackageWrite)
      written.set(placeOf(id, outputState.PackageWrite[0]), outputState.PackageWrite[1]);
    if (outputState.NotExist && idOperation.Deleted) deleted.push(normalizeSuiAddress(id));
  }
  return { written, deleted, seen: seenIn(effects) };
}

/** sui `effects_v2.rs`: every shared object that was given read-only is named, whether a command uses it or not. */
function seenIn({
  unchangedConsensusObjects,
}: NonNullable<TransactionEffects['V2']>): ReadonlyMap<string, SeenVersion> {
  return new Map(
    unchangedConsensusObjects.flatMap(([id, kind]) =>
      kind.ReadOnlyRoot
        ? [
            [
              normalizeSuiAddress(id),
              { version: BigInt(kind.ReadOnlyRoot[0]), digest: kind.ReadOnlyRoot[1] },
            ] as const,
          ]
        : [],
    ),
  );
}

function eventsOf(proof: TransactionProof, eventsDigest: string | null): readonly ChainEvent[] {
  if (proof.events === undefined) return [];
  assertSize('events', proof.events);
  if (digestOf('TransactionEvents', proof.events) !== eventsDigest) {
    throw new ProofError('events-mismatch', `the events are not those of transaction ${proof.transaction}`);
  }
  return readEvents(proof.events);
}

/** The bytes of an object whose digest is proven. Throws `object-mismatch`. */
export function readCertified(bytes: Uint8Array, certified: string): ProvenObject {
  assertSize('object', bytes);
  const digest = digestOf('Object', bytes);
  if (digest !== certified)
    throw new ProofError('object-mismatch', `the bytes of an object do not have the digest ${certified}`);
  return factsOf(readUncertified(bytes), digest);
}

function objectOf(bytes: Uint8Array, effects: Effects): ProvenObject {
  assertSize('object', bytes);
  const digest = digestOf('Object', bytes);
  const object = factsOf(readUncertified(bytes), digest);
  const { id, version } = object;
  const certified = effects.written.get(placeOf(id, version));
  if (certified === undefined) {
    throw new ProofError(
      'object-not-written',
      `the transaction did not write object ${id} at version ${version}`,
    );
  }
  if (certified !== digest) {
    throw new ProofError(
      'object-mismatch',
      `the bytes of object ${id} are not those that the transaction wrote`,
    );
  }
  return object;
}

function factsOf(object: SuiObject, digest: string): ProvenObject {
  const { owner } = object;
  return {
    id: idOf(object),
    version: BigInt(object.data.Move?.version ?? object.data.Package?.version ?? 0),
    digest,
    type: typeOf(object),
    contents: object.data.Move?.contents ?? new Uint8Array(),
    previousTransaction: object.previousTransaction,
    ownerAddress: owner.AddressOwner,
    initialSharedVersion: owner.Shared && BigInt(owner.Shared.initialSharedVersion),
  };
}

/** An object is parsed to learn its id, before its digest is compared: what fails here may be anything. */
function readUncertified(bytes: Uint8Array): SuiObject {
  try {
    return readObject(bytes);
  } catch (error) {
    if (error instanceof ProofError && error.reason === 'unknown-format') {
      throw new ProofError('malformed', 'an object cannot be read', { cause: error.cause });
    }
    throw error;
  }
}

/** A Move object begins with its id. */
function idOf({ data }: SuiObject): string {
  if (data.Package) return normalizeSuiAddress(data.Package.id);
  const { contents } = data.Move;
  if (contents.length < 32) throw new ProofError('malformed', 'an object is too short to have an id');
  return `0x${Buffer.from(contents.subarray(0, 32)).toString('hex')}`;
}

/** With full addresses, as in `0x0…2::coin::Coin<0x0…2::sui::SUI>`; built-in kinds by Sui's own name (`GasCoin`). */
function typeOf({ data }: SuiObject): string | undefined {
  const type = data.Move?.type;
  if (!type) return undefined;
  return type.Other ? TypeTagSerializer.tagToString({ struct: type.Other }) : type.$kind;
}

function placeOf(id: string, version: string | bigint): string {
  return `${normalizeSuiAddress(id)}@${version}`;
}
