import { isZero } from './bytes.ts';
import { derOfPem, pemOf } from './certificate.ts';
import { type Examination, refuse } from './examination.ts';

/** The fields of an SGX enclave's report (Intel SGX DCAP, "enclave report body"), 384 bytes, little-endian. */
export interface EnclaveReport {
  readonly raw: Buffer;
  readonly miscSelect: number;
  readonly attributes: Buffer;
  readonly mrEnclave: Buffer;
  readonly mrSigner: Buffer;
  readonly isvProdId: number;
  readonly isvSvn: number;
  readonly reportData: Buffer;
}

/** The fields of a TD's report (Intel TDX DCAP, "TD quote body"), 584 or 648 bytes. */
export interface TdReport {
  readonly teeTcbSvn: Buffer;
  readonly mrSignerSeam: Buffer;
  readonly seamAttributes: Buffer;
  readonly tdAttributes: bigint;
  readonly mrTd: Buffer;
  readonly rtmrs: readonly Buffer[];
  readonly reportData: Buffer;
  /** The measurement of a migration TD; `undefined` in the body of TDX 1.0. */
  readonly mrServiceTd: Buffer | undefined;
}

/** A quote of SGX (version 3) or TDX (4, 5), taken apart; nothing in it is believed yet. */
export interface Quote {
  readonly version: number;
  readonly body: { readonly sgx: EnclaveReport } | { readonly tdx: TdReport };
  /** Header and body: what the attestation key signed. */
  readonly signed: Buffer;
  readonly signature: Buffer;
  /** x and y of a point on P-256. */
  readonly attestationKey: Buffer;
  readonly qeReport: EnclaveReport;
  readonly qeSignature: Buffer;
  readonly qeAuthentication: Buffer;
  /** The PCK chain, leaf first. */
  readonly pckChain: string;
}

const HEADER = 48;
const ENCLAVE_REPORT = 384;
const [TD_REPORT_10, TD_REPORT_15] = [584, 648];
const [TEE_SGX, TEE_TDX] = [0, 0x81];
const ECDSA_P256 = 2;
const INTEL_QE = '939a7233f79c4ca9940a0db3957f0607';
const [PCK_CHAIN, QE_REPORT] = [5, 6];

/** @throws Refusal `quote-malformed`, `version-unsupported`, `signer-unsupported` */
export function readQuote(bytes: Buffer, tee: 'sgx' | 'tdx', examination: Examination): Quote {
  const cursor = new Cursor(bytes);
  const header = cursor.take(HEADER);
  const version = header.readUInt16LE(0);
  checkHeader(header, version, tee, examination);
  const body = readBody(cursor, version, tee);
  const signed = bytes.subarray(0, cursor.at);
  const signatureData = new Cursor(cursor.take(cursor.uint32()));
  // What follows is signed by nothing and read by nothing; platforms fill it with zeros.
  examination.expect(
    isZero(bytes.subarray(cursor.at)),
    'trailing-bytes',
    `${bytes.length - cursor.at} bytes that are not all zero follow the signature data`,
  );
  const signature = signatureData.take(64);
  const attestationKey = signatureData.take(64);
  const certified = readCertification(version, signatureData);
  return { version, body, signed, signature, attestationKey, ...certified };
}

function checkHeader(header: Buffer, version: number, tee: 'sgx' | 'tdx', examination: Examination): void {
  const versions = tee === 'sgx' ? [3] : [4, 5];
  examination.demand(
    versions.includes(version),
    'version-unsupported',
    `the quote is of version ${version}; known for ${tee} are ${versions.join(', ')}`,
  );
  const teeType = header.readUInt32LE(4);
  examination.demand(
    teeType === (tee === 'sgx' ? TEE_SGX : TEE_TDX),
    'version-unsupported',
    `the quote is of the TEE type 0x${teeType.toString(16)}`,
  );
  const keyType = header.readUInt16LE(2);
  examination.demand(keyType === ECDSA_P256, 'signer-unsupported', `an attestation key of type ${keyType}`);
  const vendor = header.toString('hex', 12, 28);
  examination.demand(vendor === INTEL_QE, 'signer-unsupported', `a quoting enclave of the vendor ${vendor}`);
}

