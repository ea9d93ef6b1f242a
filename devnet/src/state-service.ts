import { GrpcTypes } from '@mysten/sui/grpc';
import { coinOfObject } from './balances.ts';
import type { Handlers } from './grpc-web.ts';
import type { Ledger } from './ledger.ts';
import {
  asStruct,
  type DatatypeType,
  decode,
  encode,
  formatType,
  isDatatype,
  isSameType,
  parseType,
  SUI,
  type Type,
} from './move/index.ts';
import type { StoredObject } from './objects.ts';
import { applyMask, asksFor, type MaskTree, readMask, subMask } from './read-mask.ts';
import { renderObject } from './render-object.ts';
import { fieldInvalid, fieldMissing, idField } from './rpc-error.ts';

const DEFAULT_PAGE = 50;
const MAX_PAGE = 1000;

export function stateService(ledger: Ledger): Handlers {
  return {
    ListOwnedObjects: (request: GrpcTypes.ListOwnedObjectsRequest) => listOwnedObjects(ledger, request),
    ListDynamicFields: (request: GrpcTypes.ListDynamicFieldsRequest) => listDynamicFields(ledger, request),
    GetBalance: (request: GrpcTypes.GetBalanceRequest) => ({ balance: getBalance(ledger, request) }),
    ListBalances: (request: GrpcTypes.ListBalancesRequest) => listBalances(ledger, request),
  };
}

function addressField(name: string, value: string | undefined): string {
  if (value === undefined) throw fieldMissing(name);
  return idField(name, value);
}

function typeField(name: string, value: string): Type {
  try {
    return parseType(value);
  } catch {
    throw fieldInvalid(name, `invalid ${name}: ${value}`);
  }
}

/** `0x2::coin::Coin` without type arguments stands for all of them. */
function isOfType(object: StoredObject, wanted: Type): boolean {
  if (object.kind !== 'move') return false;
  if (wanted.kind === 'datatype' && wanted.args.length === 0)
    return isDatatype(object.type, wanted.address, wanted.module, wanted.name);
  return isSameType(object.type, wanted);
}

function listOwnedObjects(
  ledger: Ledger,
  request: GrpcTypes.ListOwnedObjectsRequest,
): GrpcTypes.ListOwnedObjectsResponse {
  const owner = addressField('owner', request.owner);
  const mask = readMask(request.readMask, 'object_id,version,object_type', GrpcTypes.Object);
  const wanted = request.objectType === undefined ? undefined : typeField('object_type', request.objectType);
  const owned = ledger.objects
    .ownedBy(owner, ledger.code)
    .filter((object) => wanted === undefined || isOfType(object, wanted));
  const page = pageOf(owned, request);
  return {
    objects: page.items.map((object) => renderObject(object, mask, ledger.code)),
    ...page.next,
  };
}

/**
 * The token names the last item shown, so that objects which come or go meanwhile shift nothing, and its place, from which
 * the list goes on when that item is gone.
 */
function pageOf<T extends { readonly id: string }>(
  items: readonly T[],
  { pageSize, pageToken }: { readonly pageSize?: number; readonly pageToken?: Uint8Array },
): { items: readonly T[]; next: { nextPageToken?: Uint8Array } } {
  const size = Math.max(1, Math.min(pageSize ?? DEFAULT_PAGE, MAX_PAGE));
  const start = pageToken === undefined ? 0 : placeAfter(items, Buffer.from(pageToken).toString('utf8'));
  const shown = items.slice(start, start + size);
  const end = shown.at(-1);
  const hasMore = start + size < items.length && end !== undefined;
  const token = `${start + size - 1}/${end?.id}`;
  return { items: shown, next: hasMore ? { nextPageToken: Buffer.from(token) } : {} };
}

function placeAfter(items: ReadonlyArray<{ readonly id: string }>, token: string): number {
  const [, place, last] = /^(\d{1,9})\/(.+)$/.exec(token) ?? [];
  if (place === undefined) throw fieldInvalid('page_token', 'invalid page_token');
  const found = items.findIndex(({ id }) => id === last);
  return found === -1 ? Number(place) : found + 1;
}

function listDynamicFields(
  ledger: Ledger,
  request: GrpcTypes.ListDynamicFieldsRequest,
): GrpcTypes.ListDynamicFieldsResponse {
  const parent = addressField('parent', request.parent);
  const mask = readMask(request.readMask, 'parent,field_id', GrpcTypes.DynamicField);
  const page = pageOf(ledger.objects.childrenOf(parent), request);
  return {
    dynamicFields: page.items.map((object) => renderField(ledger, parent, object, mask)),
    ...page.next,
  };
}

function renderField(
  ledger: Ledger,
  parent: string,
  object: StoredObject,
  mask: MaskTree,
): GrpcTypes.DynamicField {
  const whole = GrpcTypes.DynamicField.create({
    kind: GrpcTypes.DynamicField_DynamicFieldKind.FIELD,
    parent,
    fieldId: object.id,
  });
  if (object.kind === 'move' && isField(object.type)) {
    const [nameType, valueType] = object.type.args as [Type, Type];
    const [, name, value] = asStruct(decode(object.contents, object.type, ledger.code)).fields;
    whole.valueType = formatType(valueType);
    if (name !== undefined)
      whole.name = { name: formatType(nameType), value: encode(name, nameType, ledger.code) };
    if (value !== undefined)
      whole.value = { name: formatType(valueType), value: encode(value, valueType, ledger.code) };
    if (asksFor(mask, 'field_object'))
      whole.fieldObject = renderObject(object, subMask(mask, 'field_object'), ledger.code);
  }
  return applyMask(whole, mask, GrpcTypes.DynamicField);
}

const isField = (type: DatatypeType): boolean => isDatatype(type, SUI, 'dynamic_field', 'Field');

function balancesOf(ledger: Ledger, owner: string): Map<string, bigint> {
  const sums = new Map<string, bigint>();
  for (const object of ledger.objects.ownedBy(owner, ledger.code)) {
    const coin = coinOfObject(object, ledger.code);
    if (coin) sums.set(coin.coinType, (sums.get(coin.coinType) ?? 0n) + coin.amount);
  }
  return sums;
}

/** Nothing is said of what is zero; and everything is in coins here: this chain keeps no balances of addresses. */
const renderBalance = (coinType: string, balance: bigint): GrpcTypes.Balance => ({
  coinType,
  ...(balance > 0n && { balance, coinBalance: balance }),
});

function getBalance(ledger: Ledger, request: GrpcTypes.GetBalanceRequest): GrpcTypes.Balance {
  const owner = addressField('owner', request.owner);
  if (request.coinType === undefined) throw fieldMissing('coin_type');
  const coinType = formatType(typeField('coin_type', request.coinType));
  return renderBalance(coinType, balancesOf(ledger, owner).get(coinType) ?? 0n);
}

function listBalances(
  ledger: Ledger,
  request: GrpcTypes.ListBalancesRequest,
): GrpcTypes.ListBalancesResponse {
  const owner = addressField('owner', request.owner);
  const balances = [...balancesOf(ledger, owner)].map(([id, amount]) => ({ id, amount }));
  const page = pageOf(balances, request);
  return { balances: page.items.map(({ id, amount }) => renderBalance(id, amount)), ...page.next };
}
