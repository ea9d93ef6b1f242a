import { deriveDynamicFieldID, fromHex, toHex } from '@mysten/sui/utils';
import { encode } from './codec.ts';
import type { DatatypeDefinition } from './definitions.ts';
import {
  type NativeBody,
  type NativeCall,
  type NativeFunction,
  type NativeModule,
  nativeModule,
} from './native.ts';
import { none, STANDARD_LIBRARY, some } from './standard-library.ts';
import { datatype, formatType, isDatatype, STD, SUI, type Type } from './types.ts';
import {
  asAddress,
  asInteger,
  asStruct,
  asVector,
  at,
  bytesToVector,
  copy,
  equals,
  field,
  type MoveReference,
  type MoveValue,
  place,
  put,
  struct,
  u8,
  u64,
  vector,
  vectorToBytes,
} from './values.ts';

const U64_MAX = 2n ** 64n - 1n;
const ZERO_ADDRESS = `0x${'0'.repeat(64)}`;

// --- sui::object -----------------------------------------------------------------------------------------------

/** UID and ID are structs around an address: `UID { id: ID { bytes } }`. */
export const uidOf = (id: string): MoveValue => struct(struct(id));
export const idOf = (id: string): MoveValue => struct(id);
export const idOfUid = (uid: MoveValue | undefined): string => asAddress(field(field(uid, 0), 0));
/** The id of an object: its first field is its UID. */
export const idOfObject = (object: MoveValue | undefined): string => idOfUid(field(object, 0));

function newUid({ host }: NativeCall): MoveValue {
  const id = host.freshId();
  host.created(id);
  return uidOf(id);
}

const part = (reference: MoveValue | undefined, index: number): MoveReference =>
  place(asStruct(at(reference)).fields, index);

const addressBytes = (address: string): MoveValue => bytesToVector(fromHex(address));

function idFromBytes(call: NativeCall): string {
  const bytes = vectorToBytes(asVector(call.args[0]));
  // `address::from_bytes` has one error, EAddressParseError.
  if (bytes.length !== 32) call.abort(0, { module: 'address', functionName: 'from_bytes' });
  return `0x${toHex(bytes)}`;
}

const objectModule = nativeModule(
  SUI,
  'object',
  ['struct ID has copy, drop, store { bytes: address }', 'struct UID has store { id: ID }'],
  {
    'public fun id_to_bytes(id: &ID): vector<u8>': ({ args: [id] }) =>
      addressBytes(asAddress(field(at(id), 0))),
    'public fun id_to_address(id: &ID): address': ({ args: [id] }) => field(at(id), 0),
    'public fun id_from_bytes(bytes: vector<u8>): ID': (call) => idOf(idFromBytes(call)),
    'public fun id_from_address(bytes: address): ID': ({ args: [address] }) => struct(address as MoveValue),
    'public fun uid_as_inner(uid: &UID): &ID': ({ args: [uid] }) => part(uid, 0),
    'public fun uid_to_inner(uid: &UID): ID': ({ args: [uid] }) => idOf(idOfUid(at(uid))),
    'public fun uid_to_bytes(uid: &UID): vector<u8>': ({ args: [uid] }) => addressBytes(idOfUid(at(uid))),
    'public fun uid_to_address(uid: &UID): address': ({ args: [uid] }) => idOfUid(at(uid)),
    'public fun new(ctx: &mut TxContext): UID': newUid,
    'public fun delete(id: UID)': ({ args: [id], host }) => {
      host.deleted(idOfUid(id));
    },
    'public fun id<T: key>(obj: &T): ID': ({ args: [obj] }) => idOf(idOfObject(at(obj))),
    'public fun borrow_id<T: key>(obj: &T): &ID': ({ args: [obj] }) => part(part(obj, 0), 0),
    'public fun id_bytes<T: key>(obj: &T): vector<u8>': ({ args: [obj] }) =>
      addressBytes(idOfObject(at(obj))),
    'public fun id_address<T: key>(obj: &T): address': ({ args: [obj] }) => idOfObject(at(obj)),
  },
);

// --- sui::tx_context, transfer, event, clock -----------------------------------------------------------------------

/** The value that a `&mut TxContext` points at; its functions ask the host instead. */
export const txContext = (): MoveValue => struct();
/** `&TxContext` and `&mut TxContext` are given by the chain, not by the caller. */
export const isTxContextParameter = (type: Type): boolean =>
  type.kind === 'reference' && isDatatype(type.to, SUI, 'tx_context', 'TxContext');

