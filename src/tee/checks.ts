import type { EvidenceKind } from './evidence.ts';

const NSM = 'NSM attestation_process.md';
const NITROTPM = 'EC2 user guide, NitroTPM validation';
const COSE = 'RFC 9052';
const RFC5280 = 'RFC 5280';
const AMD = 'AMD 56860 (SNP firmware ABI)';
const VCEK = 'AMD 57230 (VCEK and KDS), 58369 (VLEK)';
const QUOTE = 'Intel TDX DCAP quoting library API';
const SGX_QUOTE = 'Intel SGX DCAP quoting library API';
const PCS = 'Intel PCS API v4';
const TDX = 'Intel TDX module ABI';
const TPM = 'TPM 2.0 library part 2';
const OURS = 'policy';

/** One row of the tables in docs/attestation.md: the reason a refusal names, what is demanded, and by which document. */
const row = <Id extends string>(check: Id, demand: string, source: string) => ({ check, demand, source });

const ACCEPTED = [
  row('kind-not-accepted', 'the policy accepts this kind of evidence', OURS),
  row('evidence-size', 'the evidence is not longer than any of its kind', OURS),
] as const;

const CHAIN = [
  row('certificate-malformed', 'certificates are version 3 DER without bytes that do not belong', RFC5280),
  row('root-foreign', 'the chain begins with a root of the vendor, known by its SHA-256', 'vendor'),
  row('chain-invalid', 'each certificate names and is signed by the one before it', RFC5280),
  row(
    'certificate-constraints',
    'issuers are CAs, within their path length; no unknown critical extension',
    RFC5280,
  ),
  row('certificate-not-yet-valid', 'no certificate is used before its first second', RFC5280),
  row('certificate-expired', 'no certificate is used after its last second', RFC5280),
  row('crl-missing', 'a CRL of each issuer is there, where the platform or the policy demands it', RFC5280),
  row('crl-invalid', 'a CRL is well formed and signed by the issuer', RFC5280),
  row('crl-expired', 'a CRL is used between its first and its next update', RFC5280),
  row('certificate-revoked', 'no certificate is on the list of its issuer', RFC5280),
] as const;

const AGED = [
  row('collateral-too-old', 'collateral is not older than the policy allows, by its signed date', OURS),
] as const;

const MEASURED = [
  row('measurement-unknown', 'the measurement is one that the policy names', OURS),
  row('coverage-too-small', 'the measurement covers as much as the policy demands', OURS),
  row('report-data-mismatch', 'the report data is what is expected', OURS),
] as const;

/** The field may be left out; in reports and quotes it is always there. */
const BOUND = [
  row('report-data-missing', 'the evidence carries report data, when some is expected', OURS),
] as const;

const COSE_DOCUMENT = [
  row('cbor-malformed', 'the document is CBOR in its shortest form', 'RFC 8949'),
  row('cbor-duplicate-key', 'no map has a key twice', 'RFC 8949'),
  row('trailing-bytes', 'nothing follows the document, nor the payload in it', 'RFC 8949'),
  row('cose-malformed', 'COSE_Sign1: only ES384 in the protected header, 96 bytes of signature', COSE),
] as const;

const COSE_SIGNED = [
  row('signature-invalid', 'the leaf certificate, P-384, signed the document', COSE),
  row('evidence-from-the-future', 'the document is of now or before, five minutes of skew allowed', OURS),
  row('evidence-too-old', 'the document is not older than the policy allows', OURS),
] as const;

