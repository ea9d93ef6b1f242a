import { createHash, timingSafeEqual, X509Certificate } from 'node:crypto';

/** Algorithms and keys of TLS below 1.3 are not offered by either side. */
export const TLS_MINIMUM = 'TLSv1.3';

/** The key exchanges that either side offers: a handshake with them costs a gateway about a millisecond. */
export const TLS_GROUPS = 'X25519:P-256';

/** SHA-256 of a certificate's SubjectPublicKeyInfo (as in RFC 7469): the chain's name for a gateway's TLS key. */
export function spkiPin(certificate: X509Certificate | string): Uint8Array {
  const parsed = typeof certificate === 'string' ? new X509Certificate(certificate) : certificate;
  const der = parsed.publicKey.export({ type: 'spki', format: 'der' });
  return new Uint8Array(createHash('sha256').update(der).digest());
}

export function isPinned(certificate: X509Certificate, pins: readonly Uint8Array[]): boolean {
  const own = spkiPin(certificate);
  return pins.some((pin) => pin.length === own.length && timingSafeEqual(pin, own));
}
