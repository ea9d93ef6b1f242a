import { verify } from 'node:crypto';
import { asBuffer, FIXED_HALVES, isZero, toHex } from './bytes.ts';
import { type Certificate, readCertificate } from './certificate.ts';
import { checkChain } from './chain.ts';
import { checkRevocation, crlsOf } from './crl.ts';
import { collateralNamed, type Evidence } from './evidence.ts';
import { type Examination, refuse } from './examination.ts';
import type { SnpPolicy } from './policy.ts';
import {
  GUEST_POLICY,
  isAtLeast,
  readSnpReport,
  type SnpReport,
  type SnpTcb,
  TCB_PARTS,
  tcbText,
} from './snp-report.ts';
import { isVcek, readVcek, type Vcek } from './vcek.ts';
import type { Findings, Measured } from './verdict.ts';

/** Checks a report of AMD SEV-SNP that a chip's own key (VCEK) signed. */
export function examineSnp(evidence: Evidence, policy: SnpPolicy, examination: Examination): Findings {
  const report = readSnpReport(Buffer.from(evidence.bytes), examination);
  const chain = chainOf(evidence);
  const leaf = chain[2];
  checkChain(chain, examination);
  checkRevocation(
    chain,
    crlsOf(evidence.collateral),
    {
      // AMD lists intermediate keys only: a chip's certificate is replaced by raising its TCB.
      isRequired: (certificate) => policy.revocation === 'required' && certificate !== leaf,
      maxAgeMs: policy.maxCollateralAge,
    },
    examination,
  );
  const vcek = readVcek(leaf);
  checkProduct(report, vcek, policy, examination);
  checkSignature(report, leaf, examination);
  checkChip(report, vcek, examination);
  const tcb = report.tcb(vcek.product);
  checkTcb(tcb, vcek, policy.minimumTcb[vcek.product], examination);
  checkGuest(report, policy, examination);
  return {
    claims: {
      platform: `AMD SEV-SNP, ${vcek.product}, report version ${report.version}`,
      measurements: {
        measurement: toHex(report.measurement),
        hostData: toHex(report.hostData),
        idKeyDigest: toHex(report.idKeyDigest),
      },
      reportData: report.reportData,
      tcb: { product: vcek.product, ...tcb },
      details: {
        chipId: toHex(report.chipId),
        guestPolicy: `0x${report.guestPolicy.toString(16)}`,
        vmpl: report.vmpl,
      },
    },
    measured: measuredBy(report, policy),
  };
}

/** ARK, ASK, VCEK: found by their names, in whatever order the collateral has them. */
function chainOf({ collateral }: Evidence): readonly [Certificate, Certificate, Certificate] {
  const certificates = collateralNamed(collateral, 'certificate').map(({ content }) =>
    readCertificate(asBuffer(content)),
  );
  const vcek = certificates.find(isVcek);
  const ask = vcek && certificates.find(({ subject }) => subject.equals(vcek.issuer));
  const ark = ask && certificates.find(({ subject }) => subject.equals(ask.issuer));
  const missing = vcek ? (ask ? 'ARK' : 'ASK') : 'VCEK';
  if (!vcek || !ask || !ark)
    return refuse('certificate-missing', `the collateral has no ${missing} for this report`);
  return [ark, ask, vcek];
}

function checkProduct(report: SnpReport, vcek: Vcek, policy: SnpPolicy, examination: Examination): void {
  examination.demand(
    report.product === undefined || report.product === vcek.product,
    'product-not-accepted',
    `the report is of ${report.product}, its VCEK of ${vcek.product}`,
  );
  examination.expect(
    policy.minimumTcb[vcek.product] !== undefined,
    'product-not-accepted',
    `the policy accepts ${Object.keys(policy.minimumTcb).join(', ')}; this is ${vcek.product}`,
  );
}

function checkSignature(report: SnpReport, leaf: Certificate, examination: Examination): void {
  const { publicKey } = leaf;
  examination.demand(
    publicKey.asymmetricKeyDetails?.namedCurve === 'secp384r1' &&
      verify('sha384', report.signed, { key: publicKey, dsaEncoding: FIXED_HALVES }, report.signature),
    'signature-invalid',
    `'${leaf.name}' did not sign this report`,
  );
}

function checkChip({ chipId }: SnpReport, { hardwareId, product }: Vcek, examination: Examination): void {
  examination.demand(!isZero(chipId), 'chip-id-masked', 'the chip id is zero: the host masks it');
  // From Turin on the id has 8 bytes, and zeros fill the field of the report.
  const length = product === 'Turin' ? 8 : 64;
  examination.demand(
    hardwareId.length === length &&
      hardwareId.equals(chipId.subarray(0, length)) &&
      isZero(chipId.subarray(length)),
    'certificate-mismatch',
    `the report is of the chip ${toHex(chipId)}, the VCEK of ${toHex(hardwareId)}`,
  );
}

function checkTcb(
  { reported, committed, current }: ReturnType<SnpReport['tcb']>,
  vcek: Vcek,
  minimum: SnpTcb | undefined,
  examination: Examination,
): void {
  examination.demand(
    TCB_PARTS.every((part) => reported[part] === vcek.tcb[part]),
    'tcb-mismatch',
    `the report is of TCB ${tcbText(reported)}, its VCEK of ${tcbText(vcek.tcb)}`,
  );
  examination.expect(
    isAtLeast(committed, reported) && isAtLeast(current, committed),
    'tcb-order',
    `reported ${tcbText(reported)}; committed ${tcbText(committed)}; current ${tcbText(current)}`,
  );
  if (!minimum) return;
  for (const [name, tcb] of Object.entries({ reported, committed }))
    examination.expect(
      isAtLeast(tcb, minimum),
      'tcb-outdated',
      `the ${name} TCB is ${tcbText(tcb)}; the policy demands ${tcbText(minimum)}`,
    );
}

function checkGuest(report: SnpReport, { maxVmpl }: SnpPolicy, examination: Examination): void {
  const policyText = `the guest policy is 0x${report.guestPolicy.toString(16)}`;
  examination.expect(
    (report.guestPolicy & GUEST_POLICY.debug) === 0n,
    'debug',
    `${policyText}: the host may read the guest’s memory`,
  );
  examination.expect(
    (report.guestPolicy & GUEST_POLICY.migrationAgent) === 0n,
    'migration-allowed',
    `${policyText}: a migration agent may take the guest elsewhere`,
  );
  examination.expect(
    report.vmpl <= maxVmpl,
    'vmpl-not-accepted',
    `the report was asked for at VMPL ${report.vmpl}; the policy accepts up to ${maxVmpl}`,
  );
  examination.expect(!isZero(report.measurement), 'measurement-zero', 'the measurement is zero');
}

function measuredBy(report: SnpReport, { measurements }: SnpPolicy): Measured | undefined {
  if (measurements === 'any') return { name: 'any', covers: 'platform only' };
  return measurements.find(
    ({ measurement, hostData, idKeyDigest }) =>
      measurement === toHex(report.measurement) &&
      (hostData === undefined || hostData === toHex(report.hostData)) &&
      (idKeyDigest === undefined || idKeyDigest === toHex(report.idKeyDigest)),
  );
}
