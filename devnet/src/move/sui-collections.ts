import { type NativeCall, nativeModule } from './native.ts';
import { none, some } from './standard-library.ts';
import { part } from './sui-objects.ts';
import { SUI } from './types.ts';
import {
  asStruct,
  asVector,
  at,
  copy,
  equals,
  field,
  type MoveValue,
  place,
  struct,
  u64,
  vector,
} from './values.ts';

/** `sui::vec_set` and `vec_map`. */

const KEY_ALREADY_EXISTS = 0;
const KEY_DOES_NOT_EXIST = 1;
const MAP_NOT_EMPTY = 2;

const contents = (reference: MoveValue | undefined): MoveValue[] => asVector(field(at(reference), 0)).items;
const setIndex = (set: MoveValue | undefined, key: MoveValue): number =>
  contents(set).findIndex((item) => equals(item, key));
const mapIndex = (map: MoveValue | undefined, key: MoveValue): number =>
  contents(map).findIndex((entry) => equals(field(entry, 0), key));

export const vecSetModule = nativeModule(
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

export const vecMapModule = nativeModule(
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
