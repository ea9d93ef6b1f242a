import { isZero } from './bytes.ts';
import { type Examination, refuse } from './examination.ts';
import type { Product } from './policy.ts';

/** Security patch levels, in the parts that AMD counts them; `fmc` exists from Turin on. */
export interface SnpTcb {
  readonly fmc: number;
  readonly bootloader: number;
  readonly tee: number;
  readonly snp: number;
  readonly microcode: number;
}

export const TCB_PARTS = ['fmc', 'bootloader', 'tee', 'snp', 'microcode'] as const;

/** Whose key signed a report: the chip's own, or one that the cloud provider has loaded into it. */
export type SnpSigner = 'VCEK' | 'VLEK';

/** An attestation report of AMD SEV-SNP (AMD 56860, table "ATTESTATION_REPORT"), little-endian. */
export interface SnpReport {
  readonly version: number;
  readonly signer: SnpSigner;
  readonly guestPolicy: bigint;
  readonly vmpl: number;
  readonly reportData: Buffer;
  readonly measurement: Buffer;
  readonly hostData: Buffer;
  readonly idKeyDigest: Buffer;
  readonly chipId: Buffer;
  /** Family and model; versions before 3 do not say. */
  readonly product: Product | undefined;
  readonly tcb: (
    product: Product,
  ) => Readonly<Record<'reported' | 'committed' | 'current' | 'launch', SnpTcb>>;
  readonly signed: Buffer;
  /** r and s, big-endian, 48 bytes each. */
  readonly signature: Buffer;
}

const LENGTH = 0x4a0;
const SIGNATURE_AT = 0x2a0;
/** r and s are 72 bytes each, of which P-384 uses the lower 48. */
const HALF = 72;
const VERSIONS = [2, 3, 4, 5];

export const GUEST_POLICY = { reservedOne: 1n << 17n, migrationAgent: 1n << 18n, debug: 1n << 19n } as const;

/** @throws Refusal `report-malformed`, `version-unsupported`, `signer-unsupported` */
export function readSnpReport(bytes: Buffer, examination: Examination): SnpReport {
  examination.demand(
    bytes.length === LENGTH,
    'report-malformed',
    `the report has ${bytes.length} bytes, not ${LENGTH}`,
  );
  const version = bytes.readUInt32LE(0);
  examination.demand(
    VERSIONS.includes(version),
    'version-unsupported',
    `the report is of version ${version}; known are ${VERSIONS.join(', ')}`,
  );
  const signer = signerOf(bytes, examination);
  const guestPolicy = bytes.readBigUInt64LE(0x08);
  checkReserved(bytes, version, guestPolicy, examination);
  return {
    version,
    signer,
    guestPolicy,
    vmpl: bytes.readUInt32LE(0x30),
    reportData: bytes.subarray(0x50, 0x90),
    measurement: bytes.subarray(0x90, 0xc0),
    hostData: bytes.subarray(0xc0, 0xe0),
    idKeyDigest: bytes.subarray(0xe0, 0x110),
    chipId: bytes.subarray(0x1a0, 0x1e0),
    product: version === 2 ? undefined : productOf(bytes.readUInt8(0x188), bytes.readUInt8(0x189)),
    tcb: (product) => ({
      reported: tcbOf(bytes.subarray(0x180, 0x188), product),
      committed: tcbOf(bytes.subarray(0x1e0, 0x1e8), product),
      current: tcbOf(bytes.subarray(0x38, 0x40), product),
      launch: tcbOf(bytes.subarray(0x1f0, 0x1f8), product),
    }),
    signed: bytes.subarray(0, SIGNATURE_AT),
    signature: signatureOf(bytes),
  };
}

function signerOf(bytes: Buffer, examination: Examination): SnpSigner {
  const algorithm = bytes.readUInt32LE(0x34);
  examination.demand(
    algorithm === 1,
    'signer-unsupported',
    `the signature algorithm ${algorithm} is not known`,
  );
  const signer = (bytes.readUInt32LE(0x48) >> 2) & 7;
  if (signer > 1) refuse('signer-unsupported', `the report is signed by the key of kind ${signer}`);
  return signer === 0 ? 'VCEK' : 'VLEK';
}

/** Ranges that AMD reserves. A later version that puts something there is refused until it is known here. */
function checkReserved(bytes: Buffer, version: number, guestPolicy: bigint, examination: Examination): void {
  const ranges = [
    [0x4c, 0x50],
    [version === 2 ? 0x188 : 0x18b, 0x1a0],
    [0x1eb, 0x1ec],
    [0x1ef, 0x1f0],
    [version < 5 ? 0x1f8 : 0x208, SIGNATURE_AT],
    [SIGNATURE_AT + 2 * HALF, LENGTH],
  ] as const;
  for (const [from, to] of ranges)
    examination.demand(
      isZero(bytes.subarray(from, to)),
      'report-malformed',
      `bytes 0x${from.toString(16)} to 0x${to.toString(16)} are reserved and not zero`,
    );
  examination.demand(
    (guestPolicy & GUEST_POLICY.reservedOne) !== 0n && guestPolicy >> 26n === 0n,
    'report-malformed',
    `the guest policy 0x${guestPolicy.toString(16)} has reserved bits that are wrong`,
  );
}

function productOf(family: number, model: number): Product | undefined {
  if (family === 0x19 && model <= 0x0f) return 'Milan';
  if (family === 0x19 && ((model >= 0x10 && model <= 0x1f) || (model >= 0xa0 && model <= 0xaf)))
    return 'Genoa';
  if (family === 0x1a && model <= 0x1f) return 'Turin';
  return refuse(
    'product-not-accepted',
    `no known product has family 0x${family.toString(16)}, model ${model}`,
  );
}

/** Turin moved the parts and put `fmc` before them. */
function tcbOf(bytes: Buffer, product: Product): SnpTcb {
  const at = (index: number) => bytes.readUInt8(index);
  return product === 'Turin'
    ? { fmc: at(0), bootloader: at(1), tee: at(2), snp: at(3), microcode: at(7) }
    : { fmc: 0, bootloader: at(0), tee: at(1), snp: at(6), microcode: at(7) };
}

function signatureOf(bytes: Buffer): Buffer {
  const halves = [SIGNATURE_AT, SIGNATURE_AT + HALF].map((at) => {
    if (!isZero(bytes.subarray(at + 48, at + HALF)))
      refuse('report-malformed', 'a half of the signature is longer than 48 bytes');
    return Buffer.from(bytes.subarray(at, at + 48)).reverse();
  });
  return Buffer.concat(halves);
}

export function isAtLeast(tcb: SnpTcb, minimum: SnpTcb): boolean {
  return TCB_PARTS.every((part) => tcb[part] >= minimum[part]);
}

export function tcbText(tcb: SnpTcb): string {
  return TCB_PARTS.map((part) => `${part} ${tcb[part]}`).join(', ');
}
