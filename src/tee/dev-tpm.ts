import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { FIXED_HALVES } from './bytes.ts';
import type { Evidence } from './evidence.ts';
import { encodeTpmEnvelope, type TpmEnvelope } from './tpm.ts';

export interface DevTpmOptions {
  readonly extraData?: Buffer;
  readonly pcrs?: ReadonlyMap<number, Buffer>;
  readonly attributes?: number;
  readonly isClockSafe?: boolean;
  /** Changes the quote before it is signed. */
  readonly alter?: (quote: Buffer) => Buffer;
  readonly alterKey?: (key: Buffer) => Buffer;
  /** Changes the envelope after it was signed. */
  readonly alterEnvelope?: (envelope: TpmEnvelope) => TpmEnvelope;
}

/** fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign. */
export const DEV_AK_ATTRIBUTES = 0x0005_0072;
export const DEV_TPM_PCR = Buffer.alloc(32, 0x0c);
const defaultPcrs = new Map([0, 1, 2, 3, 4, 7, 8, 9, 11].map((index) => [index, DEV_TPM_PCR]));

/** A quote as a TPM makes it, by a key in memory; `keyName` is what a policy names. */
export function devTpm(options: DevTpmOptions = {}): Evidence & { readonly keyName: string } {
  const { pcrs = defaultPcrs, alter, alterKey, alterEnvelope } = options;
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const made = quoteOf(options, pcrs);
  const quote = alter ? alter(made) : made;
  const fixed = sign('sha256', quote, { key: privateKey, dsaEncoding: FIXED_HALVES });
  const signature = Buffer.concat([
    Buffer.of(0, 0x18, 0, 0x0b),
    sized(fixed.subarray(0, 32)),
    sized(fixed.subarray(32)),
  ]);
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const area = publicArea(options, Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url'));
  const key = alterKey ? alterKey(sized(area)) : sized(area);
  const envelope = { quote, signature, key, pcrs };
  return {
    kind: 'tpm',
    bytes: encodeTpmEnvelope(alterEnvelope ? alterEnvelope(envelope) : envelope),
    collateral: [],
    keyName: `000b${createHash('sha256').update(area).digest('hex')}`,
  };
}

function quoteOf(
  { extraData = Buffer.alloc(0), isClockSafe = true }: DevTpmOptions,
  pcrs: ReadonlyMap<number, Buffer>,
): Buffer {
  const indexes = [...pcrs.keys()].toSorted((one, other) => one - other);
  const select = Buffer.alloc(3);
  for (const index of indexes) select[index >> 3] = (select[index >> 3] ?? 0) | (1 << (index & 7));
  const digest = createHash('sha256');
  for (const index of indexes) digest.update(pcrs.get(index) ?? Buffer.alloc(0));
  const clock = Buffer.alloc(17);
  clock.writeUInt8(isClockSafe ? 1 : 0, 16);
  return Buffer.concat([
    Buffer.from('ff5443478018', 'hex'),
    sized(Buffer.alloc(34, 1)),
    sized(extraData),
    clock,
    Buffer.alloc(8),
    Buffer.from('00000001000b03', 'hex'),
    select,
    sized(digest.digest()),
  ]);
}

function publicArea({ attributes = DEV_AK_ATTRIBUTES }: DevTpmOptions, x: Buffer, y: Buffer): Buffer {
  const flags = Buffer.alloc(4);
  flags.writeUInt32BE(attributes);
  return Buffer.concat([
    Buffer.from('0023000b', 'hex'),
    flags,
    sized(Buffer.alloc(0)),
    // No symmetric algorithm; ECDSA with SHA-256; P-256; no key derivation.
    Buffer.from('00100018000b00030010', 'hex'),
    sized(x),
    sized(y),
  ]);
}

function sized(bytes: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
