import { fromHex, toHex } from '@mysten/sui/utils';
import type { Definitions, FieldDefinition } from './definitions.ts';
import { formatType, STD, substitute, type Type } from './types.ts';
import {
  asAddress,
  asBoolean,
  asInteger,
  asStruct,
  asVariant,
  asVector,
  bytesToVector,
  type IntegerBits,
  integer,
  type MoveValue,
  vector,
  vectorToBytes,
} from './values.ts';

/** The bytes are no BCS of the type. */
export class BcsError extends Error {
  override readonly name = 'BcsError';
}

const BITS: Partial<Record<Type['kind'], IntegerBits>> = {
  u8: 8,
  u16: 16,
  u32: 32,
  u64: 64,
  u128: 128,
  u256: 256,
};

/** BCS of a value. The layout comes from the definitions, that is from the compiled modules. */
export function encode(value: MoveValue, type: Type, definitions: Definitions): Uint8Array {
  const out: number[] = [];
  write(out, value, type, definitions);
  return Uint8Array.from(out);
}

/** Reads exactly one value out of all of `bytes`, as the chain does: nothing may be left over. */
export function decode(bytes: Uint8Array, type: Type, definitions: Definitions): MoveValue {
  const input: Input = { bytes, at: 0 };
  const value = read(input, type, definitions);
  if (input.at !== bytes.length)
    throw new BcsError(`${bytes.length - input.at} bytes are left over after a ${formatType(type)}`);
  return value;
}

function write(out: number[], value: MoveValue, type: Type, definitions: Definitions): void {
  const bits = BITS[type.kind];
  if (bits !== undefined) {
    let rest = asInteger(value).value;
    for (let written = 0; written < bits; written += 8) {
      out.push(Number(rest & 0xffn));
      rest >>= 8n;
    }
    return;
  }
  switch (type.kind) {
    case 'bool':
      out.push(asBoolean(value) ? 1 : 0);
      return;
    case 'address':
    case 'signer':
      out.push(...fromHex(asAddress(value)));
      return;
    case 'vector': {
      const { items } = asVector(value);
      writeLength(out, items.length);
      if (type.element.kind === 'u8') for (const byte of vectorToBytes(asVector(value))) out.push(byte);
      else for (const item of items) write(out, item, type.element, definitions);
      return;
    }
    case 'datatype': {
      const { body } = definitionOf(type, definitions);
      if (body.kind === 'struct')
        writeFields(out, asStruct(value).fields, body.fields, type.args, definitions);
      else {
        const { tag, fields } = asVariant(value);
        const variant = body.variants[tag];
        if (!variant) throw new BcsError(`${formatType(type)} has no variant ${tag}`);
        writeLength(out, tag);
        writeFields(out, fields, variant.fields, type.args, definitions);
      }
      return;
    }
    default:
      throw new BcsError(`a ${formatType(type)} cannot be stored`);
  }
}

function writeFields(
  out: number[],
  values: readonly MoveValue[],
  fields: readonly FieldDefinition[],
  args: readonly Type[],
  definitions: Definitions,
): void {
  fields.forEach((field, index) => {
    const value = values[index];
    if (value === undefined) throw new BcsError(`field ${field.name} is missing`);
    write(out, value, substitute(field.type, args), definitions);
  });
}

function writeLength(out: number[], length: number): void {
  let rest = length;
  do {
    const more = rest > 0x7f;
    out.push((rest & 0x7f) | (more ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
}

interface Input {
  readonly bytes: Uint8Array;
  at: number;
}

function take(input: Input, count: number): Uint8Array {
  const end = input.at + count;
  if (end > input.bytes.length) throw new BcsError('the bytes end too early');
  const part = input.bytes.subarray(input.at, end);
  input.at = end;
  return part;
}

function readLength(input: Input): number {
  let length = 0;
  for (let shift = 0; shift <= 28; shift += 7) {
    const byte = take(input, 1)[0] as number;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) {
      // A longer spelling of the same number would give one value two encodings.
      if (shift > 0 && byte === 0) break;
      return length;
    }
  }
  throw new BcsError('a length is not in its shortest form');
}

function read(input: Input, type: Type, definitions: Definitions): MoveValue {
  const bits = BITS[type.kind];
  if (bits !== undefined) {
    let value = 0n;
    take(input, bits / 8).forEach((byte, index) => {
      value |= BigInt(byte) << BigInt(8 * index);
    });
    return integer(bits, value);
  }
  switch (type.kind) {
    case 'bool': {
      const byte = take(input, 1)[0] as number;
      if (byte > 1) throw new BcsError(`${byte} is no bool`);
      return byte === 1;
    }
    case 'address':
    case 'signer':
      return `0x${toHex(take(input, 32))}`;
    case 'vector': {
      const length = readLength(input);
      if (type.element.kind === 'u8') return bytesToVector(take(input, length));
      const items: MoveValue[] = [];
      for (let index = 0; index < length; index++) items.push(read(input, type.element, definitions));
      return vector(items);
    }
    case 'datatype': {
      const { body } = definitionOf(type, definitions);
      if (body.kind === 'struct') {
        const fields = readFields(input, body.fields, type.args, definitions);
        checkLibraryType(type, fields);
        return { kind: 'struct', fields };
      }
      const tag = readLength(input);
      const variant = body.variants[tag];
      if (!variant) throw new BcsError(`${formatType(type)} has no variant ${tag}`);
      return { kind: 'variant', tag, fields: readFields(input, variant.fields, type.args, definitions) };
    }
    default:
      throw new BcsError(`a ${formatType(type)} cannot be stored`);
  }
}

/** What the chain checks beyond the layout: text is UTF-8 or ASCII, an option holds at most one value. */
function checkLibraryType(type: Type, fields: readonly MoveValue[]): void {
  if (type.kind !== 'datatype' || type.address !== STD) return;
  const [only] = fields;
  if (type.module === 'option' && asVector(only).items.length > 1)
    throw new BcsError('an Option holds at most one value');
  if (type.module === 'string' && type.name === 'String') {
    try {
      new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(vectorToBytes(asVector(only)));
    } catch {
      throw new BcsError('a String must be UTF-8');
    }
  }
  if (type.module === 'ascii' && vectorToBytes(asVector(only)).some((byte) => byte > 0x7f))
    throw new BcsError('an ASCII string must be ASCII');
}

const readFields = (
  input: Input,
  fields: readonly FieldDefinition[],
  args: readonly Type[],
  definitions: Definitions,
): MoveValue[] => fields.map((field) => read(input, substitute(field.type, args), definitions));

function definitionOf(type: Extract<Type, { kind: 'datatype' }>, definitions: Definitions) {
  const definition = definitions.datatype(type.address, type.module, type.name);
  if (!definition) throw new BcsError(`${formatType(type)} is defined nowhere on this chain`);
  return definition;
}
