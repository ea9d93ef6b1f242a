import { X509Certificate } from 'node:crypto';

/** SHA-256 over the DER of the first certificate, as the API server shows it to its policies. */
export const fingerprintOf = (pem: string): string =>
  new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase();
