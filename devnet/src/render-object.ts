import { GrpcTypes } from '@mysten/sui/grpc';
import { coinOfObject } from './balances.ts';
import { type Definitions, decode, formatType, type ObjectOwner } from './move/index.ts';
import { objectToBcs, type StoredObject } from './objects.ts';
import { applyMask, asksFor, type MaskTree } from './read-mask.ts';
import { renderPackage } from './render-package.ts';
import { toJson, toProtoValue } from './render-value.ts';
import type { RunCode } from './run-code.ts';

const { Owner_OwnerKind: Kind } = GrpcTypes;

export function renderOwner(owner: ObjectOwner): GrpcTypes.Owner {
  switch (owner.kind) {
    case 'address':
      return { kind: Kind.ADDRESS, address: owner.address };
    case 'object':
      return { kind: Kind.OBJECT, address: owner.parent };
    case 'shared':
      return { kind: Kind.SHARED, version: owner.initialVersion ?? 0n };
    case 'immutable':
      return { kind: Kind.IMMUTABLE };
  }
}

/** `package` for a package, as the node has it. */
export const objectTypeOf = (object: StoredObject): string =>
  object.kind === 'package' ? 'package' : formatType(object.type);

/** An object on the wire. Rendering JSON costs, so it is done only when the mask asks for it. */
export function renderObject(object: StoredObject, mask: MaskTree, code: RunCode): GrpcTypes.Object {
  const whole = GrpcTypes.Object.create({
    objectId: object.id,
    version: object.version,
    digest: object.digest,
    owner: renderOwner(object.owner),
    objectType: objectTypeOf(object),
    previousTransaction: object.previousTransaction,
    storageRebate: object.storageRebate,
  });
  if (asksFor(mask, 'bcs')) whole.bcs = { name: 'Object', value: objectToBcs(object) };
  if (object.kind === 'move') {
    whole.hasPublicTransfer = object.hasPublicTransfer;
    whole.contents = { name: formatType(object.type), value: object.contents };
    const coin = asksFor(mask, 'balance') ? coinOfObject(object, code) : undefined;
    if (coin) whole.balance = coin.amount;
    if (asksFor(mask, 'json')) whole.json = contentsToJson(object.contents, object.type, code);
  } else if (asksFor(mask, 'package')) whole.package = renderPackage(object, code);
  return applyMask(whole, mask, GrpcTypes.Object);
}

export const contentsToJson = (
  contents: Uint8Array,
  type: Parameters<typeof decode>[1],
  definitions: Definitions,
): NonNullable<GrpcTypes.Object['json']> =>
  toProtoValue(toJson(decode(contents, type, definitions), type, definitions));
