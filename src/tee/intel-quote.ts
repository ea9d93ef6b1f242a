import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { asBuffer, FIXED_HALVES, isZero } from './bytes.ts';
import { readCertificates } from './certificate.ts';
import { checkChain } from './chain.ts';
import { checkRevocation, crlsOf } from './crl.ts';
import type { Evidence } from './evidence.ts';
import { type Examination, refuse } from './examination.ts';
import { type QeIdentity, readIntelCollateral, type TcbInfo } from './intel-collateral.ts';
import { type Pck, readPck } from './pck.ts';
import { type EnclaveReport, type Quote, readQuote } from './quote.ts';

/** What both of Intel's TEEs share: the quote with its signatures, and the state of the platform by Intel's collateral. */
export interface IntelFindings {
  readonly quote: Quote;
  readonly pck: Pck;
  readonly tcbInfo: TcbInfo;
  /** Status of each part: `platform`, `quoting enclave`; TDX adds its module. */
  readonly statuses: Readonly<Record<string, string>>;
  readonly advisories: readonly string[];
}

export interface IntelRules {
  readonly tee: 'sgx' | 'tdx';
  readonly tcbStatuses: readonly string[];
  readonly maxCollateralAge: number;
}

/** Checks a quote up to its body, which is the kind's own matter. */
export function examineQuote(evidence: Evidence, rules: IntelRules, examination: Examination): IntelFindings {
  const quote = readQuote(Buffer.from(evidence.bytes), rules.tee, examination);
  const chain = readCertificates(quote.pckChain).toReversed();
  const crls = crlsOf(evidence.collateral);
  checkChain(chain, examination);
  const maxAgeMs = rules.maxCollateralAge;
  checkRevocation(chain, crls, { isRequired: () => true, maxAgeMs }, examination);
  const leaf = chain.at(-1) ?? refuse('chain-invalid', 'the quote has no PCK chain');
  const pck = readPck(leaf);
  checkSignatures(quote, leaf.publicKey, examination);
  const { tcbInfo, qeIdentity } = readIntelCollateral(
    { collateral: evidence.collateral, crls, tee: rules.tee, pck, maxAgeMs },
    examination,
  );
  checkQuotingEnclave(quote.qeReport, qeIdentity, examination);
  const level = platformLevel(tcbInfo, pck, 'tdx' in quote.body ? quote.body.tdx.teeTcbSvn : undefined);
  const qeLevel = svnLevel(qeIdentity.tcbLevels, quote.qeReport.isvSvn, 'quoting enclave');
  const statuses = { platform: level.tcbStatus, 'quoting enclave': qeLevel.tcbStatus };
  for (const [part, status] of Object.entries(statuses)) checkStatus(part, status, rules, examination);
  const advisories = [...new Set([...level.advisoryIDs, ...qeLevel.advisoryIDs])];
  return { quote, pck, tcbInfo, statuses, advisories };
}

/** PCK → quoting enclave's report → attestation key → quote. */
function checkSignatures(quote: Quote, pckKey: KeyObject, examination: Examination): void {
  examination.demand(
    isSigned(quote.qeReport.raw, pckKey, quote.qeSignature),
    'qe-signature-invalid',
    'the PCK did not sign the quoting enclave’s report',
  );
  const bound = createHash('sha256').update(quote.attestationKey).update(quote.qeAuthentication).digest();
  const { reportData } = quote.qeReport;
  examination.demand(
    reportData.subarray(0, 32).equals(bound) && isZero(reportData.subarray(32)),
    'key-unbound',
    'the quoting enclave’s report is about another attestation key',
  );
  examination.demand(
    isSigned(quote.signed, attestationKeyOf(quote.attestationKey), quote.signature),
    'signature-invalid',
    'the attestation key did not sign this quote',
  );
}

function isSigned(signed: Buffer, key: KeyObject, signature: Buffer): boolean {
  const isP256 = key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
  return isP256 && verify('sha256', signed, { key, dsaEncoding: FIXED_HALVES }, signature);
}

function attestationKeyOf(point: Buffer): KeyObject {
  const [x, y] = [point.subarray(0, 32), point.subarray(32)].map((half) => half.toString('base64url'));
  try {
    return createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y } as never, format: 'jwk' });
  } catch {
    // A point that is not on the curve.
    return refuse('signature-invalid', 'the attestation key is no point of P-256');
  }
}

function checkQuotingEnclave(report: EnclaveReport, identity: QeIdentity, examination: Examination): void {
  // MISCSELECT is a number in the report and its little-endian bytes in the identity.
  const miscSelect = Buffer.alloc(4);
  miscSelect.writeUInt32LE(report.miscSelect);
  const differing = Object.entries({
    MRSIGNER: report.mrSigner.equals(Buffer.from(identity.mrsigner, 'hex')),
    ISVPRODID: report.isvProdId === identity.isvprodid,
    MISCSELECT: equalsMasked(miscSelect, identity.miscselect, identity.miscselectMask),
    ATTRIBUTES: equalsMasked(report.attributes, identity.attributes, identity.attributesMask),
  }).filter(([, isEqual]) => !isEqual);
  examination.demand(
    differing.length === 0,
    'qe-mismatch',
    `the quoting enclave is not Intel’s: ${differing.map(([field]) => field).join(', ')} differs`,
  );
}

/** Whether the bits under the mask are the expected ones. */
export function equalsMasked(bytes: Buffer, expectedHex: string, maskHex: string): boolean {
  const [expected, mask] = [asBuffer(Buffer.from(expectedHex, 'hex')), Buffer.from(maskHex, 'hex')];
  return bytes.every((byte, index) => (byte & (mask[index] ?? 0xff)) === expected[index]);
}

/** The first level, best first, whose every part the platform reaches. */
function platformLevel({ tcbLevels }: TcbInfo, pck: Pck, teeTcbSvn: Buffer | undefined) {
  const level = tcbLevels.find(
    ({ tcb }) =>
      tcb.sgxtcbcomponents.every(({ svn }, index) => (pck.components[index] ?? 0) >= svn) &&
      pck.pceSvn >= tcb.pcesvn &&
      (teeTcbSvn === undefined || reachesTdx(teeTcbSvn, tcb.tdxtcbcomponents)),
  );
  return (
    level ?? refuse('tcb-no-level', `no TCB level matches the platform: SGX ${pck.components.join(',')}`)
  );
}

/** With a module of its own version (byte 1), the first two bytes are the module's: its identity is compared with those. */
function reachesTdx(svns: Buffer, components: readonly { readonly svn: number }[] | undefined): boolean {
  const first = (svns[1] ?? 0) > 0 ? 2 : 0;
  return components?.every(({ svn }, index) => index < first || (svns[index] ?? 0) >= svn) ?? false;
}

export function svnLevel(levels: QeIdentity['tcbLevels'], isvSvn: number, what: string) {
  return (
    levels.find(({ tcb }) => isvSvn >= tcb.isvsvn) ??
    refuse('tcb-no-level', `no TCB level matches the ${what} of ISVSVN ${isvSvn}`)
  );
}

export function checkStatus(
  part: string,
  status: string,
  { tcbStatuses }: Pick<IntelRules, 'tcbStatuses'>,
  examination: Examination,
): void {
  examination.expect(
    tcbStatuses.includes(status),
    'tcb-status',
    `the ${part} is ${status}; the policy accepts ${tcbStatuses.join(', ')}`,
  );
}
