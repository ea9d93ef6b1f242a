import { deriveDynamicFieldID } from '@mysten/sui/utils';
import { encode } from './codec.ts';
import { type NativeCall, nativeModule } from './native.ts';
import { none, some } from './standard-library.ts';
import { idOfObject, idOfUid, newUid, part, uidOf } from './sui-objects.ts';
import { datatype, formatType, SUI, type Type } from './types.ts';
import {
  asInteger,
  asStruct,
  at,
  field,
  type MoveReference,
  type MoveValue,
  place,
  put,
  struct,
  u64,
} from './values.ts';

/** `sui::dynamic_field` and `table`: values kept in objects of their own, owned by another. */

const FIELD_ALREADY_EXISTS = 0;
const FIELD_DOES_NOT_EXIST = 1;
const FIELD_TYPE_MISMATCH = 2;
const TABLE_NOT_EMPTY = 0;
const IN_DYNAMIC_FIELD = { module: 'dynamic_field' } as const;

/** `Field<Name, Value> { id, name, value }`, the object in which a dynamic field lives. */
const fieldType = (name: Type, value: Type): Type => datatype(SUI, 'dynamic_field', 'Field', [name, value]);

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

export const dynamicFieldModule = nativeModule(
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

export const tableModule = nativeModule(
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
