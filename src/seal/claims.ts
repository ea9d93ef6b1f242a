import { hash } from 'node:crypto';
import { z } from 'zod';
import { isNodeId } from '#domain';

/**
 * The Seal proof: a compact JWS (RFC 7515) with the prefix `seal_`, signed by the node key with Ed25519 (RFC 8037, RFC
 * 9864), that says who asks what of whom, now. Nothing here has to do with Mysten's Seal, the secrets service.
 */
export const PROOF_PREFIX = 'seal_';
export const PROOF_TYPE = 'seal+jwt';
export const PROOF_ALGORITHM = 'Ed25519';
/** The header that carries a proof; `Authorization: Bearer` may carry the same. */
export const PROOF_HEADER = 'x-seal-token';

/** `exp - iat`, at most. */
export const LONGEST_PROOF_LIFE_MS = 60_000;
/** How far `iat` may lie in the verifier's future: signers learn the verifier's clock from its replies. */
export const PROOF_CLOCK_LEEWAY_MS = 5_000;
/** A proof with every claim at its longest has about 1 100 characters. */
export const LONGEST_PROOF = 2_048;
export const LONGEST_NONCE = 256;

/** A Sui object id: `0x` and 64 lower-case hex digits. */
export const ObjectId = z.string().regex(/^0x[0-9a-f]{64}$/);

const base64url32 = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

/** JOSE header. Unknown members are refused, `crit` among them. */
export const ProofHeader = z.strictObject({
  typ: z.string().max(64),
  alg: z.string().max(64),
  /** Object id of the Seal token. */
  kid: ObjectId,
  /** On registration: the public key that signed, so that the signature is checked before the chain is asked. */
  jwk: z.strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: base64url32 }).optional(),
});
export type ProofHeader = z.infer<typeof ProofHeader>;

/** NumericDate of RFC 7519: seconds since the epoch, here with up to three decimals. */
const numericDate = z.number().positive().max(8_640_000_000);

export const ProofClaims = z.strictObject({
  /** Node id. */
  iss: z.string().refine(isNodeId),
  /** The gateway's id on chain. */
  aud: z.string().min(1).max(128),
  iat: numericDate,
  exp: numericDate,
  /** HTTP method and path of the request. */
  htm: z.string().min(1).max(16),
  htu: z.string().min(1).max(256),
  /** base64url SHA-256 of the body's bytes. */
  bd: base64url32,
  /** Registration: the gateway's challenge. */
  nonce: z.string().min(1).max(LONGEST_NONCE).optional(),
  /** Later calls: the incarnation, and a number that rises within it. */
  inc: z.number().int().positive().max(Number.MAX_SAFE_INTEGER).optional(),
  seq: z.number().int().positive().max(Number.MAX_SAFE_INTEGER).optional(),
  /** The machine, its boot and the process: what tells a clone from the node. */
  mid: z.string().min(1).max(64).optional(),
  bid: z.string().min(1).max(64).optional(),
  run: z.string().min(1).max(64).optional(),
});
export type ProofClaims = z.infer<typeof ProofClaims>;

/** The claims about the machine, as a gateway says in its challenge that it reads them: earlier ones reject what they do not know. */
export const MACHINE_CLAIMS = ['mid', 'bid', 'run'] as const;

/** Where a proof was made. */
export interface Machine {
  /** Names the installation and the hardware, hashed; undefined where nothing names them. */
  readonly machineId: string | undefined;
  /** /proc/sys/kernel/random/boot_id, which the kubelet reports as `status.nodeInfo.bootID`. */
  readonly bootId: string;
  /** Random, of one life of the host. */
  readonly runId: string;
}

/** base64url SHA-256 of a request body, as the claim `bd` holds it. */
export function bodyDigest(body: Uint8Array | string): string {
  return hash('sha256', body, 'base64url');
}

/** Milliseconds to NumericDate and back, without losing a millisecond. */
export function toNumericDate(ms: number): number {
  return Math.round(ms) / 1000;
}
export function fromNumericDate(seconds: number): number {
  return Math.round(seconds * 1000);
}