const txContextModule = nativeModule(
  SUI,
  'tx_context',
  [
    'struct TxContext has drop { sender: address, tx_hash: vector<u8>, epoch: u64, epoch_timestamp_ms: u64, ids_created: u64 }',
  ],
  {
    'public fun sender(self: &TxContext): address': ({ host }) => host.sender,
    'public fun digest(self: &TxContext): &vector<u8>': ({ host }) =>
      place([bytesToVector(host.digestBytes)], 0),
    'public fun epoch(self: &TxContext): u64': ({ host }) => u64(host.epoch),
    'public fun epoch_timestamp_ms(self: &TxContext): u64': ({ host }) => u64(host.epochTimestampMs),
    'public fun sponsor(self: &TxContext): Option<address>': ({ host }) =>
      host.sponsor === undefined ? none() : some(host.sponsor),
    'public fun fresh_object_address(ctx: &mut TxContext): address': ({ host }) => host.freshId(),
    'public fun reference_gas_price(self: &TxContext): u64': ({ host }) => u64(host.referenceGasPrice),
    'public fun gas_price(self: &TxContext): u64': ({ host }) => u64(host.gasPrice),
  },
);

const transferTo: NativeBody = ({ args: [object, recipient], typeArgs, host }) => {
  host.transfer(typeArgs[0] as Type, object as MoveValue, {
    kind: 'address',
    address: asAddress(recipient),
  });
};
const freeze: NativeBody = ({ args: [object], typeArgs, host }) => {
  host.transfer(typeArgs[0] as Type, object as MoveValue, { kind: 'immutable' });
};
const SHARED_NON_NEW_OBJECT = 0;
const share: NativeBody = (call) => {
  const object = call.args[0] as MoveValue;
  if (!call.host.mayShare(idOfObject(object)))
    call.abort(SHARED_NON_NEW_OBJECT, { functionName: 'share_object_impl' });
  call.host.transfer(call.typeArgs[0] as Type, object, { kind: 'shared', initialVersion: undefined });
};

const transferModule = nativeModule(SUI, 'transfer', [], {
  'public fun transfer<T: key>(obj: T, recipient: address)': transferTo,
  'public fun public_transfer<T: key + store>(obj: T, recipient: address)': transferTo,
  'public fun freeze_object<T: key>(obj: T)': freeze,
  'public fun public_freeze_object<T: key + store>(obj: T)': freeze,
  'public fun share_object<T: key>(obj: T)': share,
  'public fun public_share_object<T: key + store>(obj: T)': share,
});

const eventModule = nativeModule(SUI, 'event', [], {
  'public fun emit<T: copy + drop>(event: T)': ({ args: [event], typeArgs, host }) => {
    host.emit(typeArgs[0] as Type, event as MoveValue);
  },
});

const clockModule = nativeModule(SUI, 'clock', ['struct Clock has key { id: UID, timestamp_ms: u64 }'], {
  'public fun timestamp_ms(clock: &Clock): u64': ({ args: [clock] }) => field(at(clock), 1),
});

// --- sui::balance, coin ---------------------------------------------------------------------------------------------

const BALANCE_NON_ZERO = 0;
const BALANCE_NOT_ENOUGH = 2;
const COIN_INVALID_ARGUMENT = 1;
const COIN_NOT_ENOUGH = 2;

export const amountOf = (balance: MoveValue | undefined): bigint => asInteger(field(balance, 0)).value;
export const balanceOf = (amount: bigint): MoveValue => struct(u64(amount));
export const coinBalance = (coin: MoveValue | undefined): bigint => amountOf(field(coin, 1));
export const coinWith = (id: string, amount: bigint): MoveValue => struct(uidOf(id), balanceOf(amount));

function addTo(call: NativeCall, balance: MoveReference, amount: bigint): bigint {
  const sum = amountOf(at(balance)) + amount;
  if (sum > U64_MAX) call.fault('arithmetic out of range');
  put(balance, balanceOf(sum));
  return sum;
}

function takeFrom(call: NativeCall, balance: MoveReference, amount: bigint): MoveValue {
  const left = amountOf(at(balance)) - amount;
  if (left < 0n) call.abort(BALANCE_NOT_ENOUGH, { module: 'balance', functionName: 'split' });
  put(balance, balanceOf(left));
  return balanceOf(amount);
}

