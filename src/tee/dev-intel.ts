import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { FIXED_HALVES } from './bytes.ts';
import { pemOf } from './certificate.ts';
import { type ChainFault, type DevChain, type DevIdentity, devChain, devCrl, issue } from './dev-chain.ts';
import { der, derInteger, derOid } from './dev-der.ts';
import { devQeIdentity, devTcbInfo, type Json } from './dev-intel-collateral.ts';
import type { CollateralItem, Evidence } from './evidence.ts';

export interface DevQuoteOptions {
  readonly nowMs: number;
  /** 3: SGX; 4 and 5: TDX. */
  readonly version?: 3 | 4 | 5;
  readonly reportData?: Buffer;
  readonly fault?: ChainFault | undefined;
  readonly root?: DevIdentity | undefined;
  /** Changes header and body (offsets of the whole quote) before they are signed. */
  readonly alter?: (signed: Buffer) => void;
  /** Changes the quoting enclave's report before it is signed. */
  readonly alterQe?: (report: Buffer) => void;
  /** Changes the finished quote. */
  readonly alterQuote?: (quote: Buffer) => Buffer;
  readonly alterTcbInfo?: (info: Json) => void;
  readonly alterQeIdentity?: (identity: Json) => void;
  /** Who signs the collateral, in place of the signer below the root. */
  readonly signer?: (chain: DevChain) => Promise<DevIdentity>;
  readonly collateral?: (
    items: readonly CollateralItem[],
    chain: DevChain,
  ) => Promise<readonly CollateralItem[]>;
}

const DEV_FMSPC = '00606a000000';
const SGX_EXTENSION = '1.2.840.113741.1.13.1';
const QE_VENDOR = '939a7233f79c4ca9940a0db3957f0607';
/** Bodies by version: TDX 1.5 has the longer one, and its version 5 a header of its own. */
const BODY = { 3: 384, 4: 584, 5: 648 } as const;

/** A quote of the development PKI, in the form of Intel SGX or TDX, with its collateral. */
export async function devQuote(options: DevQuoteOptions): Promise<Evidence & { readonly root: Buffer }> {
  const { version = 4, nowMs, fault, root } = options;
  const chain = await devChain({
    nowMs,
    names: { root: 'dev-SGX-root', intermediate: 'dev-SGX-PCK-CA', leaf: 'dev-SGX-PCK' },
    caAlgorithm: 'P-256',
    leafAlgorithm: 'P-256',
    leafExtensions: [{ oid: SGX_EXTENSION, value: sgxExtension() }],
    fault,
    root,
  });
  const signed = signedPart(options, version);
  options.alter?.(signed);
  const quote = Buffer.concat([signed, signatureData(signed, chain, version, options)]);
  const items = await collateralOf(chain, options);
  return {
    kind: version === 3 ? 'sgx' : 'tdx',
    bytes: options.alterQuote ? options.alterQuote(quote) : quote,
    collateral: options.collateral ? await options.collateral(items, chain) : items,
    root: chain.root.certificate,
  };
}

function sgxExtension(): Buffer {
  const field = (arc: string, value: Buffer) => der(0x30, derOid(`${SGX_EXTENSION}.${arc}`), value);
  const components = Array.from({ length: 16 }, (_, index) => field(`2.${index + 1}`, derInteger(5)));
  return der(
    0x30,
    field('1', der(0x04, Buffer.alloc(16))),
    field('2', der(0x30, ...components, field('2.17', derInteger(13)))),
    field('3', der(0x04, Buffer.alloc(2))),
    field('4', der(0x04, Buffer.from(DEV_FMSPC, 'hex'))),
  );
}

