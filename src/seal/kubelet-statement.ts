import { verify, X509Certificate } from 'node:crypto';

/** What a registration says to show that its host has the client key of its node's kubelet. */
export interface KubeletStatement {
  /** The gateway's id on chain: another gateway cannot pass the signature on. */
  readonly gatewayId: string;
  readonly nodeId: string;
  /** Of the challenge that the registration uses up. */
  readonly nonce: string;
}

/** The text that the kubelet's key signs. No TLS handshake signs one that begins like this (RFC 8446, section 4.4.3: 64 spaces). */
export function kubeletStatement({ gatewayId, nodeId, nonce }: KubeletStatement): string {
  return ['k3s-daas/kubelet-statement/1', gatewayId, nodeId, nonce].join('\n');
}

/** SHA-256 over the DER of the first certificate of a PEM text, 64 lower-case hex digits; undefined where there is none. */
export function certificateFingerprint(pem: string): string | undefined {
  try {
    return new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
  } catch {
    return undefined;
  }
}

/**
 * Whether the key of a certificate (PEM) has signed the text: ECDSA in DER, or RSA with PKCS #1 padding, with SHA-256; the
 * signature is base64url. Says nothing about who has issued the certificate. Never throws.
 */
export function isSignedByCertificate(pem: string, text: string, signature: string): boolean {
  try {
    const { publicKey } = new X509Certificate(pem);
    if (publicKey.asymmetricKeyType !== 'ec' && publicKey.asymmetricKeyType !== 'rsa') return false;
    return verify('sha256', Buffer.from(text), publicKey, Buffer.from(signature, 'base64url'));
  } catch {
    return false;
  }
}
