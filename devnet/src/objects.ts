import { bcs, TypeTagSerializer } from '@mysten/sui/bcs';
import { digestOf } from './digest.ts';
import { type DatatypeType, formatType, isCoin, isSuiCoin, type ObjectOwner } from './move/index.ts';

interface ObjectBase {
  readonly id: string;
  readonly version: bigint;
  readonly owner: ObjectOwner;
  /** Digest of the transaction that wrote this version. */
  readonly previousTransaction: string;
  /** MIST that were paid to store it, of which 99 % come back when it is deleted or written anew. */
  readonly storageRebate: bigint;
}

/** A struct on chain. `contents` is its BCS. */
export interface MoveObject extends ObjectBase {
  readonly kind: 'move';
  readonly type: DatatypeType;
  /** Whether anybody's transaction may transfer it: the type has `store`. */
  readonly hasPublicTransfer: boolean;
  readonly contents: Uint8Array;
}

/** A published package. Modules carry the package's own address. */
export interface PackageObject extends ObjectBase {
  readonly kind: 'package';
  readonly modules: ReadonlyMap<string, Uint8Array>;
  readonly typeOrigins: ReadonlyArray<{ readonly module: string; readonly datatype: string }>;
  readonly dependencies: readonly string[];
}

export type ChainObject = MoveObject | PackageObject;

/** An object with the digest of this version. */
export type StoredObject = ChainObject & { readonly digest: string };

export interface ObjectRef {
  readonly objectId: string;
  readonly version: string;
  readonly digest: string;
}

export const refOf = (object: StoredObject): ObjectRef => ({
  objectId: object.id,
  version: String(object.version),
  digest: object.digest,
});

export type BcsOwner = typeof bcs.Owner.$inferInput;

export function ownerToBcs(owner: ObjectOwner): BcsOwner {
  switch (owner.kind) {
    case 'address':
      return { AddressOwner: owner.address };
    case 'object':
      return { ObjectOwner: owner.parent };
    case 'shared':
      return { Shared: { initialSharedVersion: String(owner.initialVersion ?? 0n) } };
    case 'immutable':
      return { Immutable: true };
  }
}

/** The envelope that a node keeps and that object digests are of. */
export function objectToBcs(object: ChainObject): Uint8Array {
  return bcs.Object.serialize({
    data: object.kind === 'move' ? { Move: moveData(object) } : { Package: packageData(object) },
    owner: ownerToBcs(object.owner),
    previousTransaction: object.previousTransaction,
    storageRebate: object.storageRebate,
  }).toBytes();
}

export const withDigest = <T extends ChainObject>(object: T): T & { readonly digest: string } => ({
  ...object,
  digest: digestOf('Object', objectToBcs(object)),
});

function moveData(object: MoveObject): typeof bcs.MoveObject.$inferInput {
  return {
    type: typeToBcs(object.type),
    hasPublicTransfer: object.hasPublicTransfer,
    version: object.version,
    contents: object.contents,
  };
}

/** Coins have short forms of their own. */
function typeToBcs(type: DatatypeType): typeof bcs.MoveObjectType.$inferInput {
  if (isSuiCoin(type)) return { GasCoin: true };
  if (isCoin(type) && type.args[0]) return { Coin: formatType(type.args[0]) };
  const tag = TypeTagSerializer.parseFromStr(formatType(type), true);
  if (!('struct' in tag)) throw new Error(`${formatType(type)} is no struct`);
  return { Other: tag.struct };
}

/** The framework packages have version 1 here; on a live network they have been upgraded many times. */
const FRAMEWORK_VERSION = 1n;

function packageData(object: PackageObject): typeof bcs.MovePackage.$inferInput {
  return {
    id: object.id,
    version: object.version,
    moduleMap: new Map([...object.modules].sort(([left], [right]) => (left < right ? -1 : 1))),
    typeOriginTable: object.typeOrigins.map(({ module, datatype }) => ({
      moduleName: module,
      datatypeName: datatype,
      package: object.id,
    })),
    linkageTable: new Map(
      [...object.dependencies]
        .sort()
        .map((id) => [id, { upgradedId: id, upgradedVersion: FRAMEWORK_VERSION }]),
    ),
  };
}

/** Bytes that storage is charged for, as the node counts them: sizes of fields in memory, not of the envelope. */
export function billableSize(object: ChainObject): bigint {
  const envelope = 40 + 32 + 8; // owner, previous transaction, rebate
  if (object.kind === 'move') {
    const type = bcs.MoveObjectType.serialize(typeToBcs(object.type)).toBytes().length;
    return BigInt(envelope + object.contents.length + type + 1 + 8);
  }
  const modules = [...object.modules].reduce((sum, [name, bytes]) => sum + name.length + bytes.length, 0);
  const origins = object.typeOrigins.reduce(
    (sum, origin) => sum + origin.module.length + origin.datatype.length + 32,
    0,
  );
  return BigInt(envelope + 8 + modules + origins + object.dependencies.length * 72);
}