function readBody(cursor: Cursor, version: number, tee: 'sgx' | 'tdx'): Quote['body'] {
  if (tee === 'sgx') return { sgx: enclaveReport(cursor.take(ENCLAVE_REPORT)) };
  if (version === 4) return { tdx: tdReport(cursor.take(TD_REPORT_10)) };
  const [type, length] = [cursor.uint16(), cursor.uint32()];
  const expected = type === 2 ? TD_REPORT_10 : type === 3 ? TD_REPORT_15 : undefined;
  if (expected === undefined) return refuse('version-unsupported', `the body is of type ${type}`);
  if (length !== expected) refuse('quote-malformed', `a body of type ${type} has ${length} bytes`);
  return { tdx: tdReport(cursor.take(length)) };
}

/** From version 4 on, what certifies the key is wrapped once more. */
function readCertification(version: number, data: Cursor) {
  const inner = version === 3 ? data : new Cursor(data.block(QE_REPORT));
  const qeReport = enclaveReport(inner.take(ENCLAVE_REPORT));
  const qeSignature = inner.take(64);
  const qeAuthentication = inner.take(inner.uint16());
  const pckChain = canonicalPem(inner.block(PCK_CHAIN).toString('latin1'));
  inner.end();
  data.end();
  return { qeReport, qeSignature, qeAuthentication, pckChain };
}

/** Nothing signs the chain's text: only one text counts for one chain, so that a quote cannot be changed and still count. */
function canonicalPem(text: string): string {
  const chain = text.replace(/\n?\0?$/, '\n');
  if (derOfPem(chain).map(pemOf).join('') !== chain)
    refuse('quote-malformed', 'the PCK chain holds more than its certificates in PEM');
  return chain;
}

function enclaveReport(raw: Buffer): EnclaveReport {
  return {
    raw,
    miscSelect: raw.readUInt32LE(16),
    attributes: raw.subarray(48, 64),
    mrEnclave: raw.subarray(64, 96),
    mrSigner: raw.subarray(128, 160),
    isvProdId: raw.readUInt16LE(256),
    isvSvn: raw.readUInt16LE(258),
    reportData: raw.subarray(320, 384),
  };
}

function tdReport(raw: Buffer): TdReport {
  return {
    teeTcbSvn: raw.subarray(0, 16),
    mrSignerSeam: raw.subarray(64, 112),
    seamAttributes: raw.subarray(112, 120),
    tdAttributes: raw.readBigUInt64LE(120),
    mrTd: raw.subarray(136, 184),
    rtmrs: [328, 376, 424, 472].map((at) => raw.subarray(at, at + 48)),
    reportData: raw.subarray(520, 584),
    mrServiceTd: raw.length === TD_REPORT_15 ? raw.subarray(600, 648) : undefined,
  };
}

class Cursor {
  at = 0;
  readonly #bytes: Buffer;
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(length: number): Buffer {
    if (length > this.#bytes.length - this.at)
      refuse('quote-malformed', `${length} bytes are announced where ${this.#bytes.length - this.at} remain`);
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }

  uint16(): number {
    return this.take(2).readUInt16LE();
  }

  uint32(): number {
    return this.take(4).readUInt32LE();
  }

  /** Certification data: its type, its length, itself. */
  block(expected: number): Buffer {
    const type = this.uint16();
    if (type !== expected)
      refuse('signer-unsupported', `certification data of type ${type}, not ${expected}`);
    return this.take(this.uint32());
  }

  end(): void {
    if (this.at !== this.#bytes.length)
      refuse('quote-malformed', `${this.#bytes.length - this.at} bytes too many in the signature data`);
  }
}