const INTEL = [
  row('version-unsupported', 'the quote is of a version and body that are known', QUOTE),
  row('quote-malformed', 'every length in the quote fits', QUOTE),
  row('trailing-bytes', 'only zeros follow the signature data; they are not read', QUOTE),
  row(
    'signer-unsupported',
    'an ECDSA P-256 key, certified by Intel’s quoting enclave and a PCK chain',
    QUOTE,
  ),
  row('signature-invalid', 'the attestation key signed header and body', QUOTE),
  row('key-unbound', 'the quoting enclave’s report holds the hash of the attestation key', QUOTE),
  row('qe-signature-invalid', 'the PCK signed the quoting enclave’s report', QUOTE),
  ...CHAIN,
  row(
    'certificate-mismatch',
    'the leaf is a PCK with FMSPC, PCE id and TCB; the signer of the collateral is not',
    PCS,
  ),
  row('collateral-missing', 'TCB info and quoting-enclave identity are there', PCS),
  row('collateral-malformed', 'both have the form that Intel publishes', PCS),
  row('collateral-signature-invalid', 'Intel signed exactly this text: a re-serialised one is refused', PCS),
  row('collateral-not-yet-valid', 'neither is used before its issue date', PCS),
  row('collateral-expired', 'neither is used after its next update', PCS),
  ...AGED,
  row(
    'collateral-mismatch',
    'the TCB info is for this platform and kind: FMSPC, PCE id, `TDX` or `SGX`',
    PCS,
  ),
  row('tcb-no-level', 'a TCB level matches', PCS),
  row(
    'tcb-status',
    'the status of platform, quoting enclave (and TDX module) is one that the policy accepts',
    PCS,
  ),
  row('qe-mismatch', 'the quoting enclave is Intel’s: signer, product, attributes, misc select', PCS),
] as const;

/** For each kind of evidence, every check that is made, in the order in which it is made. */
export const CHECK_TABLES = {
  nitro: [
    ...ACCEPTED,
    ...COSE_DOCUMENT,
    row(
      'field-invalid',
      'each field has its type and length; absent ones may be null; unknown ones are refused',
      NSM,
    ),
    ...CHAIN,
    ...COSE_SIGNED,
    row('debug', 'PCR0, PCR1 and PCR2 are not all zero: the mark of debug mode', NSM),
    row('measurement-zero', 'none of PCR0, PCR1 and PCR2 is zero or missing', NSM),
    ...MEASURED,
    ...BOUND,
  ],
  nitrotpm: [
    ...ACCEPTED,
    ...COSE_DOCUMENT,
    row('field-invalid', 'as for `nitro`, with `nitrotpm_pcrs` in place of `pcrs`', NITROTPM),
    ...CHAIN,
    ...COSE_SIGNED,
    row('measurement-zero', 'PCR4 and PCR7 are not zero or missing', NITROTPM),
    ...MEASURED,
    ...BOUND,
  ],
  'sev-snp': [
    ...ACCEPTED,
    row('report-malformed', 'the report has 1184 bytes; what must be zero is zero', AMD),
    row('version-unsupported', 'the report is of version 2 to 5', AMD),
    row(
      'signer-unsupported',
      'ECDSA P-384 by a VCEK; by a VLEK only where the policy names providers (`vlekProviders`)',
      AMD,
    ),
    row('certificate-missing', 'VCEK, ASK and ARK are there, or VLEK, ASVK and ARK', VCEK),
    ...CHAIN,
    ...AGED,
    row(
      'product-not-accepted',
      'the product line is one that the policy accepts; report and certificate name the same',
      VCEK,
    ),
    row('provider-not-accepted', 'a VLEK is of a cloud provider that the policy names', OURS),
    row('signature-invalid', 'the VCEK or VLEK, P-384, signed the report', AMD),
    row('chip-id-masked', 'the chip id is not masked, unless a VLEK signed', AMD),
    row(
      'certificate-mismatch',
      'a VCEK is of this chip (hardware id), a VLEK of a provider and no chip; each is signed by AMD’s key for its kind',
      VCEK,
    ),
    row('tcb-mismatch', 'the certificate is of this TCB: every part of the reported version', VCEK),
    row('tcb-order', 'reported ≤ committed ≤ current TCB, in every part', AMD),
    row(
      'tcb-outdated',
      'reported, committed and launch TCB reach the minimum of the policy, in every part',
      OURS,
    ),
    row('debug', 'the guest policy does not allow debugging', AMD),
    row('migration-allowed', 'the guest policy allows no migration agent', AMD),
    row('vmpl-not-accepted', 'the report was asked for at a privilege level that the policy accepts', OURS),
    row('measurement-zero', 'the measurement is not zero', AMD),
    ...MEASURED,
  ],
  tdx: [
    ...ACCEPTED,
    ...INTEL,
    row('module-unknown', 'the TDX module is Intel’s: signer and attributes', PCS),
    row('debug', 'no TD-under-debug attribute is set', TDX),
    row('attributes-not-accepted', 'no reserved attribute is set, and SEPT_VE_DISABLE is', TDX),
    row('migration-allowed', 'the TD cannot be migrated; no migration TD is bound', TDX),
    row('measurement-zero', 'MRTD is not zero', TDX),
    ...MEASURED,
  ],
  sgx: [
    ...ACCEPTED,
    ...INTEL,
    row('debug', 'the enclave does not run in debug mode', SGX_QUOTE),
    row(
      'attributes-not-accepted',
      'the enclave is initialised, 64-bit, and holds no provisioning key',
      SGX_QUOTE,
    ),
    row('measurement-zero', 'MRENCLAVE and MRSIGNER are not zero', SGX_QUOTE),
    ...MEASURED,
  ],
  tpm: [
    ...ACCEPTED,
    row('cbor-malformed', 'the envelope is CBOR in its shortest form', 'RFC 8949'),
    row('cbor-duplicate-key', 'no map has a key twice', 'RFC 8949'),
    row('trailing-bytes', 'nothing follows the envelope, the quote, the signature or the key', TPM),
    row('field-invalid', 'the envelope holds quote, signature, key and PCRs, each of its type', OURS),
    row('quote-malformed', 'the attested structure is a quote that the TPM itself made', TPM),
    row('signer-unsupported', 'ECDSA P-256 or RSASSA of 2048 bits or more, with SHA-256', TPM),
    row('key-attributes', 'the key is restricted to signing what the TPM made, and cannot leave it', TPM),
    row('attestation-key-unknown', 'the name of the key is one that the policy trusts', OURS),
    row('signature-invalid', 'the key signed the quote', TPM),
    row('pcr-digest-mismatch', 'the PCRs shown are those that were quoted: selection and digest', TPM),
    row('clock-unsafe', 'the TPM’s clock did not go back after a power loss', TPM),
    row('measurement-zero', 'no PCR that the policy names is in its state after a reset', TPM),
    ...MEASURED,
  ],
  command: [
    ...ACCEPTED,
    row('command-missing', 'the policy names a program for this format', OURS),
    row('command-failed', 'the program ends with 0, in time, within its length of output', OURS),
    row('command-answer-invalid', 'the program answers in the form that docs/attestation.md gives', OURS),
    row('command-refused', 'the program accepts the evidence', OURS),
    ...MEASURED,
    ...BOUND,
  ],
} as const satisfies Readonly<
  Record<EvidenceKind, readonly { check: string; demand: string; source: string }[]>
