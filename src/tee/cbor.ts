import { refuse } from './examination.ts';

/** What attestation documents are made of. Floats, undefined and unknown tags are refused. */
export type CborValue =
  | number
  | bigint
  | string
  | boolean
  | null
  | Buffer
  | readonly CborValue[]
  | CborMap
  | CborTag;
export type CborMap = ReadonlyMap<string | number, CborValue>;

export class CborTag {
  readonly tag: number | bigint;
  readonly value: CborValue;
  constructor(tag: number | bigint, value: CborValue) {
    this.tag = tag;
    this.value = value;
  }
}

/** Deeper than any document there is, and far from the end of the stack. */
const DEEPEST = 16;
const BREAK = 0xff;

/**
 * Decodes one CBOR item (RFC 8949) that fills the bytes. Strict where two readers could differ: a key twice, an integer or
 * length longer than it must be, and bytes after the item are refused. Maps and arrays of indefinite length are read, since
 * NitroTPM documents contain them.
 */
export function decodeCbor(bytes: Buffer): CborValue {
  const reader = new CborReader(bytes);
  const value = reader.item(0);
  if (reader.at !== bytes.length)
    refuse('trailing-bytes', `${bytes.length - reader.at} bytes follow the CBOR item`);
  return value;
}

class CborReader {
  at = 0;
  readonly #bytes: Buffer;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  item(depth: number): CborValue {
    if (depth > DEEPEST) malformed(`nested deeper than ${DEEPEST}`);
    const initial = this.#byte();
    const [major, info] = [initial >> 5, initial & 31];
    switch (major) {
      case 0:
        return this.#argument(info);
      case 1:
        return negative(this.#argument(info));
      case 2:
        return this.#take(this.#length(info));
      case 3:
        return utf8(this.#take(this.#length(info)));
      case 4:
        return this.#array(info, depth);
      case 5:
        return this.#map(info, depth);
      case 6:
        return new CborTag(this.#argument(info), this.item(depth + 1));
      default:
        return simple(info);
    }
  }

  #array(info: number, depth: number): CborValue[] {
    const items: CborValue[] = [];
    for (const _ of this.#members(info)) items.push(this.item(depth + 1));
    return items;
  }

  #map(info: number, depth: number): CborMap {
    const map = new Map<string | number, CborValue>();
    for (const _ of this.#members(info)) {
      const key = this.item(depth + 1);
      if (typeof key !== 'string' && typeof key !== 'number')
        malformed('a map key is no text and no integer');
      if (map.has(key))
        refuse('cbor-duplicate-key', `the key ${JSON.stringify(key)} occurs twice in one map`);
      map.set(key, this.item(depth + 1));
    }
    return map;
  }

  /** One turn for each member: so many, or up to the break. */
  *#members(info: number): Generator<void> {
    if (info === 31) {
      while (this.#bytes[this.at] !== BREAK) yield;
      this.at += 1;
      return;
    }
    const count = this.#length(info);
    for (let index = 0; index < count; index += 1) yield;
  }

  /** A length that the remaining bytes can hold: each member takes one byte at least. */
  #length(info: number): number {
    const length = this.#argument(info);
    if (typeof length === 'bigint' || length > this.#bytes.length - this.at)
      malformed(`a length of ${length} where ${this.#bytes.length - this.at} bytes remain`);
    return length;
  }

  #argument(info: number): number | bigint {
    if (info < 24) return info;
    if (info > 27) malformed(`additional information ${info}`);
    const size = 2 ** (info - 24);
    const field = this.#take(size);
    const value = size === 8 ? field.readBigUInt64BE() : field.readUIntBE(0, size);
    if (value < smallestOf(info)) malformed(`the integer ${value} in ${size} bytes: fewer are enough`);
    return typeof value === 'bigint' && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }

  #byte(): number {
    return this.#take(1).readUInt8();
  }

  #take(length: number): Buffer {
    if (length > this.#bytes.length - this.at) malformed('the bytes end within an item');
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
}

/** The smallest value that needs the size; below it the shorter form is the only one allowed. */
function smallestOf(info: number): number {
  return info === 24 ? 24 : 2 ** (8 * 2 ** (info - 25));
}

function negative(argument: number | bigint): number | bigint {
  return typeof argument === 'bigint' ? -1n - argument : -1 - argument;
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(bytes: Buffer): string {
  try {
    return decoder.decode(bytes);
  } catch {
    return malformed('a text is not UTF-8');
  }
}

function simple(info: number): boolean | null {
  if (info === 20) return false;
  if (info === 21) return true;
  if (info === 22) return null;
  return malformed(`the simple or floating-point value ${info}`);
}

function malformed(message: string): never {
  return refuse('cbor-malformed', `the CBOR is malformed: ${message}`);
}

/** Encodes in the shortest form; maps keep their order. */
export function encodeCbor(value: CborValue): Buffer {
  if (value === null) return Buffer.of(0xf6);
  if (typeof value === 'boolean') return Buffer.of(value ? 0xf5 : 0xf4);
  if (typeof value === 'number' || typeof value === 'bigint')
    return value < 0 ? head(1, -1n - BigInt(value)) : head(0, BigInt(value));
  if (typeof value === 'string') return withLength(3, Buffer.from(value));
  if (Buffer.isBuffer(value)) return withLength(2, value);
  if (value instanceof CborTag) return Buffer.concat([head(6, BigInt(value.tag)), encodeCbor(value.value)]);
  if (isArray(value)) return Buffer.concat([head(4, BigInt(value.length)), ...value.map(encodeCbor)]);
  const members = [...value].flatMap(([key, inner]) => [encodeCbor(key), encodeCbor(inner)]);
  return Buffer.concat([head(5, BigInt(value.size)), ...members]);
}

/** `Array.isArray` does not narrow a readonly array. */
function isArray(value: CborValue): value is readonly CborValue[] {
  return Array.isArray(value);
}

function withLength(major: number, bytes: Buffer): Buffer {
  return Buffer.concat([head(major, BigInt(bytes.length)), bytes]);
}

function head(major: number, argument: bigint): Buffer {
  const first = major << 5;
  if (argument < 24n) return Buffer.of(first | Number(argument));
  const size = [1, 2, 4, 8].find((bytes) => argument < 1n << BigInt(8 * bytes)) ?? 8;
  const hex = argument.toString(16).padStart(2 * size, '0');
  return Buffer.concat([Buffer.of(first | (24 + Math.log2(size))), Buffer.from(hex, 'hex')]);
}
