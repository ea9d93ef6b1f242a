/**
 * Values as the interpreter holds them. Vectors, structs and variants are mutable containers with an owner; a copy is
 * always deep. A reference is a place: a container and the index of the value in it.
 */
export type MoveValue =
  | boolean
  | string // an address: 0x and 64 hex digits
  | MoveInteger
  | MoveVector
  | MoveStruct
  | MoveVariant
  | MoveReference;

export type IntegerBits = 8 | 16 | 32 | 64 | 128 | 256;

/** Carries its width, since the arithmetic instructions do not say it. Never changed in place. */
export interface MoveInteger {
  readonly kind: 'integer';
  readonly bits: IntegerBits;
  readonly value: bigint;
}

export interface MoveVector {
  readonly kind: 'vector';
  readonly items: MoveValue[];
}

export interface MoveStruct {
  readonly kind: 'struct';
  readonly fields: MoveValue[];
}

export interface MoveVariant {
  readonly kind: 'variant';
  readonly tag: number;
  readonly fields: MoveValue[];
}

export interface MoveReference {
  readonly kind: 'reference';
  readonly container: MoveValue[];
  readonly index: number;
}

/** The machine met a value that verified bytecode could not have put there. */
export class MoveMachineError extends Error {
  override readonly name = 'MoveMachineError';
}

const BYTES: readonly MoveInteger[] = Array.from({ length: 256 }, (_, byte) => ({
  kind: 'integer',
  bits: 8,
  value: BigInt(byte),
}));

export function integer(bits: IntegerBits, value: bigint): MoveInteger {
  return bits === 8 ? (BYTES[Number(value)] as MoveInteger) : { kind: 'integer', bits, value };
}

export const u8 = (value: number | bigint): MoveInteger => integer(8, BigInt(value));
export const u64 = (value: number | bigint): MoveInteger => integer(64, BigInt(value));
export const vector = (items: MoveValue[]): MoveVector => ({ kind: 'vector', items });
export const struct = (...fields: MoveValue[]): MoveStruct => ({ kind: 'struct', fields });
export const place = (container: MoveValue[], index: number): MoveReference => ({
  kind: 'reference',
  container,
  index,
});

export const bytesToVector = (bytes: Uint8Array): MoveVector => vector(Array.from(bytes, (byte) => u8(byte)));
export const vectorToBytes = (value: MoveVector): Uint8Array =>
  Uint8Array.from(value.items, (item) => Number(asInteger(item).value));

function wrong(expected: string, value: MoveValue | undefined): MoveMachineError {
  const kind = typeof value === 'object' ? value.kind : typeof value;
  return new MoveMachineError(`expected ${expected}, found ${kind}`);
}

export function asInteger(value: MoveValue | undefined): MoveInteger {
  if (typeof value === 'object' && value.kind === 'integer') return value;
  throw wrong('an integer', value);
}

export function asBoolean(value: MoveValue | undefined): boolean {
  if (typeof value === 'boolean') return value;
  throw wrong('a bool', value);
}

export function asAddress(value: MoveValue | undefined): string {
  if (typeof value === 'string') return value;
  throw wrong('an address', value);
}

export function asVector(value: MoveValue | undefined): MoveVector {
  if (typeof value === 'object' && value.kind === 'vector') return value;
  throw wrong('a vector', value);
}

export function asStruct(value: MoveValue | undefined): MoveStruct {
  if (typeof value === 'object' && value.kind === 'struct') return value;
  throw wrong('a struct', value);
}

export function asVariant(value: MoveValue | undefined): MoveVariant {
  if (typeof value === 'object' && value.kind === 'variant') return value;
  throw wrong('an enum', value);
}

function asReference(value: MoveValue | undefined): MoveReference {
  if (typeof value === 'object' && value.kind === 'reference') return value;
  throw wrong('a reference', value);
}

/** What stands at a place; the place itself, not a copy. */
export function at(reference: MoveValue | undefined): MoveValue {
  const { container, index } = asReference(reference);
  const value = container[index];
  if (value === undefined) throw new MoveMachineError('a reference to a value that has moved away');
  return value;
}

/** Replaces what stands at a place. */
export function put(reference: MoveValue | undefined, value: MoveValue): void {
  const { container, index } = asReference(reference);
  container[index] = value;
}

/** Field `index` of a struct, which must be there. */
export function field(value: MoveValue | undefined, index: number): MoveValue {
  const found = asStruct(value).fields[index];
  if (found === undefined) throw new MoveMachineError(`no field ${index}`);
  return found;
}

export function copy(value: MoveValue): MoveValue {
  if (typeof value !== 'object') return value;
  switch (value.kind) {
    case 'vector':
      return vector(value.items.map(copy));
    case 'struct':
      return { kind: 'struct', fields: value.fields.map(copy) };
    case 'variant':
      return { kind: 'variant', tag: value.tag, fields: value.fields.map(copy) };
    default:
      return value;
  }
}

/** Move's `==`: by content; references are followed. */
export function equals(left: MoveValue, right: MoveValue): boolean {
  if (typeof left !== 'object' || typeof right !== 'object') return left === right;
  if (left.kind === 'reference') return equals(at(left), right.kind === 'reference' ? at(right) : right);
  switch (left.kind) {
    case 'integer':
      return right.kind === 'integer' && left.value === right.value;
    case 'vector':
      return right.kind === 'vector' && areAllEqual(left.items, right.items);
    case 'struct':
      return right.kind === 'struct' && areAllEqual(left.fields, right.fields);
    case 'variant':
      return right.kind === 'variant' && left.tag === right.tag && areAllEqual(left.fields, right.fields);
  }
}

const areAllEqual = (left: readonly MoveValue[], right: readonly MoveValue[]): boolean =>
  left.length === right.length && left.every((value, index) => equals(value, right[index] as MoveValue));