const wanted = (value: MoveValue | undefined): bigint => asInteger(value).value;

const balanceModule = nativeModule(
  SUI,
  'balance',
  ['struct Supply<phantom T> has store { value: u64 }', 'struct Balance<phantom T> has store { value: u64 }'],
  {
    'public fun value<T>(self: &Balance<T>): u64': ({ args: [self] }) => field(at(self), 0),
    'public fun zero<T>(): Balance<T>': () => balanceOf(0n),
    'public fun join<T>(self: &mut Balance<T>, balance: Balance<T>): u64': (call) =>
      u64(addTo(call, call.args[0] as MoveReference, amountOf(call.args[1]))),
    'public fun split<T>(self: &mut Balance<T>, value: u64): Balance<T>': (call) =>
      takeFrom(call, call.args[0] as MoveReference, wanted(call.args[1])),
    'public fun withdraw_all<T>(self: &mut Balance<T>): Balance<T>': (call) =>
      takeFrom(call, call.args[0] as MoveReference, amountOf(at(call.args[0]))),
    'public fun destroy_zero<T>(balance: Balance<T>)': (call) => {
      if (amountOf(call.args[0]) !== 0n) call.abort(BALANCE_NON_ZERO);
    },
  },
);

const coinModule = nativeModule(
  SUI,
  'coin',
  ['struct Coin<phantom T> has key, store { id: UID, balance: Balance<T> }'],
  {
    'public fun value<T>(self: &Coin<T>): u64': ({ args: [self] }) => u64(coinBalance(at(self))),
    'public fun balance<T>(coin: &Coin<T>): &Balance<T>': ({ args: [coin] }) => part(coin, 1),
    'public fun balance_mut<T>(coin: &mut Coin<T>): &mut Balance<T>': ({ args: [coin] }) => part(coin, 1),
    'public fun from_balance<T>(balance: Balance<T>, ctx: &mut TxContext): Coin<T>': (call) =>
      struct(newUid(call), call.args[0] as MoveValue),
    'public fun into_balance<T>(coin: Coin<T>): Balance<T>': ({ args: [coin], host }) => {
      host.deleted(idOfObject(coin));
      return field(coin, 1);
    },
    'public fun take<T>(balance: &mut Balance<T>, value: u64, ctx: &mut TxContext): Coin<T>': (call) => {
      // The framework makes the UID first: were the order another, so would be the ids.
      const uid = newUid(call);
      return struct(uid, takeFrom(call, call.args[0] as MoveReference, wanted(call.args[1])));
    },
    'public fun put<T>(balance: &mut Balance<T>, coin: Coin<T>)': (call) => {
      call.host.deleted(idOfObject(call.args[1]));
      addTo(call, call.args[0] as MoveReference, coinBalance(call.args[1]));
    },
    'public entry fun join<T>(self: &mut Coin<T>, c: Coin<T>)': (call) => {
      call.host.deleted(idOfObject(call.args[1]));
      addTo(call, part(call.args[0], 1), coinBalance(call.args[1]));
    },
    'public fun split<T>(self: &mut Coin<T>, split_amount: u64, ctx: &mut TxContext): Coin<T>': (call) => {
      const uid = newUid(call);
      return struct(uid, takeFrom(call, part(call.args[0], 1), wanted(call.args[1])));
    },
    'public fun divide_into_n<T>(self: &mut Coin<T>, n: u64, ctx: &mut TxContext): vector<Coin<T>>': (
      call,
    ) => {
      const n = wanted(call.args[1]);
      const balance = part(call.args[0], 1);
      const total = amountOf(at(balance));
      if (n === 0n) call.abort(COIN_INVALID_ARGUMENT);
      if (n > total) call.abort(COIN_NOT_ENOUGH);
      const coins: MoveValue[] = [];
      for (let index = 1n; index < n; index++)
        coins.push(struct(newUid(call), takeFrom(call, balance, total / n)));
      return vector(coins);
    },
    'public fun zero<T>(ctx: &mut TxContext): Coin<T>': (call) => struct(newUid(call), balanceOf(0n)),
    'public fun destroy_zero<T>(c: Coin<T>)': (call) => {
      call.host.deleted(idOfObject(call.args[0]));
      if (coinBalance(call.args[0]) !== 0n)
        call.abort(BALANCE_NON_ZERO, { module: 'balance', functionName: 'destroy_zero' });
    },
  },
);

