import { constants, type KeyObject, verify } from 'node:crypto';
import { asBuffer } from './bytes.ts';
import { type Certificate, KEY_USAGE } from './certificate.ts';
import { children, DER, type Der, member, oidOf, readDer, timeMs } from './der.ts';
import { type CollateralItem, collateralNamed } from './evidence.ts';
import { type Examination, Refusal, refuse, timeText } from './examination.ts';

/** A certificate revocation list (RFC 5280, 5). */
export interface Crl {
  readonly issuer: Buffer;
  readonly thisUpdateMs: number;
  /** A list without an end never counts as current. */
  readonly nextUpdateMs: number;
  readonly revoked: ReadonlySet<string>;
  readonly signed: Buffer;
  readonly algorithm: string;
  readonly signature: Buffer;
}

const LONGEST = 4_194_304;

/** @throws Refusal `crl-invalid` */
export function readCrl(der: Buffer): Crl {
  try {
    return parseCrl(der);
  } catch (error) {
    if (error instanceof Refusal) refuse('crl-invalid', `a CRL cannot be read: ${error.message}`);
    throw error;
  }
}

function parseCrl(der: Buffer): Crl {
  if (der.length > LONGEST) refuse('crl-invalid', `it is ${der.length} bytes long`);
  const [list, algorithm, signature] = children(readDer(der));
  if (!list || !algorithm || signature?.tag !== DER.bitString) refuse('crl-invalid', 'a part is missing');
  const fields = [...children(list)];
  // The version is there in every list of version 2, and only in those.
  member(fields, 0, DER.integer);
  const [, inner, issuer, thisUpdate, next, ...rest] = fields;
  if (!inner?.raw.equals(algorithm.raw)) refuse('crl-invalid', 'it names two signature algorithms');
  if (!issuer || !thisUpdate) refuse('crl-invalid', 'a part is missing');
  const hasEnd = next?.tag === DER.utcTime || next?.tag === DER.generalizedTime;
  const others = hasEnd || !next ? rest : [next, ...rest];
  refuseCritical(others.find(({ tag }) => tag === 0xa0));
  return {
    issuer: issuer.raw,
    thisUpdateMs: timeMs(thisUpdate),
    nextUpdateMs: hasEnd ? timeMs(next) : Number.NEGATIVE_INFINITY,
    revoked: serialsOf(others.find(({ tag }) => tag === DER.sequence)),
    signed: list.raw,
    algorithm: oidOf(member(children(algorithm), 0, DER.oid)),
    signature: signature.value.subarray(1),
  };
}

function serialsOf(revoked: Der | undefined): ReadonlySet<string> {
  if (!revoked) return new Set();
  return new Set(
    children(revoked).map((entry) => member(children(entry), 0, DER.integer).value.toString('hex')),
  );
}

/** A critical extension narrows what the list is about: to overlook one could miss a revocation. */
function refuseCritical(wrapper: Der | undefined): void {
  if (!wrapper) return;
  for (const element of children(member(children(wrapper), 0, DER.sequence))) {
    const [oid, flag] = children(element);
    if (oid && flag?.tag === DER.boolean && flag.value[0] !== 0)
      refuse('crl-invalid', `the critical extension ${oidOf(oid)} is not understood`);
  }
}

export interface RevocationRules {
  /** Whether a certificate counts only when a current list of its issuer does not name it. */
  readonly isRequired: (certificate: Certificate) => boolean;
  /** The oldest list that counts, whatever its own end is. */
  readonly maxAgeMs?: number | undefined;
}

/** Checks every certificate below the root against the lists of its issuer. */
export function checkRevocation(
  chain: readonly Certificate[],
  crls: readonly Crl[],
  rules: RevocationRules,
  examination: Examination,
): void {
  chain.slice(1).forEach((certificate, index) => {
    const issuer = chain[index] as Certificate;
    const list = newest(crls.filter((crl) => crl.issuer.equals(certificate.issuer)));
    if (list) checkAgainst(certificate, issuer, list, rules, examination);
    else if (rules.isRequired(certificate))
      examination.fault('crl-missing', `there is no CRL of '${issuer.name}' for '${certificate.name}'`);
  });
}

function newest(crls: readonly Crl[]): Crl | undefined {
  return crls.toSorted((one, other) => other.thisUpdateMs - one.thisUpdateMs)[0];
}

function checkAgainst(
  { name, serial }: Certificate,
  issuer: Certificate,
  list: Crl,
  { maxAgeMs = Number.POSITIVE_INFINITY }: RevocationRules,
  examination: Examination,
): void {
  const maySign = ((issuer.keyUsage ?? KEY_USAGE.crlSign) & KEY_USAGE.crlSign) !== 0;
  examination.demand(
    maySign && isSigned(list, issuer.publicKey),
    'crl-invalid',
    `the CRL of '${issuer.name}' is not signed by its key`,
  );
  const { thisUpdateMs, nextUpdateMs } = list;
  examination.expect(
    thisUpdateMs <= examination.nowMs && examination.nowMs <= nextUpdateMs,
    'crl-expired',
    `the CRL of '${issuer.name}' is for ${timeText(thisUpdateMs)} to ${timeText(nextUpdateMs)}; the time is ${timeText(examination.nowMs)}`,
  );
  examination.expect(
    examination.nowMs - thisUpdateMs <= maxAgeMs,
    'collateral-too-old',
    `the CRL of '${issuer.name}' is of ${timeText(thisUpdateMs)}, older than the policy allows`,
  );
  examination.expect(!list.revoked.has(serial), 'certificate-revoked', `'${name}' (${serial}) is revoked`);
}

/** OIDs of ecdsa-with-SHA256, ecdsa-with-SHA384 and RSASSA-PSS (AMD: SHA-384, salt of 48 bytes). */
function isSigned({ algorithm, signed, signature }: Crl, key: KeyObject): boolean {
  const { asymmetricKeyType: type } = key;
  try {
    if (algorithm === '1.2.840.10045.4.3.2' && type === 'ec') return verify('sha256', signed, key, signature);
    if (algorithm === '1.2.840.10045.4.3.3' && type === 'ec') return verify('sha384', signed, key, signature);
    if (algorithm === '1.2.840.113549.1.1.10' && type?.startsWith('rsa'))
      return verify('sha384', signed, pss(key), signature);
  } catch {
    // OpenSSL throws for a signature whose form is wrong.
  }
  return false;
}

function pss(key: KeyObject) {
  return { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 };
}

/** Every list of the collateral. */
export function crlsOf(collateral: readonly CollateralItem[]): readonly Crl[] {
  return collateralNamed(collateral, 'crl').map(({ content }) => readCrl(asBuffer(content)));
}
