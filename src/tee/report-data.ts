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

/** What a worker's evidence is bound to. */
export interface WorkerReportDataParts {
  /** Ed25519 public key, 32 bytes: the key that signs the registration. */
  readonly nodeKey: Uint8Array;
  readonly nodeId: string;
  readonly gatewayId: string;
  readonly chainId: string;
  /** Of the gateway's challenge, which counts once. */
  readonly nonce: string;
}

const DOMAIN = 'k3s-daas/attestation/1';
const WORKER_DOMAIN = 'k3s-daas/worker-attestation/1';

/** The 64 bytes that evidence of a gateway carries: domain, key, gateway, chain and nonce. */
export function reportDataOf({ spki, gatewayId, chainId, nonce }: ReportDataParts): Buffer {
  return hashOfParts(DOMAIN, spki, gatewayId, chainId, nonce);
}

/** The 64 bytes that evidence of a worker carries: domain, node key, node id, gateway, chain and nonce. */
export function workerReportDataOf({
  nodeKey,
  nodeId,
  gatewayId,
  chainId,
  nonce,
}: WorkerReportDataParts): Buffer {
  return hashOfParts(WORKER_DOMAIN, nodeKey, nodeId, gatewayId, chainId, nonce);
}

/** SHA-512 over each part with its length before it (32 bits, big-endian): no two lists of parts give the same bytes. */
function hashOfParts(...parts: ReadonlyArray<string | Uint8Array>): Buffer {
  const hash = createHash('sha512');
  for (const part of parts) {
    const bytes = Buffer.from(part);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return hash.digest();
}

/** A TPM's qualifying data holds one hash of its own algorithm: the SHA-256 of the report data. */
export function tpmExtraDataOf(reportData: Uint8Array): Buffer {
  return createHash('sha256').update(reportData).digest();
}
