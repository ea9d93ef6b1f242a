import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { refuse } from './examination.ts';

/** Structures of TPM 2.0 (library part 2), big-endian, as far as quotes need them. */
const ALGORITHM = { rsa: 0x01, sha256: 0x0b, null: 0x10, rsassa: 0x14, ecdsa: 0x18, ecc: 0x23 } as const;
const GENERATED = 0xff54_4347;
const QUOTE = 0x8018;
const P256 = 0x03;

export const KEY_ATTRIBUTES = {
  fixedTpm: 1 << 1,
  fixedParent: 1 << 4,
  sensitiveDataOrigin: 1 << 5,
  restricted: 1 << 16,
  decrypt: 1 << 17,
  sign: 1 << 18,
} as const;

/** TPMS_ATTEST with a quote. */
export interface TpmQuote {
  readonly extraData: Buffer;
  readonly resetCount: number;
  readonly isClockSafe: boolean;
  /** Numbers of the PCRs of the SHA-256 bank. */
  readonly selection: readonly number[];
  readonly pcrDigest: Buffer;
}

/** @throws Refusal `quote-malformed`, `trailing-bytes` */
export function readTpmQuote(bytes: Buffer): TpmQuote {
  const reader = new TpmReader(bytes, 'quote');
  const magic = reader.uint(4);
  // A restricted key signs what begins with this value only if the TPM made it.
  if (magic !== GENERATED) refuse('quote-malformed', `the magic value is 0x${magic.toString(16)}`);
  const type = reader.uint(2);
  if (type !== QUOTE) refuse('quote-malformed', `the attested structure is of type 0x${type.toString(16)}`);
  reader.sized();
  const extraData = reader.sized();
  reader.take(8);
  const resetCount = reader.uint(4);
  reader.take(4);
  const safe = reader.uint(1);
  reader.take(8);
  const selection = readSelection(reader);
  const pcrDigest = reader.sized();
  reader.end();
  return { extraData, resetCount, isClockSafe: safe === 1, selection, pcrDigest };
}

function readSelection(reader: TpmReader): readonly number[] {
  const banks = reader.uint(4);
  const bank = banks === 1 ? reader.uint(2) : undefined;
  if (bank !== ALGORITHM.sha256)
    return refuse('quote-malformed', 'the quote is not of the SHA-256 bank alone');
  const bits = reader.take(reader.uint(1));
  return [...bits].flatMap((byte, index) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => ((byte >> bit) & 1) === 1).map((bit) => 8 * index + bit),
  );
}

/** A public key of a TPM: TPM2B_PUBLIC. */
export interface TpmKey {
  /** The hash of the whole public area, with its algorithm before it. Hexadecimal. */
  readonly name: string;
  readonly attributes: number;
  readonly key: KeyObject;
}

/** @throws Refusal `field-invalid`, `signer-unsupported`, `trailing-bytes` */
export function readTpmKey(bytes: Buffer): TpmKey {
  const outer = new TpmReader(bytes, 'key');
  const area = outer.sized();
  outer.end();
  const reader = new TpmReader(area, 'key');
  const type = reader.uint(2);
  const nameAlgorithm = reader.uint(2);
  if (nameAlgorithm !== ALGORITHM.sha256)
    return refuse(
      'signer-unsupported',
      `the key’s name is made by the algorithm 0x${nameAlgorithm.toString(16)}`,
    );
  const attributes = reader.uint(4);
  reader.sized();
  const key = type === ALGORITHM.ecc ? readEccKey(reader) : readRsaKey(reader, type);
  reader.end();
  const name = `000b${createHash('sha256').update(area).digest('hex')}`;
  return { name, attributes, key };
}

function readEccKey(reader: TpmReader): KeyObject {
  skipScheme(reader);
  const curve = reader.uint(2);
  if (curve !== P256) return refuse('signer-unsupported', `a key on the curve 0x${curve.toString(16)}`);
  if (reader.uint(2) !== ALGORITHM.null) refuse('signer-unsupported', 'a key with a key derivation function');
  const [x, y] = [reader.sized(), reader.sized()].map((half) => padded(half, 32).toString('base64url'));
  return keyOf({ kty: 'EC', crv: 'P-256', x, y });
}

function readRsaKey(reader: TpmReader, type: number): KeyObject {
  if (type !== ALGORITHM.rsa) return refuse('signer-unsupported', `a key of the type 0x${type.toString(16)}`);
  skipScheme(reader);
  const bits = reader.uint(2);
  const exponent = reader.uint(4) || 65_537;
  const modulus = reader.sized();
  if (bits < 2048 || modulus.length !== bits / 8) refuse('signer-unsupported', `an RSA key of ${bits} bits`);
  const e = Buffer.from(exponent.toString(16).padStart(8, '0'), 'hex');
  return keyOf({
    kty: 'RSA',
    n: modulus.toString('base64url'),
    e: e.subarray(e.findIndex(Boolean)).toString('base64url'),
  });
}

/** Symmetric algorithm (none in a signing key), then the scheme with its hash. */
function skipScheme(reader: TpmReader): void {
  if (reader.uint(2) !== ALGORITHM.null) refuse('signer-unsupported', 'the key is no signing key');
  const scheme = reader.uint(2);
  if (scheme === ALGORITHM.null) return;
  if (scheme !== ALGORITHM.ecdsa && scheme !== ALGORITHM.rsassa)
    refuse('signer-unsupported', `the signing scheme 0x${scheme.toString(16)}`);
  if (reader.uint(2) !== ALGORITHM.sha256)
    refuse('signer-unsupported', 'a scheme with another hash than SHA-256');
}

function keyOf(jwk: Readonly<Record<string, string | undefined>>): KeyObject {
  try {
    return createPublicKey({ key: jwk as never, format: 'jwk' });
  } catch {
    return refuse('field-invalid', 'the key is no public key');
  }
}

/** TPMT_SIGNATURE: the bytes as node:crypto takes them for this key. */
export function readTpmSignature(bytes: Buffer, key: KeyObject): Buffer {
  const reader = new TpmReader(bytes, 'signature');
  const algorithm = reader.uint(2);
  const expected = key.asymmetricKeyType === 'rsa' ? ALGORITHM.rsassa : ALGORITHM.ecdsa;
  if (algorithm !== expected || reader.uint(2) !== ALGORITHM.sha256)
    refuse('signer-unsupported', `a signature of the algorithm 0x${algorithm.toString(16)}`);
  const signature =
    algorithm === ALGORITHM.rsassa
      ? reader.sized()
      : Buffer.concat([padded(reader.sized(), 32), padded(reader.sized(), 32)]);
  reader.end();
  return signature;
}

/** A TPM leaves leading zeros out. */
function padded(bytes: Buffer, length: number): Buffer {
  if (bytes.length > length) refuse('field-invalid', `a number of ${bytes.length} bytes`);
  return Buffer.concat([Buffer.alloc(length - bytes.length), bytes]);
}

class TpmReader {
  #at = 0;
  readonly #bytes: Buffer;
  readonly #what: string;
  constructor(bytes: Buffer, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  take(length: number): Buffer {
    if (length > this.#bytes.length - this.#at)
      refuse(
        this.#what === 'quote' ? 'quote-malformed' : 'field-invalid',
        `the ${this.#what} ends too early`,
      );
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  uint(bytes: number): number {
    return this.take(bytes).readUIntBE(0, bytes);
  }

  /** A TPM2B: its length, then its bytes. */
  sized(): Buffer {
    return this.take(this.uint(2));
  }

  end(): void {
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) refuse('trailing-bytes', `${rest} bytes follow the ${this.#what}`);
  }
}
