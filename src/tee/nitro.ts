import { verify } from 'node:crypto';
import { FIXED_HALVES, isZero, toHex } from './bytes.ts';
import { type CborMap, CborTag, type CborValue, decodeCbor, encodeCbor } from './cbor.ts';
import { type Certificate, readCertificate } from './certificate.ts';
import { checkChain } from './chain.ts';
import { checkRevocation, crlsOf } from './crl.ts';
import type { Evidence } from './evidence.ts';
import { type Examination, refuse, timeText } from './examination.ts';
import type { NitroPolicy, PcrMeasurement } from './policy.ts';
import type { Coverage, Findings, Measured } from './verdict.ts';

/** A document that the Nitro hypervisor signed, for an enclave or (NitroTPM) for a whole instance. */
interface NitroDocument {
  readonly moduleId: string;
  readonly timestampMs: number;
  readonly pcrs: ReadonlyMap<number, Buffer>;
  readonly certificate: Buffer;
  /** Root first. */
  readonly bundle: readonly Buffer[];
  readonly publicKey: Buffer | undefined;
  readonly userData: Buffer | undefined;
  readonly nonce: Buffer | undefined;
}

/** The algorithm of a COSE header, and ES384 (RFC 9053). */
const [ALGORITHM, ES384] = [1, -35];
const SKEW_MS = 300_000;
const ZERO_MATTERS = { nitro: [0, 1, 2], nitrotpm: [4, 7] } as const;

/** Checks an attestation document of an enclave (`nitro`) or of an instance (`nitrotpm`). */
export function examineNitro(
  evidence: Evidence,
  kind: 'nitro' | 'nitrotpm',
  policy: NitroPolicy,
  examination: Examination,
): Findings {
  const envelope = readEnvelope(Buffer.from(evidence.bytes));
  const document = readDocument(envelope.payload, kind === 'nitro' ? 'pcrs' : 'nitrotpm_pcrs');
  const chain = [...document.bundle, document.certificate].map(readCertificate);
  checkChain(chain, examination);
  checkRevocation(
    chain,
    crlsOf(evidence.collateral),
    { isRequired: () => policy.revocation === 'required' },
    examination,
  );
  checkSignature(envelope, chain.at(-1) as Certificate, examination);
  checkAge(document.timestampMs, policy, examination);
  checkZeros(document.pcrs, kind, examination);
  return {
    claims: {
      platform: kind === 'nitro' ? 'AWS Nitro Enclaves' : 'AWS NitroTPM',
      measurements: measurementsOf(document.pcrs),
      reportData: document.userData,
      madeAtMs: document.timestampMs,
      details: {
        moduleId: document.moduleId,
        ...(document.publicKey && { publicKey: toHex(document.publicKey) }),
        ...(document.nonce && { nonce: toHex(document.nonce) }),
      },
    },
    measured: measuredBy(document.pcrs, policy.measurements, COVERS[kind]),
  };
}

interface Envelope {
  readonly protectedHeader: Buffer;
  readonly payload: Buffer;
  readonly signature: Buffer;
}

/** COSE_Sign1, tagged or not (RFC 9052, 4.2). */
function readEnvelope(bytes: Buffer): Envelope {
  const decoded = decodeCbor(bytes);
  const parts = decoded instanceof CborTag && decoded.tag === 18 ? decoded.value : decoded;
  if (!isArray(parts) || parts.length !== 4) refuse('cose-malformed', 'the document is no array of four');
  const [protectedHeader, unprotected, payload, signature] = parts;
  if (!Buffer.isBuffer(protectedHeader) || !Buffer.isBuffer(payload) || !Buffer.isBuffer(signature))
    refuse('cose-malformed', 'header, payload and signature are not byte strings');
  if (!(unprotected instanceof Map) || unprotected.size > 0)
    refuse('cose-malformed', 'the unprotected header is not empty');
  const header = decodeCbor(protectedHeader);
  if (!(header instanceof Map) || header.size !== 1 || header.get(ALGORITHM) !== ES384)
    refuse('cose-malformed', 'the protected header names another algorithm than ES384');
  if (signature.length !== 96) refuse('cose-malformed', `a signature of ${signature.length} bytes`);
  return { protectedHeader, payload, signature };
}

const KNOWN: ReadonlySet<string | number> = new Set([
  'module_id',
  'digest',
  'timestamp',
  'certificate',
  'cabundle',
  'public_key',
  'user_data',
  'nonce',
]);

function readDocument(payload: Buffer, pcrField: 'pcrs' | 'nitrotpm_pcrs'): NitroDocument {
  const map = decodeCbor(payload);
  if (!(map instanceof Map)) return refuse('field-invalid', 'the payload is no map');
  const fields = map as CborMap;
  const unknown = [...fields.keys()].find((key) => key !== pcrField && !KNOWN.has(key));
  if (unknown !== undefined) refuse('field-invalid', `the field '${unknown}' is not known`);
  const moduleId = fields.get('module_id');
  const timestampMs = fields.get('timestamp');
  if (typeof moduleId !== 'string' || moduleId === '') refuse('field-invalid', 'module_id is no text');
  if (typeof timestampMs !== 'number' || timestampMs <= 0) refuse('field-invalid', 'timestamp is no time');
  if (fields.get('digest') !== 'SHA384') refuse('field-invalid', 'digest is not SHA384');
  return {
    moduleId,
    timestampMs,
    pcrs: readPcrs(fields.get(pcrField), pcrField),
    certificate: bytesOf(fields.get('certificate'), 'certificate', 1, 1024),
    bundle: readBundle(fields.get('cabundle')),
    publicKey: optionalBytes(fields.get('public_key'), 'public_key', 1, 1024),
    // The text of the specification says 512, its grammar 1024: the wider one is only a bound.
    userData: optionalBytes(fields.get('user_data'), 'user_data', 0, 1024),
    nonce: optionalBytes(fields.get('nonce'), 'nonce', 0, 1024),
  };
}

