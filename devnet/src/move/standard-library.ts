import { createHash } from 'node:crypto';
import { encode } from './codec.ts';
import { type NativeBody, type NativeCall, type NativeModule, nativeModule } from './native.ts';
import { STD, type Type } from './types.ts';
import {
  asInteger,
  asVector,
  at,
  bytesToVector,
  copy,
  equals,
  field,
  type MoveReference,
  type MoveValue,
  type MoveVector,
  place,
  struct,
  u64,
  vector,
  vectorToBytes,
} from './values.ts';

/** The abort codes of Move's standard library, under the names its sources give them. */
const OPTION_IS_SET = 0x40000;
const OPTION_NOT_SET = 0x40001;
const INDEX_OUT_OF_BOUNDS = 0x20000;
const INVALID_UTF8 = 1;
const INVALID_INDEX = 2;
const INVALID_ASCII = 0x10000;

export const none = (): MoveValue => struct(vector([]));
export const some = (value: MoveValue): MoveValue => struct(vector([value]));

const items = (reference: MoveValue | undefined): MoveValue[] => asVector(at(reference)).items;
const count = (value: MoveValue | undefined): number => Number(asInteger(value).value);
/** The place of the vector inside an Option, a String or the like. */
const inner = (reference: MoveValue | undefined): MoveReference => {
  const { fields } = at(reference) as { fields: MoveValue[] };
  return place(fields, 0);
};
const optionItems = (reference: MoveValue | undefined): MoveValue[] => items(inner(reference));
const indexOf = (list: readonly MoveValue[], wanted: MoveValue): number =>
  list.findIndex((item) => equals(item, wanted));
