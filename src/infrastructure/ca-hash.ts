import { createHash, X509Certificate } from 'node:crypto';

/** The CA of a k3s server, as its bundle (`/cacerts`) and the hash in a join token name it. */
export interface CaBundle {
  /** Of the join token (`K10<hash>::…`): lower-case hex. */
  readonly hash: string;
  /**
   * PEM of the certificates that the hash vouches for. Of a bundle with several it covers the root alone, so it is the root
   * and the CAs below it: any other certificate in it is nobody's word.
   */
  readonly trusted: readonly string[];
}

/**
 * The CA hash in k3s' full token (`K10<hash>::…`), by which a worker recognises its server (k3s,
 * pkg/clientaccess/token.go). SHA-256 in lower-case hex: of a bundle with one certificate over the literal bytes of the
 * file; of a longer bundle over the DER of the root that the first certificate chains to, or over the bytes when it
 * chains to none.
 * @throws `Error` when the bundle has no certificate.
 */
export function caHash(bundle: string | Uint8Array): string {
  return readCaBundle(bundle).hash;
}

/** {@link caHash} with what it stands for. @throws `Error` when the bundle has no certificate. */
export function readCaBundle(bundle: string | Uint8Array): CaBundle {
  const bytes = Buffer.from(bundle as Uint8Array);
  const certificates = certificatesOf(bytes.toString('latin1'));
  const [first] = certificates;
  if (!first) throw new Error('it contains no PEM certificate');
  const root = certificates.length === 1 ? undefined : rootOf(first, certificates);
  const hash = createHash('sha256')
    .update(root ? root.raw : bytes)
    .digest('hex');
  const trusted = root
    ? certificates.filter((one) => rootOf(one, certificates)?.raw.equals(root.raw))
    : certificates;
  return { hash, trusted: trusted.map(String) };
}

function certificatesOf(text: string): readonly X509Certificate[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}

function rootOf(leaf: X509Certificate, bundle: readonly X509Certificate[]): X509Certificate | undefined {
  let current = leaf;
  // Each step goes one certificate up. A chain longer than the bundle is a circle.
  for (const _ of bundle) {
    if (isIssuedBy(current, current)) return current;
    const issuer = bundle.find(
      (candidate) => candidate !== current && candidate.ca && isIssuedBy(current, candidate),
    );
    if (!issuer) return undefined;
    current = issuer;
  }
  return undefined;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
