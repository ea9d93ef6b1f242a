import { verify } from 'node:crypto';
import { asBuffer, FIXED_HALVES, isZero, toHex } from './bytes.ts';
import { type Certificate, readCertificate } from './certificate.ts';
import { checkChain } from './chain.ts';
import { checkRevocation, crlsOf } from './crl.ts';
import { type Endorsement, endorses, readEndorsement } from './endorsement.ts';
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
import type { Findings, Measured } from './verdict.ts';

/** Checks a report of AMD SEV-SNP that a chip's own key (VCEK) signed, or one that a cloud provider loaded (VLEK). */
export function examineSnp(evidence: Evidence, policy: SnpPolicy, examination: Examination): Findings {
  const report = readSnpReport(Buffer.from(evidence.bytes), examination);
  const chain = chainOf(evidence, report);
  const [, intermediate, leaf] = chain;
  checkChain(chain, examination);
  checkRevocation(
    chain,
    crlsOf(evidence.collateral),
    {
      // AMD lists intermediate keys only: a chip's certificate is replaced by raising its TCB.
      isRequired: (certificate) => policy.revocation === 'required' && certificate !== leaf,
      maxRootAgeMs: policy.maxCollateralAge,
    },
    examination,
  );
  const endorsement = readEndorsement(report.signer, leaf);
  const { product, provider } = endorsement;
  checkIssuer(endorsement, intermediate, examination);
  checkProvider(endorsement, policy, examination);
  checkProduct(report, endorsement, policy, examination);
  checkSignature(report, leaf, examination);
  checkChip(report, endorsement, examination);
  const tcb = report.tcb(product);
  checkTcb(tcb, endorsement, policy.minimumTcb[product], examination);
  checkGuest(report, policy, examination);
  return {
    claims: {
      platform: `AMD SEV-SNP, ${product}, report version ${report.version}`,
      measurements: {
        measurement: toHex(report.measurement),
        hostData: toHex(report.hostData),
        idKeyDigest: toHex(report.idKeyDigest),
      },
      reportData: report.reportData,
      tcb: { product, ...tcb },
      details: {
        signer: report.signer,
        ...(provider !== undefined && { vlekProvider: provider }),
        chipId: toHex(report.chipId),
        guestPolicy: `0x${report.guestPolicy.toString(16)}`,
        vmpl: report.vmpl,
      },
    },
    measured: measuredBy(report, policy),
  };
}

type SnpChain = readonly [ark: Certificate, intermediate: Certificate, leaf: Certificate];

/** ARK, ASK and VCEK, or ARK, ASVK and VLEK: found by their names, in whatever order the collateral has them. */
function chainOf({ collateral }: Evidence, { signer }: SnpReport): SnpChain {
  const certificates = collateralNamed(collateral, 'certificate').map(({ content }) =>
    readCertificate(asBuffer(content)),
  );
  const leaf = certificates.find((certificate) => endorses(signer, certificate));
  const intermediate = leaf && certificates.find(({ subject }) => subject.equals(leaf.issuer));
  const ark = intermediate && certificates.find(({ subject }) => subject.equals(intermediate.issuer));
  const missing = leaf ? (intermediate ? 'ARK' : signer === 'VCEK' ? 'ASK' : 'ASVK') : signer;
  if (!leaf || !intermediate || !ark)
    return refuse('certificate-missing', `the collateral has no ${missing} for this report`);
  return [ark, intermediate, leaf];
}

/** AMD signs the certificates of chips and those of providers with two keys (`SEV-Milan`, `SEV-VLEK-Milan`). */
function checkIssuer({ signer }: Endorsement, { name }: Certificate, examination: Examination): void {
  examination.demand(
    name.includes('SEV-VLEK-') === (signer === 'VLEK'),
    'certificate-mismatch',
    `'${name}' signs no certificates of a ${signer}`,
  );
}

/** Every chip of a provider may hold its VLEK: which provider that is, is what such a report says of the machine. */
function checkProvider(
  { signer, provider = '' }: Endorsement,
  { vlekProviders }: SnpPolicy,
  examination: Examination,
): void {
  if (signer === 'VCEK') return;
  if (!vlekProviders)
    examination.fault(
      'signer-unsupported',
      `a VLEK of '${provider}' signed the report; the policy accepts the chip’s own key only (vlekProviders)`,
    );
  else if (vlekProviders !== 'any')
    examination.expect(
      vlekProviders.includes(provider),
      'provider-not-accepted',
      `the policy accepts the VLEK of ${vlekProviders.join(', ')}; this is of '${provider}'`,
    );
}

function checkProduct(
  report: SnpReport,
  { signer, product }: Endorsement,
  policy: SnpPolicy,
  examination: Examination,
): void {
  examination.demand(
    report.product === undefined || report.product === product,
    'product-not-accepted',
    `the report is of ${report.product}, its ${signer} of ${product}`,
  );
  examination.expect(
    policy.minimumTcb[product] !== undefined,
    'product-not-accepted',
    `the policy accepts ${Object.keys(policy.minimumTcb).join(', ')}; this is ${product}`,
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

/** A VLEK is of no one chip, so nothing says which chip it was; hosts that load one mask the id. */
function checkChip(
  { chipId }: SnpReport,
  { hardwareId, product }: Endorsement,
  examination: Examination,
): void {
  if (!hardwareId) return;
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
  { reported, committed, current, launch }: ReturnType<SnpReport['tcb']>,
  { signer, tcb: certified }: Endorsement,
  minimum: SnpTcb | undefined,
  examination: Examination,
): void {
  examination.demand(
    TCB_PARTS.every((part) => reported[part] === certified[part]),
    'tcb-mismatch',
    `the report is of TCB ${tcbText(reported)}, its ${signer} of ${tcbText(certified)}`,
  );
  examination.expect(
    isAtLeast(committed, reported) && isAtLeast(current, committed),
    'tcb-order',
    `reported ${tcbText(reported)}; committed ${tcbText(committed)}; current ${tcbText(current)}`,
  );
  if (!minimum) return;
  for (const [name, tcb] of Object.entries({ reported, committed, launch }))
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