const isUtf8 = (bytes: Uint8Array): boolean => {
  try {
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
};
const isBoundary = (bytes: readonly MoveValue[], index: number): boolean =>
  index === bytes.length || (index < bytes.length && (count(bytes[index]) & 0xc0) !== 0x80);

function checkedItem(call: NativeCall): MoveReference {
  const list = items(call.args[0]);
  const index = count(call.args[1]);
  return index < list.length ? place(list, index) : call.fault('an index out of bounds');
}

const hashWith =
  (algorithm: string): NativeBody =>
  ({ args: [data] }) =>
    bytesToVector(
      createHash(algorithm)
        .update(vectorToBytes(asVector(data)))
        .digest(),
    );

const vectorModule = nativeModule(STD, 'vector', [], {
  'public fun empty<T>(): vector<T>': () => vector([]),
  'public fun length<T>(v: &vector<T>): u64': ({ args: [v] }) => u64(items(v).length),
  'public fun borrow<T>(v: &vector<T>, i: u64): &T': checkedItem,
  'public fun push_back<T>(v: &mut vector<T>, e: T)': ({ args: [v, e] }) => {
    items(v).push(e as MoveValue);
  },
  'public fun borrow_mut<T>(v: &mut vector<T>, i: u64): &mut T': checkedItem,
  'public fun pop_back<T>(v: &mut vector<T>): T': (call) =>
    items(call.args[0]).pop() ?? call.fault('a pop from an empty vector'),
  'public fun destroy_empty<T>(v: vector<T>)': (call) => {
    if (asVector(call.args[0]).items.length > 0) call.fault('a vector that is not empty');
  },
  'public fun swap<T>(v: &mut vector<T>, i: u64, j: u64)': (call) => {
    const list = items(call.args[0]);
    const [i, j] = [count(call.args[1]), count(call.args[2])];
    const [left, right] = [list[i], list[j]];
    if (left === undefined || right === undefined) return call.fault('an index out of bounds');
    list[i] = right;
    list[j] = left;
  },
  'public fun singleton<T>(e: T): vector<T>': ({ args: [e] }) => vector([e as MoveValue]),
  'public fun reverse<T>(v: &mut vector<T>)': ({ args: [v] }) => {
    items(v).reverse();
  },
  'public fun append<T>(lhs: &mut vector<T>, other: vector<T>)': ({ args: [lhs, other] }) => {
    items(lhs).push(...asVector(other).items);
  },
  'public fun is_empty<T>(v: &vector<T>): bool': ({ args: [v] }) => items(v).length === 0,
  'public fun contains<T>(v: &vector<T>, e: &T): bool': ({ args: [v, e] }) => indexOf(items(v), at(e)) >= 0,
  'public fun index_of<T>(v: &vector<T>, e: &T): (bool, u64)': ({ args: [v, e] }) => {
    const index = indexOf(items(v), at(e));
    return [index >= 0, u64(Math.max(index, 0))];
  },
  'public fun remove<T>(v: &mut vector<T>, i: u64): T': (call) => {
    const [removed] = items(call.args[0]).splice(count(call.args[1]), 1);
    return removed ?? call.abort(INDEX_OUT_OF_BOUNDS);
  },
  'public fun insert<T>(v: &mut vector<T>, e: T, i: u64)': (call) => {
    const list = items(call.args[0]);
    const index = count(call.args[2]);
    if (index > list.length) call.abort(INDEX_OUT_OF_BOUNDS);
    list.splice(index, 0, call.args[1] as MoveValue);
  },
  'public fun swap_remove<T>(v: &mut vector<T>, i: u64): T': (call) => {
    const list = items(call.args[0]);
    const index = count(call.args[1]);
    if (list.length === 0) call.abort(INDEX_OUT_OF_BOUNDS);
    const removed = list[index] ?? call.fault('an index out of bounds');
    const last = list.pop() as MoveValue;
    if (index < list.length) list[index] = last;
    return removed;
  },
  'public fun flatten<T>(v: vector<vector<T>>): vector<T>': ({ args: [v] }) =>
    vector(asVector(v).items.flatMap((item) => asVector(item).items)),
});

const optionModule = nativeModule(
  STD,
  'option',
  ['struct Option<Element> has copy, drop, store { vec: vector<Element> }'],
  {
    'public fun none<Element>(): Option<Element>': none,
    'public fun some<Element>(e: Element): Option<Element>': ({ args: [e] }) => some(e as MoveValue),
    'public fun is_none<Element>(t: &Option<Element>): bool': ({ args: [t] }) => optionItems(t).length === 0,
    'public fun is_some<Element>(t: &Option<Element>): bool': ({ args: [t] }) => optionItems(t).length > 0,
    'public fun contains<Element>(t: &Option<Element>, e_ref: &Element): bool': ({ args: [t, e] }) =>
      indexOf(optionItems(t), at(e)) >= 0,
    'public fun borrow<Element>(t: &Option<Element>): &Element': borrowSome,
    'public fun borrow_mut<Element>(t: &mut Option<Element>): &mut Element': borrowSome,
    'public fun borrow_with_default<Element>(t: &Option<Element>, default_ref: &Element): &Element': ({
      args: [t, fallback],
    }) => (optionItems(t).length > 0 ? place(optionItems(t), 0) : (fallback as MoveValue)),
    'public fun get_with_default<Element: copy + drop>(t: &Option<Element>, default: Element): Element': ({
      args: [t, fallback],
    }) => {
      const [held] = optionItems(t);
      return held === undefined ? (fallback as MoveValue) : copy(held);
    },
    'public fun fill<Element>(t: &mut Option<Element>, e: Element)': (call) => {
      const held = optionItems(call.args[0]);
      if (held.length > 0) call.abort(OPTION_IS_SET);
      held.push(call.args[1] as MoveValue);
    },
    'public fun extract<Element>(t: &mut Option<Element>): Element': (call) =>
      optionItems(call.args[0]).pop() ?? call.abort(OPTION_NOT_SET),
    'public fun swap<Element>(t: &mut Option<Element>, e: Element): Element': (call) => {
      const held = optionItems(call.args[0]);
      const old = held.pop() ?? call.abort(OPTION_NOT_SET);
      held.push(call.args[1] as MoveValue);
      return old;
    },
    'public fun swap_or_fill<Element>(t: &mut Option<Element>, e: Element): Option<Element>': ({
      args: [t, e],
    }) => {
      const held = optionItems(t);
      const old = held.splice(0, 1);
      held.push(e as MoveValue);
      return struct(vector(old));
    },
    'public fun destroy_with_default<Element: drop>(t: Option<Element>, default: Element): Element': ({
      args: [t, fallback],
    }) => asVector(field(t, 0)).items[0] ?? (fallback as MoveValue),
    'public fun destroy_some<Element>(t: Option<Element>): Element': (call) =>
      asVector(field(call.args[0], 0)).items[0] ?? call.abort(OPTION_NOT_SET),
    'public fun destroy_none<Element>(t: Option<Element>)': (call) => {
      if (asVector(field(call.args[0], 0)).items.length > 0) call.abort(OPTION_IS_SET);
    },
    'public fun to_vec<Element>(t: Option<Element>): vector<Element>': ({ args: [t] }) => field(t, 0),
  },
);

function borrowSome(call: NativeCall): MoveValue {
  const held = optionItems(call.args[0]);
  return held.length > 0 ? place(held, 0) : call.abort(OPTION_NOT_SET);
}

function substring(call: NativeCall): MoveValue {
  const bytes = items(inner(call.args[0]));
  const [i, j] = [count(call.args[1]), count(call.args[2])];
  if (!(j <= bytes.length && i <= j && isBoundary(bytes, i) && isBoundary(bytes, j)))
    call.abort(INVALID_INDEX);
  return struct(vector(bytes.slice(i, j)));
}

const stringModule = nativeModule(
  STD,
  'string',
  ['struct String has copy, drop, store { bytes: vector<u8> }'],
  {
    'public fun utf8(bytes: vector<u8>): String': (call) => {
      if (!isUtf8(vectorToBytes(asVector(call.args[0])))) call.abort(INVALID_UTF8);
      return struct(call.args[0] as MoveValue);
    },
    'public fun try_utf8(bytes: vector<u8>): Option<String>': ({ args: [bytes] }) =>
      isUtf8(vectorToBytes(asVector(bytes))) ? some(struct(bytes as MoveValue)) : none(),
    'public fun as_bytes(s: &String): &vector<u8>': ({ args: [s] }) => inner(s),
    'public fun into_bytes(s: String): vector<u8>': ({ args: [s] }) => field(s, 0),
    'public fun is_empty(s: &String): bool': ({ args: [s] }) => items(inner(s)).length === 0,
    'public fun length(s: &String): u64': ({ args: [s] }) => u64(items(inner(s)).length),
    'public fun append(s: &mut String, r: String)': ({ args: [s, r] }) => {
      items(inner(s)).push(...asVector(field(r, 0)).items);
    },
    'public fun append_utf8(s: &mut String, bytes: vector<u8>)': (call) => {
      if (!isUtf8(vectorToBytes(asVector(call.args[1])))) call.abort(INVALID_UTF8, { functionName: 'utf8' });
      items(inner(call.args[0])).push(...asVector(call.args[1]).items);
    },
    'public fun insert(s: &mut String, at: u64, o: String)': (call) => {
      const bytes = items(inner(call.args[0]));
      const index = count(call.args[1]);
      if (!isBoundary(bytes, index)) call.abort(INVALID_INDEX);
      bytes.splice(index, 0, ...asVector(field(call.args[2], 0)).items);
    },
    'public fun substring(s: &String, i: u64, j: u64): String': substring,
    'public fun index_of(s: &String, r: &String): u64': ({ args: [s, r] }) => {
      const text = Buffer.from(vectorToBytes(at(inner(s)) as MoveVector));
      const found = text.indexOf(vectorToBytes(at(inner(r)) as MoveVector));
      return u64(found < 0 ? text.length : found);
    },
    'public fun from_ascii(s: AsciiString): String': ({ args: [s] }) => s as MoveValue,
    'public fun to_ascii(s: String): AsciiString': (call) => {
      if (vectorToBytes(asVector(field(call.args[0], 0))).some((byte) => byte > 0x7f))
        call.abort(INVALID_ASCII, { module: 'ascii', functionName: 'string' });
      return call.args[0] as MoveValue;
    },
    // Deprecated in the framework, still there.
    'public fun bytes(s: &String): &vector<u8>': ({ args: [s] }) => inner(s),
    'public fun sub_string(s: &String, i: u64, j: u64): String': substring,
  },
);

const asciiModule = nativeModule(
  STD,
  'ascii',
  ['struct AsciiString has copy, drop, store { bytes: vector<u8> }'],
  {
    'public fun string(bytes: vector<u8>): AsciiString': (call) => {
      if (vectorToBytes(asVector(call.args[0])).some((byte) => byte > 0x7f)) call.abort(INVALID_ASCII);
      return struct(call.args[0] as MoveValue);
    },
    'public fun length(string: &AsciiString): u64': ({ args: [s] }) => u64(items(inner(s)).length),
    'public fun as_bytes(string: &AsciiString): &vector<u8>': ({ args: [s] }) => inner(s),
    'public fun into_bytes(string: AsciiString): vector<u8>': ({ args: [s] }) => field(s, 0),
    'public fun is_empty(string: &AsciiString): bool': ({ args: [s] }) => items(inner(s)).length === 0,
    'public fun append(string: &mut AsciiString, other: AsciiString)': ({ args: [s, other] }) => {
      items(inner(s)).push(...asVector(field(other, 0)).items);
    },
  },
);

/**
 * The framework calls the type of `std::ascii` `String` too, which the declarations here cannot tell from the UTF-8
 * one: they say `AsciiString`, and this gives it back its name.
 */
function withAsciiString(module: NativeModule): NativeModule {
  return {
    ...module,
    datatypes: module.datatypes.map((definition) => ({
      ...definition,
      name: definition.name === 'AsciiString' ? 'String' : definition.name,
      body:
        definition.body.kind === 'struct'
          ? {
              ...definition.body,
              fields: definition.body.fields.map((one) => ({ ...one, type: plainAscii(one.type) })),
            }
          : definition.body,
    })),
    functions: module.functions.map((native) => ({
      ...native,
      signature: {
        ...native.signature,
        parameters: native.signature.parameters.map(plainAscii),
        returns: native.signature.returns.map(plainAscii),
      },
    })),
  };
}

function plainAscii(type: Type): Type {
  if (type.kind === 'reference') return { ...type, to: plainAscii(type.to) };
  return type.kind === 'datatype' && type.name === 'AsciiString' ? { ...type, name: 'String' } : type;
}

const bcsModule = nativeModule(STD, 'bcs', [], {
  'public fun to_bytes<MoveValue>(v: &MoveValue): vector<u8>': ({ args: [v], typeArgs, definitions }) =>
    bytesToVector(encode(at(v), typeArgs[0] as Type, definitions)),
});

const hashModule = nativeModule(STD, 'hash', [], {
  'public fun sha2_256(data: vector<u8>): vector<u8>': hashWith('sha256'),
  'public fun sha3_256(data: vector<u8>): vector<u8>': hashWith('sha3-256'),
});

/** Move's standard library (address 0x1), as far as it exists here. */
export const STANDARD_LIBRARY: readonly NativeModule[] = [
  vectorModule,
  optionModule,
  withAsciiString(stringModule),
  withAsciiString(asciiModule),
  bcsModule,
  hashModule,
];
