import { type Certificate, KEY_USAGE } from './certificate.ts';
import { type Examination, timeText } from './examination.ts';

/** Critical extensions that are understood here; a certificate with another one is refused (RFC 5280, 4.2). */
const UNDERSTOOD = new Set(['2.5.29.19', '2.5.29.15']);

/**
 * Checks a chain whose order the platform fixes: root first, leaf last (RFC 5280, 6.1). The root is one that the examination
 * trusts by its fingerprint, never one that evidence brings along.
 * @throws Refusal `root-foreign`, `chain-invalid`, `certificate-constraints`
 */
export function checkChain(chain: readonly Certificate[], examination: Examination): void {
  const [root] = chain;
  examination.demand(root !== undefined, 'chain-invalid', 'there is no certificate');
  examination.demand(
    examination.roots.has(root.fingerprint),
    'root-foreign',
    `the chain begins with '${root.name}' (${root.fingerprint}), which is no root that the policy trusts`,
  );
  chain.forEach((certificate, index) => {
    checkValidity(certificate, examination);
    const issuer = chain[index - 1];
    if (issuer) checkLink(certificate, issuer, chain.length - 1 - index, examination);
  });
}

function checkValidity({ name, notBeforeMs, notAfterMs }: Certificate, examination: Examination): void {
  const now = timeText(examination.nowMs);
  examination.expect(
    examination.nowMs >= notBeforeMs,
    'certificate-not-yet-valid',
    `'${name}' is valid from ${timeText(notBeforeMs)}; the time is ${now}`,
  );
  examination.expect(
    examination.nowMs <= notAfterMs,
    'certificate-expired',
    `'${name}' was valid until ${timeText(notAfterMs)}; the time is ${now}`,
  );
}

/** @param below how many certificates follow this one: with a path length of 0, an issuer signs leaves only. */
function checkLink(
  certificate: Certificate,
  issuer: Certificate,
  below: number,
  examination: Examination,
): void {
  examination.demand(
    certificate.issuer.equals(issuer.subject) && isSignedBy(certificate, issuer),
    'chain-invalid',
    `'${certificate.name}' is not signed by '${issuer.name}'`,
  );
  examination.demand(
    issuer.isCa && ((issuer.keyUsage ?? KEY_USAGE.keyCertSign) & KEY_USAGE.keyCertSign) !== 0,
    'certificate-constraints',
    `'${issuer.name}' may not sign certificates`,
  );
  examination.demand(
    issuer.pathLength === undefined || issuer.pathLength >= below,
    'certificate-constraints',
    `'${issuer.name}' allows ${issuer.pathLength} certificates between itself and the leaf, and there are ${below}`,
  );
  const unknown = [...certificate.extensions].find(
    ([oid, { isCritical }]) => isCritical && !UNDERSTOOD.has(oid),
  );
  examination.demand(
    unknown === undefined,
    'certificate-constraints',
    `'${certificate.name}' has the critical extension ${unknown?.[0]}, which is not understood`,
  );
}

function isSignedBy(certificate: Certificate, issuer: Certificate): boolean {
  try {
    return certificate.node.verify(issuer.publicKey);
  } catch {
    // OpenSSL throws for a key that does not fit the algorithm.
    return false;
  }
}