>;

export type ChecksOf<Kind extends EvidenceKind> = (typeof CHECK_TABLES)[Kind][number]['check'];
/** The reasons for which evidence is refused; permanent, as error codes are. */
export type CheckId = ChecksOf<EvidenceKind>;

const TITLES: Readonly<Record<EvidenceKind, string>> = {
  nitro: '`nitro`: AWS Nitro Enclaves',
  nitrotpm: '`nitrotpm`: AWS NitroTPM',
  'sev-snp': '`sev-snp`: AMD SEV-SNP (Milan, Genoa, Turin)',
  tdx: '`tdx`: Intel TDX (quote versions 4 and 5)',
  sgx: '`sgx`: Intel SGX (quote version 3)',
  tpm: '`tpm`: TPM 2.0',
  command: '`command`: a program of the operator’s',
};

/** The tables of docs/attestation.md. */
export function checkTablesText(): string {
  return Object.entries(CHECK_TABLES)
    .map(([kind, rows]) =>
      [
        `### ${TITLES[kind as EvidenceKind]}`,
        '',
        '| reason | demanded | source |',
        '|---|---|---|',
        ...rows.map(({ check, demand, source }) => `| \`${check}\` | ${demand} | ${source} |`),
      ].join('\n'),
    )
    .join('\n\n');
}