// --- sui::dynamic_field, table ----------------------------------------------------------------------------------------

const FIELD_ALREADY_EXISTS = 0;
const FIELD_DOES_NOT_EXIST = 1;
const FIELD_TYPE_MISMATCH = 2;
const TABLE_NOT_EMPTY = 0;
const IN_DYNAMIC_FIELD = { module: 'dynamic_field' } as const;

/** `Field<Name, Value> { id, name, value }`, the object in which a dynamic field lives. */
export const fieldType = (name: Type, value: Type): Type =>
  datatype(SUI, 'dynamic_field', 'Field', [name, value]);

interface FieldKey {
  readonly parent: string;
  readonly id: string;
  readonly name: MoveValue;
  readonly type: Type;
}

function fieldKey(call: NativeCall, parent: string, name: MoveValue | undefined): FieldKey {
  const [nameType, valueType] = call.typeArgs as [Type, Type | undefined];
  const bytes = encode(name as MoveValue, nameType, call.definitions);
  return {
    parent,
    id: deriveDynamicFieldID(parent, formatType(nameType), bytes),
    name: name as MoveValue,
    type: fieldType(nameType, valueType ?? { kind: 'bool' }),
  };
}

function addField(call: NativeCall, key: FieldKey, value: MoveValue | undefined): void {
  if (call.host.hasChild(key.parent, key.id))
    call.abort(FIELD_ALREADY_EXISTS, { ...IN_DYNAMIC_FIELD, functionName: 'add' });
  call.host.created(key.id);
  call.host.addChild(key.parent, key.id, key.type, struct(uidOf(key.id), key.name, value as MoveValue));
}

function borrowField(call: NativeCall, key: FieldKey, functionName: string): MoveReference {
  const where = { ...IN_DYNAMIC_FIELD, functionName };
  const child = call.host.borrowChild(key.parent, key.id) ?? call.abort(FIELD_DOES_NOT_EXIST, where);
  if (formatType(child.type) !== formatType(key.type)) call.abort(FIELD_TYPE_MISMATCH, where);
  return place(asStruct(at(child.place)).fields, 2);
}

function removeField(call: NativeCall, key: FieldKey): MoveValue {
  borrowField(call, key, 'remove_child_object');
  const value = field(call.host.removeChild(key.parent, key.id), 2);
  call.host.deleted(key.id);
  return value;
}

const uidKey = (call: NativeCall): FieldKey => fieldKey(call, idOfUid(at(call.args[0])), call.args[1]);
const hasField = (call: NativeCall, key: FieldKey): boolean => call.host.hasChild(key.parent, key.id);
const hasFieldOfType = (call: NativeCall, key: FieldKey): boolean => {
  const child = call.host.borrowChild(key.parent, key.id);
  return child !== undefined && formatType(child.type) === formatType(key.type);
};

const dynamicFieldModule = nativeModule(
  SUI,
  'dynamic_field',
  ['struct Field<Name: copy + drop + store, Value: store> has key { id: UID, name: Name, value: Value }'],
  {
    'public fun add<Name: copy + drop + store, Value: store>(object: &mut UID, name: Name, value: Value)': (
      call,
    ) => {
      addField(call, uidKey(call), call.args[2]);
    },
    'public fun borrow<Name: copy + drop + store, Value: store>(object: &UID, name: Name): &Value': (call) =>
      borrowField(call, uidKey(call), 'borrow_child_object'),
    'public fun borrow_mut<Name: copy + drop + store, Value: store>(object: &mut UID, name: Name): &mut Value':
      (call) => borrowField(call, uidKey(call), 'borrow_child_object_mut'),
    'public fun remove<Name: copy + drop + store, Value: store>(object: &mut UID, name: Name): Value': (
      call,
    ) => removeField(call, uidKey(call)),
    'public fun exists_<Name: copy + drop + store>(object: &UID, name: Name): bool': (call) =>
      hasField(call, uidKey(call)),
    'public fun remove_if_exists<Name: copy + drop + store, Value: store>(object: &mut UID, name: Name): Option<Value>':
      (call) => (hasField(call, uidKey(call)) ? some(removeField(call, uidKey(call))) : none()),
    'public fun exists_with_type<Name: copy + drop + store, Value: store>(object: &UID, name: Name): bool': (
      call,
    ) => hasFieldOfType(call, uidKey(call)),
  },
);

