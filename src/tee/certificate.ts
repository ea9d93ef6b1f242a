import { createHash, type KeyObject, X509Certificate } from 'node:crypto';
import { messageOf } from '#base';
import {
  children,
  DER,
  type Der,
  member,
  oidOf,
  readDer,
  readSequence,
  smallInteger,
  timeMs,
} from './der.ts';
import { refuse } from './examination.ts';

/**
 * A certificate. OpenSSL reads it and checks its signature (`node`); what Node does not hand out (path length, key usage,
 * critical extensions, the vendors' own extensions) is read from the same DER.
 */
export interface Certificate {
  readonly node: X509Certificate;
  readonly raw: Buffer;
  /** SHA-256 of the DER, hexadecimal. */
  readonly fingerprint: string;
  readonly serial: string;
  /** DER of the names, compared byte by byte. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly publicKey: KeyObject;
  readonly extensions: ReadonlyMap<string, Extension>;
  readonly isCa: boolean;
  readonly pathLength: number | undefined;
  /** The bits of KeyUsage, the first as 1; `undefined`: no such extension. */
  readonly keyUsage: number | undefined;
  /** For people: the common name. */
  readonly name: string;
}

interface Extension {
  readonly isCritical: boolean;
  readonly value: Buffer;
}

export const KEY_USAGE = { digitalSignature: 1, keyCertSign: 1 << 5, crlSign: 1 << 6 } as const;
const OID = { basicConstraints: '2.5.29.19', keyUsage: '2.5.29.15' } as const;
/** More than the longest that a platform sends. */
const LONGEST = 16_384;

/** @throws Refusal `certificate-malformed` */
export function readCertificate(der: Buffer): Certificate {
  if (der.length > LONGEST) refuse('certificate-malformed', `a certificate of ${der.length} bytes`);
  const [toBeSigned, algorithm, signature] = readSequence(der);
  if (!toBeSigned || !algorithm || signature?.tag !== DER.bitString)
    refuse('certificate-malformed', 'a certificate lacks a part');
  // OpenSSL ignores these bits: with others set, the same certificate would have several forms.
  if (signature.value[0] !== 0)
    refuse('certificate-malformed', 'a signature that is no whole number of bytes');
  const fields = children(toBeSigned);
  // Version 1 has no version field, and none of the platforms uses it.
  const [, serial, , issuer, validity, subject] = fields;
  if (fields[0]?.tag !== 0xa0 || serial?.tag !== DER.integer || !issuer || !validity || !subject)
    refuse('certificate-malformed', 'a certificate that is not of version 3');
  const extensions = extensionsOf(fields);
  const node = nodeCertificate(der);
  return {
    node,
    raw: der,
    fingerprint: createHash('sha256').update(der).digest('hex'),
    serial: serial.value.toString('hex'),
    issuer: issuer.raw,
    subject: subject.raw,
    notBeforeMs: timeMs(member(children(validity), 0, children(validity)[0]?.tag ?? 0)),
    notAfterMs: timeMs(member(children(validity), 1, children(validity)[1]?.tag ?? 0)),
    publicKey: publicKeyOf(node),
    extensions,
    ...constraintsOf(extensions.get(OID.basicConstraints)),
    keyUsage: keyUsageOf(extensions.get(OID.keyUsage)),
    name: nameOf(node),
  };
}

/** Every certificate of a PEM text, in its order. @throws Refusal `certificate-malformed` */
export function readCertificates(pem: string): readonly Certificate[] {
  return derOfPem(pem).map(readCertificate);
}

/** The DER of every certificate of a PEM text. Text between the blocks is ignored, as OpenSSL ignores it. */
export function derOfPem(pem: string): readonly Buffer[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\sA-Za-z0-9+/=]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length > 8) refuse('certificate-malformed', `${blocks.length} certificates in one chain`);
  return blocks.map((block) => Buffer.from(block.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64'));
}

export function pemOf(der: Uint8Array): string {
  const base64 =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...base64, '-----END CERTIFICATE-----', ''].join('\n');
}

function nameOf(node: X509Certificate): string {
  // Node's types do not say so: the subject is undefined where the certificate names nobody.
  const subject = (node.subject as string | undefined) ?? '';
  return /^CN=(.*)$/m.exec(subject)?.[1] ?? subject.replaceAll('\n', ', ');
}

function nodeCertificate(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    return refuse('certificate-malformed', `a certificate cannot be read: ${messageOf(error)}`);
  }
}

function publicKeyOf(node: X509Certificate): KeyObject {
  try {
    return node.publicKey;
  } catch (error) {
    return refuse('certificate-malformed', `the key of a certificate cannot be read: ${messageOf(error)}`);
  }
}

function extensionsOf(fields: readonly Der[]): ReadonlyMap<string, Extension> {
  const wrapper = fields.find(({ tag }) => tag === 0xa3);
  const extensions = new Map<string, Extension>();
  if (!wrapper) return extensions;
  for (const element of children(member(children(wrapper), 0, DER.sequence))) {
    const parts = children(element);
    const oid = oidOf(member(parts, 0, DER.oid));
    const isCritical = parts[1]?.tag === DER.boolean && parts[1].value[0] !== 0;
    const { value } = member(parts, parts.length - 1, DER.octetString);
    if (extensions.has(oid)) refuse('certificate-malformed', `the extension ${oid} occurs twice`);
    extensions.set(oid, { isCritical, value });
  }
  return extensions;
}

function constraintsOf(extension: Extension | undefined): { isCa: boolean; pathLength: number | undefined } {
  if (!extension) return { isCa: false, pathLength: undefined };
  const parts = children(readDer(extension.value));
  const isCa = parts[0]?.tag === DER.boolean && parts[0].value[0] !== 0;
  const length = parts.find(({ tag }) => tag === DER.integer);
  return { isCa, pathLength: length && smallInteger(length) };
}

function keyUsageOf(extension: Extension | undefined): number | undefined {
  if (!extension) return undefined;
  const { tag, value } = readDer(extension.value);
  if (tag !== DER.bitString || value.length < 2) refuse('certificate-malformed', 'a malformed key usage');
  const first = value[1] ?? 0;
  // Bit 0 of the standard is the highest bit of the first byte.
  return [0, 1, 2, 3, 4, 5, 6, 7].reduce((bits, bit) => bits | (((first >> (7 - bit)) & 1) << bit), 0);
}