function readPcrs(value: CborValue | undefined, field: string): ReadonlyMap<number, Buffer> {
  if (!(value instanceof Map) || value.size === 0 || value.size > 32)
    refuse('field-invalid', `${field} is no map of 1 to 32 registers`);
  const pcrs = new Map<number, Buffer>();
  for (const [index, register] of value as CborMap) {
    if (typeof index !== 'number' || index < 0 || index > 31)
      refuse('field-invalid', `${field} has the key ${index}`);
    // SHA384 is what `digest` names: a register of another length is of another bank.
    pcrs.set(index, bytesOf(register, `${field}[${index}]`, 48, 48));
  }
  return pcrs;
}

function readBundle(value: CborValue | undefined): readonly Buffer[] {
  if (!isArray(value) || value.length === 0 || value.length > 8)
    return refuse('field-invalid', 'cabundle is no list of 1 to 8 certificates');
  return value.map((certificate, index) => bytesOf(certificate, `cabundle[${index}]`, 1, 1024));
}

function bytesOf(value: CborValue | undefined, field: string, shortest: number, longest: number): Buffer {
  if (!Buffer.isBuffer(value)) return refuse('field-invalid', `${field} is no byte string`);
  if (value.length < shortest || value.length > longest)
    refuse('field-invalid', `${field} has ${value.length} bytes, not ${shortest} to ${longest}`);
  return value;
}

/** Real documents have null where the specification leaves a field out. */
function optionalBytes(value: CborValue | undefined, field: string, shortest: number, longest: number) {
  return value === undefined || value === null ? undefined : bytesOf(value, field, shortest, longest);
}

function isArray(value: CborValue | undefined): value is readonly CborValue[] {
  return Array.isArray(value);
}

function checkSignature(
  { protectedHeader, payload, signature }: Envelope,
  leaf: Certificate,
  examination: Examination,
): void {
  const { publicKey } = leaf;
  examination.demand(
    publicKey.asymmetricKeyDetails?.namedCurve === 'secp384r1',
    'signature-invalid',
    'the key of the leaf certificate is not on P-384',
  );
  const signed = encodeCbor(['Signature1', protectedHeader, Buffer.alloc(0), payload]);
  examination.demand(
    verify('sha384', signed, { key: publicKey, dsaEncoding: FIXED_HALVES }, signature),
    'signature-invalid',
    `'${leaf.name}' did not sign this document`,
  );
}

function checkAge(timestampMs: number, { maxAge }: NitroPolicy, examination: Examination): void {
  const ageMs = examination.nowMs - timestampMs;
  const times = `the document is of ${timeText(timestampMs)}; the time is ${timeText(examination.nowMs)}`;
  examination.expect(ageMs >= -SKEW_MS, 'evidence-from-the-future', times);
  examination.expect(
    ageMs <= maxAge,
    'evidence-too-old',
    `${times}, and the policy allows ${maxAge / 1000} s`,
  );
}

function checkZeros(
  pcrs: ReadonlyMap<number, Buffer>,
  kind: 'nitro' | 'nitrotpm',
  examination: Examination,
): void {
  const zeros = ZERO_MATTERS[kind].filter((index) => isZero(pcrs.get(index) ?? Buffer.alloc(0)));
  // PCR3 and PCR4 are set in debug mode, too: only what the image decides tells it.
  if (kind === 'nitro' && zeros.length === 3)
    examination.fault('debug', 'PCR0, PCR1 and PCR2 are zero: the enclave runs in debug mode');
  else if (zeros.length > 0)
    examination.fault('measurement-zero', `PCR${zeros.join(', PCR')} is zero or missing`);
}

function measurementsOf(pcrs: ReadonlyMap<number, Buffer>): Readonly<Record<string, string>> {
  return Object.fromEntries([...pcrs].map(([index, value]) => [`pcr${index}`, toHex(value)]));
}

type Covering = (indexes: ReadonlySet<number>) => Coverage;

const COVERS: Readonly<Record<'nitro' | 'nitrotpm', Covering>> = {
  // PCR0 is the whole image; PCR1 kernel and boot ramdisk, PCR2 the application.
  nitro: (indexes) => {
    if (indexes.has(0) || (indexes.has(1) && indexes.has(2))) return 'application';
    return indexes.has(1) ? 'firmware, kernel, initrd' : 'platform only';
  },
  // PCR4 is the boot loader or unified kernel, PCR7 the keys of Secure Boot that it must be signed by.
  nitrotpm: (indexes) => (indexes.has(4) || indexes.has(7) ? 'firmware, kernel, initrd' : 'platform only'),
};

/** The first measurement all of whose registers have the value that it names. */
export function measuredBy(
  pcrs: ReadonlyMap<number, Buffer>,
  measurements: 'any' | readonly PcrMeasurement[],
  covering: Covering,
): Measured | undefined {
  if (measurements === 'any') return { name: 'any', covers: 'platform only' };
  const match = measurements.find((measurement) =>
    Object.entries(measurement.pcrs).every(([index, value]) => {
      const register = pcrs.get(Number(index));
      return register !== undefined && toHex(register) === value;
    }),
  );
  return match && { name: match.name, covers: covering(new Set(Object.keys(match.pcrs).map(Number))) };
}
