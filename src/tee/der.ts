import { refuse } from './examination.ts';

/** One element of DER (X.690). */
export interface Der {
  readonly tag: number;
  readonly value: Buffer;
  /** Tag, length and value. */
  readonly raw: Buffer;
}

export const DER = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
} as const;

/** Reads one element that fills the bytes. */
export function readDer(bytes: Buffer): Der {
  const element = elementAt(bytes, 0);
  if (element.raw.length !== bytes.length) malformed('bytes follow the element');
  return element;
}

/** The elements within a constructed one. */
export function children({ tag, value }: Der): readonly Der[] {
  if ((tag & 0x20) === 0) malformed(`the element of tag ${tag} has no members`);
  const elements: Der[] = [];
  for (let at = 0; at < value.length; ) {
    const element = elementAt(value, at);
    elements.push(element);
    at += element.raw.length;
  }
  return elements;
}

function elementAt(bytes: Buffer, at: number): Der {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) malformed('the bytes end within an element');
  if ((tag & 0x1f) === 0x1f) malformed('a tag of several bytes');
  const { length, start } = lengthAt(bytes, at + 1, first);
  if (start + length > bytes.length) malformed('an element is longer than what contains it');
  return { tag, value: bytes.subarray(start, start + length), raw: bytes.subarray(at, start + length) };
}

function lengthAt(bytes: Buffer, at: number, first: number): { length: number; start: number } {
  if (first < 0x80) return { length: first, start: at + 1 };
  const size = first & 0x7f;
  if (size === 0 || size > 4 || at + 1 + size > bytes.length) malformed(`a length of ${size} bytes`);
  const length = bytes.readUIntBE(at + 1, size);
  if (length < 0x80 || length < 256 ** (size - 1)) malformed('a length longer than it must be');
  return { length, start: at + 1 + size };
}

/** The member at an index, of a given tag. */
export function member(elements: readonly Der[], index: number, tag: number): Der {
  const element = elements[index];
  if (element?.tag !== tag) malformed(`member ${index} has the tag ${element?.tag ?? 'none'}, not ${tag}`);
  return element;
}

/** An object identifier in dotted form. */
export function oidOf({ tag, value }: Der): string {
  if (tag !== DER.oid || value.length === 0) malformed('no object identifier');
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of value) {
    arc = arc * 128 + (byte & 0x7f);
    if (!Number.isSafeInteger(arc)) malformed('an object identifier out of range');
    if ((byte & 0x80) !== 0) continue;
    arcs.push(arc);
    arc = 0;
  }
  const [head = 0, ...rest] = arcs;
  const top = Math.min(2, Math.floor(head / 40));
  return [top, head - 40 * top, ...rest].join('.');
}

/** A non-negative INTEGER below 2^32. */
export function smallInteger({ tag, value }: Der): number {
  if (tag !== DER.integer || value.length === 0 || value.length > 5) malformed('no small integer');
  const number = value.readIntBE(0, value.length);
  if (number < 0 || number > 0xffff_ffff) malformed('an integer out of range');
  return number;
}

/** UTCTime or GeneralizedTime in the one form that RFC 5280 allows: seconds, and Z. */
export function timeMs({ tag, value }: Der): number {
  const text = value.toString('latin1');
  const [, year = '', rest = ''] =
    (tag === DER.utcTime ? /^(\d\d)(\d{10})Z$/ : /^(\d{4})(\d{10})Z$/).exec(text) ?? [];
  if (year === '' || (tag !== DER.utcTime && tag !== DER.generalizedTime)) malformed(`the time ${text}`);
  const full = tag === DER.generalizedTime ? year : `${Number(year) < 50 ? '20' : '19'}${year}`;
  const [month, day, hour, minute, second] = rest.match(/\d\d/g) ?? [];
  const ms = Date.parse(`${full}-${month}-${day}T${hour}:${minute}:${second}Z`);
  if (Number.isNaN(ms)) malformed(`the time ${text}`);
  return ms;
}

function malformed(message: string): never {
  return refuse('certificate-malformed', `the DER is malformed: ${message}`);
}