function signedPart({ reportData }: DevQuoteOptions, version: 3 | 4 | 5): Buffer {
  const header = Buffer.alloc(48);
  header.writeUInt16LE(version, 0);
  header.writeUInt16LE(2, 2);
  header.writeUInt32LE(version === 3 ? 0 : 0x81, 4);
  Buffer.from(QE_VENDOR, 'hex').copy(header, 12);
  const body = version === 3 ? enclaveReport(0x22) : tdReport(BODY[version]);
  reportData?.copy(body, version === 3 ? 320 : 520);
  const prefix = Buffer.alloc(version === 5 ? 6 : 0);
  if (version === 5) {
    prefix.writeUInt16LE(3, 0);
    prefix.writeUInt32LE(BODY[5], 2);
  }
  return Buffer.concat([header, prefix, body]);
}

/** Initialised and 64-bit, as every enclave in production. */
function enclaveReport(fill: number): Buffer {
  const report = Buffer.alloc(384);
  report.writeBigUInt64LE(5n, 48);
  report.fill(fill, 64, 96);
  report.fill(fill + 1, 128, 160);
  report.writeUInt16LE(1, 256);
  report.writeUInt16LE(8, 258);
  return report;
}

function tdReport(length: number): Buffer {
  const report = Buffer.alloc(length);
  Buffer.of(6, 1, 3).copy(report, 0);
  report.writeBigUInt64LE(1n << 28n, 120);
  report.fill(0x33, 136, 184);
  for (const [index, at] of [328, 376, 424, 472].entries()) report.fill(0x40 + index, at, at + 48);
  return report;
}

function signatureData(
  signed: Buffer,
  chain: DevChain,
  version: 3 | 4 | 5,
  { alterQe }: DevQuoteOptions,
): Buffer {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  const authentication = Buffer.alloc(32, 9);
  const qeReport = enclaveReport(0x60);
  createHash('sha256').update(point).update(authentication).digest().copy(qeReport, 320);
  alterQe?.(qeReport);
  const pem = [chain.leaf, chain.intermediate, chain.root]
    .map(({ certificate }) => pemOf(certificate))
    .join('');
  const certified = Buffer.concat([
    qeReport,
    fixed(qeReport, chain.leaf.key),
    withLength(2, authentication),
    block(5, Buffer.from(pem)),
  ]);
  const data = [fixed(signed, privateKey), point, version === 3 ? certified : block(6, certified)];
  return withLength(4, Buffer.concat(data));
}

function fixed(bytes: Buffer, key: KeyObject): Buffer {
  return sign('sha256', bytes, { key, dsaEncoding: FIXED_HALVES });
}

function withLength(size: 2 | 4, bytes: Buffer): Buffer {
  const length = Buffer.alloc(size);
  length.writeUIntLE(bytes.length, 0, size);
  return Buffer.concat([length, bytes]);
}

function block(type: number, bytes: Buffer): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16LE(type);
  return Buffer.concat([head, withLength(4, bytes)]);
}

async function collateralOf(chain: DevChain, options: DevQuoteOptions): Promise<readonly CollateralItem[]> {
  const { nowMs, version = 4 } = options;
  const signer =
    (await options.signer?.(chain)) ??
    (await issue({
      nowMs,
      name: 'Intel SGX TCB Signing',
      algorithm: 'P-256',
      isCa: false,
      issuer: chain.root,
    }));
  const issuerChain = [signer, chain.root].map(({ certificate }) => pemOf(certificate)).join('');
  const reply = (field: string, content: Json): Buffer => {
    const text = JSON.stringify(content);
    const signature = fixed(Buffer.from(text), signer.key).toString('hex');
    return Buffer.from(`{"${field}":${text},"signature":"${signature}"}`);
  };
  const tee = version === 3 ? 'SGX' : 'TDX';
  const info = devTcbInfo(tee, nowMs, DEV_FMSPC);
  options.alterTcbInfo?.(info);
  const identity = devQeIdentity(tee, nowMs);
  options.alterQeIdentity?.(identity);
  return [
    { name: 'tcb-info', content: reply('tcbInfo', info), issuerChain },
    { name: 'qe-identity', content: reply('enclaveIdentity', identity), issuerChain },
    { name: 'crl', content: await devCrl({ nowMs, issuer: chain.root }) },
    { name: 'crl', content: await devCrl({ nowMs, issuer: chain.intermediate }) },
  ];
}