/** The table's own UID is the parent of its entries; its second field counts them. */
const tableKey = (call: NativeCall): FieldKey => fieldKey(call, idOfObject(at(call.args[0])), call.args[1]);
const tableSize = (table: MoveValue | undefined): bigint => asInteger(field(at(table), 1)).value;
const resize = (call: NativeCall, by: bigint): void =>
  put(part(call.args[0], 1), u64(tableSize(call.args[0]) + by));

const tableModule = nativeModule(
  SUI,
  'table',
  ['struct Table<phantom K: copy + drop + store, phantom V: store> has key, store { id: UID, size: u64 }'],
  {
    'public fun new<K: copy + drop + store, V: store>(ctx: &mut TxContext): Table<K, V>': (call) =>
      struct(newUid(call), u64(0)),
    'public fun add<K: copy + drop + store, V: store>(table: &mut Table<K, V>, k: K, v: V)': (call) => {
      addField(call, tableKey(call), call.args[2]);
      resize(call, 1n);
    },
    'public fun borrow<K: copy + drop + store, V: store>(table: &Table<K, V>, k: K): &V': (call) =>
      borrowField(call, tableKey(call), 'borrow_child_object'),
    'public fun borrow_mut<K: copy + drop + store, V: store>(table: &mut Table<K, V>, k: K): &mut V': (
      call,
    ) => borrowField(call, tableKey(call), 'borrow_child_object_mut'),
    'public fun remove<K: copy + drop + store, V: store>(table: &mut Table<K, V>, k: K): V': (call) => {
      const value = removeField(call, tableKey(call));
      resize(call, -1n);
      return value;
    },
    'public fun contains<K: copy + drop + store, V: store>(table: &Table<K, V>, k: K): bool': (call) =>
      hasFieldOfType(call, tableKey(call)),
    'public fun length<K: copy + drop + store, V: store>(table: &Table<K, V>): u64': ({ args: [table] }) =>
      u64(tableSize(table)),
    'public fun is_empty<K: copy + drop + store, V: store>(table: &Table<K, V>): bool': ({ args: [table] }) =>
      tableSize(table) === 0n,
    'public fun destroy_empty<K: copy + drop + store, V: store>(table: Table<K, V>)': (call) => {
      if (asInteger(field(call.args[0], 1)).value !== 0n) call.abort(TABLE_NOT_EMPTY);
      call.host.deleted(idOfObject(call.args[0]));
    },
    'public fun drop<K: copy + drop + store, V: drop + store>(table: Table<K, V>)': (call) => {
      call.host.deleted(idOfObject(call.args[0]));
    },
  },
);

// --- sui::vec_set, vec_map ----------------------------------------------------------------------------------------------

const KEY_ALREADY_EXISTS = 0;
const KEY_DOES_NOT_EXIST = 1;
const MAP_NOT_EMPTY = 2;

const contents = (reference: MoveValue | undefined): MoveValue[] => asVector(field(at(reference), 0)).items;
const setIndex = (set: MoveValue | undefined, key: MoveValue): number =>
  contents(set).findIndex((item) => equals(item, key));
const mapIndex = (map: MoveValue | undefined, key: MoveValue): number =>
  contents(map).findIndex((entry) => equals(field(entry, 0), key));

const vecSetModule = nativeModule(
  SUI,
  'vec_set',
  ['struct VecSet<K: copy + drop> has copy, drop, store { contents: vector<K> }'],
  {
    'public fun empty<K: copy + drop>(): VecSet<K>': () => struct(vector([])),
    'public fun singleton<K: copy + drop>(key: K): VecSet<K>': ({ args: [key] }) =>
      struct(vector([key as MoveValue])),
    'public fun insert<K: copy + drop>(self: &mut VecSet<K>, key: K)': (call) => {
      if (setIndex(call.args[0], call.args[1] as MoveValue) >= 0) call.abort(KEY_ALREADY_EXISTS);
      contents(call.args[0]).push(call.args[1] as MoveValue);
    },
    'public fun remove<K: copy + drop>(self: &mut VecSet<K>, key: &K)': (call) => {
      const index = setIndex(call.args[0], at(call.args[1]));
      if (index < 0) call.abort(KEY_DOES_NOT_EXIST);
      contents(call.args[0]).splice(index, 1);
    },
    'public fun contains<K: copy + drop>(self: &VecSet<K>, key: &K): bool': ({ args: [self, key] }) =>
      setIndex(self, at(key)) >= 0,
    'public fun length<K: copy + drop>(self: &VecSet<K>): u64': ({ args: [self] }) =>
      u64(contents(self).length),
    'public fun is_empty<K: copy + drop>(self: &VecSet<K>): bool': ({ args: [self] }) =>
      contents(self).length === 0,
    'public fun into_keys<K: copy + drop>(self: VecSet<K>): vector<K>': ({ args: [self] }) => field(self, 0),
    'public fun from_keys<K: copy + drop>(keys: vector<K>): VecSet<K>': (call) => {
      const { items } = asVector(call.args[0]);
      items.forEach((key, index) => {
        if (items.findIndex((other) => equals(other, key)) !== index)
          call.abort(KEY_ALREADY_EXISTS, { functionName: 'insert' });
      });
      return struct(vector(items));
    },
    'public fun keys<K: copy + drop>(self: &VecSet<K>): &vector<K>': ({ args: [self] }) => part(self, 0),
    'public fun size<K: copy + drop>(self: &VecSet<K>): u64': ({ args: [self] }) =>
      u64(contents(self).length),
  },
);

