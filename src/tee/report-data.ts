import { createHash } from 'node:crypto';

/** What a gateway's evidence is bound to. */
export interface ReportDataParts {
  /** SubjectPublicKeyInfo, DER, of the TLS key that the connection is made with. */
  readonly spki: Uint8Array;
  readonly gatewayId: string;
  readonly chainId: string;
  /** Fresh from the worker that asks: evidence made before cannot contain it. */
  readonly nonce: Uint8Array;
}

const DOMAIN = 'k3s-daas/attestation/1';

/**
 * The 64 bytes that evidence of a gateway carries: SHA-512 of domain, key, gateway, chain and nonce, each with its length
 * before it (32 bits, big-endian), so that no two lists of parts give the same bytes.
 */
export function reportDataOf({ spki, gatewayId, chainId, nonce }: ReportDataParts): Buffer {
  const hash = createHash('sha512');
  for (const part of [Buffer.from(DOMAIN), spki, Buffer.from(gatewayId), Buffer.from(chainId), nonce]) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    hash.update(length).update(part);
  }
  return hash.digest();
}

/** A TPM's qualifying data holds one hash of its own algorithm: the SHA-256 of the report data. */
export function tpmExtraDataOf(reportData: Uint8Array): Buffer {
  return createHash('sha256').update(reportData).digest();
}
