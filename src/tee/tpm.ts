import { createHash, verify } from 'node:crypto';
import { FIXED_HALVES, toHex } from './bytes.ts';
import { type CborMap, type CborValue, decodeCbor, encodeCbor } from './cbor.ts';
import type { Evidence } from './evidence.ts';
import { type Examination, Refusal, refuse } from './examination.ts';
import { measuredBy } from './nitro.ts';
import type { TpmPolicy } from './policy.ts';
import { KEY_ATTRIBUTES, readTpmKey, readTpmQuote, readTpmSignature, type TpmKey } from './tpm-structures.ts';
import type { Coverage, Findings } from './verdict.ts';

/** What a TPM shows: the parts of `tpm2_quote` and of the attestation key, as the TPM made them. */
export interface TpmEnvelope {
  /** TPMS_ATTEST (`tpm2_quote --message`). */
  readonly quote: Buffer;
  /** TPMT_SIGNATURE (`tpm2_quote --signature`). */
  readonly signature: Buffer;
  /** TPM2B_PUBLIC of the attestation key (`tpm2_createak --public`, format `tss`). */
  readonly key: Buffer;
  /** Values of the quoted PCRs of the SHA-256 bank. */
  readonly pcrs: ReadonlyMap<number, Buffer>;
}

/** Firmware, boot loader, Secure Boot's policy, kernel, initrd and command line: what is worth a quote. */
export const TPM_PCRS: readonly number[] = [0, 2, 4, 7, 8, 9, 11];

/** The bytes of evidence of the kind `tpm`: a CBOR map. */
export function encodeTpmEnvelope({ quote, signature, key, pcrs }: TpmEnvelope): Buffer {
  const fields: [string, CborValue][] = [
    ['quote', quote],
    ['signature', signature],
    ['key', key],
    ['pcrs', new Map(pcrs)],
  ];
  return encodeCbor(new Map(fields));
}

/** The name of the key that evidence shows, for people; `undefined` when it cannot be read. */
export function attestationKeyOf(bytes: Uint8Array): string | undefined {
  try {
    return readTpmKey(readEnvelope(Buffer.from(bytes)).key).name;
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

/** Checks a quote of a TPM 2.0 by an attestation key that the policy names. */
export function examineTpm(evidence: Evidence, policy: TpmPolicy, examination: Examination): Findings {
  const envelope = readEnvelope(Buffer.from(evidence.bytes));
  const quote = readTpmQuote(envelope.quote);
  const key = readTpmKey(envelope.key);
  checkKey(key, policy, examination);
  const signature = readTpmSignature(envelope.signature, key.key);
  examination.demand(
    verify('sha256', envelope.quote, { key: key.key, dsaEncoding: FIXED_HALVES }, signature),
    'signature-invalid',
    `the attestation key ${key.name} did not sign this quote`,
  );
  checkPcrs(quote, envelope.pcrs, examination);
  examination.expect(quote.isClockSafe, 'clock-unsafe', 'the TPM reports that its clock may have gone back');
  checkReset(envelope.pcrs, policy, examination);
  return {
    claims: {
      platform: 'TPM 2.0',
      measurements: Object.fromEntries(
        [...envelope.pcrs].map(([index, value]) => [`pcr${index}`, toHex(value)]),
      ),
      reportData: quote.extraData,
      details: { attestationKey: key.name, resetCount: quote.resetCount },
    },
    measured: measuredBy(envelope.pcrs, policy.measurements, coverageOf),
  };
}

function readEnvelope(bytes: Buffer): TpmEnvelope {
  const map = decodeCbor(bytes);
  if (!(map instanceof Map) || map.size !== 4)
    return refuse('field-invalid', 'the envelope is no map of four');
  const fields = map as CborMap;
  const field = (name: string): Buffer => {
    const value = fields.get(name);
    return Buffer.isBuffer(value) ? value : refuse('field-invalid', `'${name}' is no byte string`);
  };
  return {
    quote: field('quote'),
    signature: field('signature'),
    key: field('key'),
    pcrs: readPcrs(fields.get('pcrs')),
  };
}

function readPcrs(value: CborValue | undefined): ReadonlyMap<number, Buffer> {
  if (!(value instanceof Map)) return refuse('field-invalid', "'pcrs' is no map");
  const pcrs = new Map<number, Buffer>();
  for (const [index, register] of value as CborMap) {
    if (typeof index !== 'number' || index < 0 || index > 23 || !Buffer.isBuffer(register))
      return refuse('field-invalid', `'pcrs' has the key ${index} or a value that is no byte string`);
    if (register.length !== 32) refuse('field-invalid', `PCR${index} has ${register.length} bytes`);
    pcrs.set(index, register);
  }
  return pcrs;
}

/** A key without these would sign a quote that some program wrote, or could be used on another machine. */
const NEEDED = ['fixedTpm', 'fixedParent', 'sensitiveDataOrigin', 'restricted', 'sign'] as const;

function checkKey({ name, attributes }: TpmKey, policy: TpmPolicy, examination: Examination): void {
  const missing = NEEDED.filter((attribute) => (attributes & KEY_ATTRIBUTES[attribute]) === 0);
  examination.demand(
    missing.length === 0 && (attributes & KEY_ATTRIBUTES.decrypt) === 0,
    'key-attributes',
    `the attestation key is not ${missing.join(', ') || 'for signing alone'} (attributes 0x${(attributes >>> 0).toString(16)})`,
  );
  const { attestationKeys } = policy;
  examination.demand(
    attestationKeys !== 'first-seen' && attestationKeys.includes(name),
    'attestation-key-unknown',
    attestationKeys === 'first-seen'
      ? 'the policy counts the key that a worker shows first, and judges workers alone'
      : `the policy does not name the attestation key ${name}`,
  );
}

function checkPcrs(
  quote: ReturnType<typeof readTpmQuote>,
  pcrs: ReadonlyMap<number, Buffer>,
  examination: Examination,
): void {
  const shown = [...pcrs.keys()].toSorted((one, other) => one - other);
  const digest = createHash('sha256');
  for (const index of shown) digest.update(pcrs.get(index) ?? Buffer.alloc(0));
  examination.demand(
    shown.join() === quote.selection.join() && digest.digest().equals(quote.pcrDigest),
    'pcr-digest-mismatch',
    `the quote is of PCR ${quote.selection.join(', ') || 'none'}; the evidence shows others, or other values`,
  );
}

/** A register that nothing was measured into (zeros, ones for 17 to 22) says nothing of what runs. */
function checkReset(
  pcrs: ReadonlyMap<number, Buffer>,
  { measurements }: TpmPolicy,
  examination: Examination,
): void {
  if (measurements === 'any') return;
  const named = new Set(measurements.flatMap((one) => Object.keys(one.pcrs).map(Number)));
  const unused = [...named].filter((index) => {
    const value = pcrs.get(index);
    return value?.every((byte) => byte === 0) || value?.every((byte) => byte === 0xff);
  });
  examination.expect(
    unused.length === 0,
    'measurement-zero',
    `nothing was measured into PCR${unused.join(', PCR')}`,
  );
}

/** TCG PC client profile: 0 firmware; 4 boot loader; 8, 9 GRUB's commands and files; 11 a unified kernel. */
function coverageOf(indexes: ReadonlySet<number>): Coverage {
  if (!indexes.has(0)) return 'platform only';
  const hasKernel = indexes.has(4) && (indexes.has(11) || (indexes.has(8) && indexes.has(9)));
  return hasKernel ? 'firmware, kernel, initrd' : 'firmware only';
}