function mapValue(call: NativeCall): MoveValue {
  const index = mapIndex(call.args[0], at(call.args[1]));
  // The framework looks the key up in `get_idx`, and that is where it aborts.
  if (index < 0) call.abort(KEY_DOES_NOT_EXIST, { functionName: 'get_idx' });
  return place(asStruct(contents(call.args[0])[index]).fields, 1);
}

const vecMapModule = nativeModule(
  SUI,
  'vec_map',
  [
    'struct VecMap<K: copy, V> has copy, drop, store { contents: vector<Entry<K, V>> }',
    'struct Entry<K: copy, V> has copy, drop, store { key: K, value: V }',
  ],
  {
    'public fun empty<K: copy, V>(): VecMap<K, V>': () => struct(vector([])),
    'public fun insert<K: copy, V>(self: &mut VecMap<K, V>, key: K, value: V)': (call) => {
      const [, key, value] = call.args as [MoveValue, MoveValue, MoveValue];
      if (mapIndex(call.args[0], key) >= 0) call.abort(KEY_ALREADY_EXISTS);
      contents(call.args[0]).push(struct(key, value));
    },
    'public fun remove<K: copy, V>(self: &mut VecMap<K, V>, key: &K): (K, V)': (call) => {
      const index = mapIndex(call.args[0], at(call.args[1]));
      if (index < 0) call.abort(KEY_DOES_NOT_EXIST, { functionName: 'get_idx' });
      return asStruct(contents(call.args[0]).splice(index, 1)[0]).fields;
    },
    'public fun get_mut<K: copy, V>(self: &mut VecMap<K, V>, key: &K): &mut V': mapValue,
    'public fun get<K: copy, V>(self: &VecMap<K, V>, key: &K): &V': mapValue,
    'public fun try_get<K: copy, V: copy>(self: &VecMap<K, V>, key: &K): Option<V>': ({
      args: [self, key],
    }) => {
      const index = mapIndex(self, at(key));
      return index < 0 ? none() : some(copy(field(contents(self)[index], 1)));
    },
    'public fun contains<K: copy, V>(self: &VecMap<K, V>, key: &K): bool': ({ args: [self, key] }) =>
      mapIndex(self, at(key)) >= 0,
    'public fun length<K: copy, V>(self: &VecMap<K, V>): u64': ({ args: [self] }) =>
      u64(contents(self).length),
    'public fun is_empty<K: copy, V>(self: &VecMap<K, V>): bool': ({ args: [self] }) =>
      contents(self).length === 0,
    'public fun destroy_empty<K: copy, V>(self: VecMap<K, V>)': (call) => {
      if (asVector(field(call.args[0], 0)).items.length > 0) call.abort(MAP_NOT_EMPTY);
    },
    'public fun keys<K: copy, V>(self: &VecMap<K, V>): vector<K>': ({ args: [self] }) =>
      vector(contents(self).map((entry) => copy(field(entry, 0)))),
    'public fun size<K: copy, V>(self: &VecMap<K, V>): u64': ({ args: [self] }) => u64(contents(self).length),
  },
);

// --- sui::hex, address, package -------------------------------------------------------------------------------------------

const HEX_LENGTH = 0;
const HEX_CHARACTER = 1;
const text = (value: MoveValue | undefined): string =>
  Buffer.from(vectorToBytes(asVector(value))).toString('latin1');

const hexModule = nativeModule(SUI, 'hex', [], {
  'public fun encode(bytes: vector<u8>): vector<u8>': ({ args: [bytes] }) =>
    bytesToVector(Buffer.from(toHex(vectorToBytes(asVector(bytes))), 'latin1')),
  'public fun decode(hex: vector<u8>): vector<u8>': (call) => {
    const hex = text(call.args[0]);
    if (hex.length % 2 !== 0) call.abort(HEX_LENGTH);
    if (!/^[0-9a-fA-F]*$/.test(hex)) call.abort(HEX_CHARACTER, { functionName: 'decode_byte' });
    return bytesToVector(Buffer.from(hex, 'hex'));
  },
});

const addressModule = nativeModule(SUI, 'address', [], {
  'public fun from_bytes(bytes: vector<u8>): address': idFromBytes,
  'public fun to_bytes(a: address): vector<u8>': ({ args: [a] }) => addressBytes(asAddress(a)),
  'public fun to_string(a: address): String': ({ args: [a] }) =>
    struct(bytesToVector(Buffer.from(asAddress(a).slice(2), 'latin1'))),
  'public fun length(): u64': () => u64(32),
});

const ADDITIVE = 128;
const DEPENDENCIES_ONLY = 192;
const TOO_PERMISSIVE = 1;

/** The capability that `Publish` returns. */
export const UPGRADE_CAP_TYPE = datatype(SUI, 'package', 'UpgradeCap');
export const upgradeCap = (id: string, packageId: string): MoveValue =>
  struct(uidOf(id), idOf(packageId), u64(1), u8(0));

const restrictTo =
  (policy: number): NativeBody =>
  (call) => {
    const held = part(call.args[0], 3);
    if (asInteger(at(held)).value > BigInt(policy)) call.abort(TOO_PERMISSIVE, { functionName: 'restrict' });
    put(held, u8(policy));
  };

const packageModule = nativeModule(
  SUI,
  'package',
  ['struct UpgradeCap has key, store { id: UID, package: ID, version: u64, policy: u8 }'],
  {
    'public fun upgrade_package(cap: &UpgradeCap): ID': ({ args: [cap] }) => copy(field(at(cap), 1)),
    'public fun version(cap: &UpgradeCap): u64': ({ args: [cap] }) => field(at(cap), 2),
    'public fun upgrade_policy(cap: &UpgradeCap): u8': ({ args: [cap] }) => field(at(cap), 3),
    'public entry fun only_additive_upgrades(cap: &mut UpgradeCap)': restrictTo(ADDITIVE),
    'public entry fun only_dep_upgrades(cap: &mut UpgradeCap)': restrictTo(DEPENDENCIES_ONLY),
    'public entry fun make_immutable(cap: UpgradeCap)': ({ args: [cap], host }) => {
      host.deleted(idOfObject(cap));
    },
  },
);

const suiModule = nativeModule(SUI, 'sui', ['struct SUI has drop { dummy_field: bool }'], {});

/** The modules at 0x1 and 0x2 that exist here. */
export const FRAMEWORK: readonly NativeModule[] = [
  ...STANDARD_LIBRARY,
  objectModule,
  txContextModule,
  transferModule,
  eventModule,
  clockModule,
  suiModule,
  balanceModule,
  coinModule,
  dynamicFieldModule,
  tableModule,
  vecSetModule,
  vecMapModule,
  hexModule,
  addressModule,
  packageModule,
];

const key = (address: string, module: string, name: string): string => `${address}::${module}::${name}`;

const FUNCTIONS: ReadonlyMap<string, NativeFunction> = new Map(
  FRAMEWORK.flatMap((module) =>
    module.functions.map((native) => [key(module.address, module.name, native.signature.name), native]),
  ),
);
const DATATYPES: ReadonlyMap<string, DatatypeDefinition> = new Map(
  FRAMEWORK.flatMap((module) =>
    module.datatypes.map((definition) => [key(module.address, module.name, definition.name), definition]),
  ),
);

export const frameworkFunction = (
  address: string,
  module: string,
  name: string,
): NativeFunction | undefined => FUNCTIONS.get(key(address, module, name));
export const frameworkDatatype = (
  address: string,
  module: string,
  name: string,
): DatatypeDefinition | undefined => DATATYPES.get(key(address, module, name));

export const FRAMEWORK_ADDRESSES: readonly string[] = [STD, SUI];
export { ZERO_ADDRESS };
