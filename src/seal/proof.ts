import { type KeyObject, verify } from 'node:crypto';
import {
  fromNumericDate,
  LONGEST_PROOF,
  type Machine,
  PROOF_ALGORITHM,
  PROOF_PREFIX,
  PROOF_TYPE,
  ProofClaims,
  ProofHeader,
} from './claims.ts';
import { splitCompactJws } from './compact-jws.ts';
import { importPublicKey } from './public-keys.ts';

/** A proof that has the right form; nothing in it is believed yet. */
export interface ParsedProof {
  /** The JWS without its prefix. */
  readonly jws: string;
  /** Object id of the Seal token it names. */
  readonly tokenId: string;
  /** The key it says it was signed with (registration); 32 bytes. */
  readonly presentedKey: Uint8Array | undefined;
  readonly nodeId: string;
  readonly audience: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly method: string;
  readonly path: string;
  readonly bodyDigest: string;
  readonly nonce: string | undefined;
  readonly incarnation: number | undefined;
  readonly sequence: number | undefined;
  /** Undefined of a host that does not say it. */
  readonly machine: Machine | undefined;
}

export type FormReason =
  | 'proof_missing'
  | 'proof_too_long'
  | 'proof_malformed'
  | 'algorithm_refused'
  | 'type_refused';

export type ParseOutcome =
  | { readonly ok: true; readonly proof: ParsedProof }
  | { readonly ok: false; readonly reason: FormReason };

/** The cheapest checks, before any cryptography: size, form, algorithm, type. Never throws. */
export function parseProof(text: string | undefined): ParseOutcome {
  if (text === undefined || text === '') return refuse('proof_missing');
  if (text.length > LONGEST_PROOF) return refuse('proof_too_long');
  const parts = splitCompactJws(text, PROOF_PREFIX);
  if (!parts) return refuse('proof_malformed');
  const header = ProofHeader.safeParse(parts.header);
  if (!header.success) return refuse('proof_malformed');
  if (header.data.alg !== PROOF_ALGORITHM) return refuse('algorithm_refused');
  if (header.data.typ !== PROOF_TYPE) return refuse('type_refused');
  const claims = ProofClaims.safeParse(parts.claims);
  if (!claims.success) return refuse('proof_malformed');
  return { ok: true, proof: toProof(parts.jws, header.data, claims.data) };
}

function toProof(jws: string, header: ProofHeader, claims: ProofClaims): ParsedProof {
  return {
    jws,
    tokenId: header.kid,
    presentedKey: header.jwk ? new Uint8Array(Buffer.from(header.jwk.x, 'base64url')) : undefined,
    nodeId: claims.iss,
    audience: claims.aud,
    issuedAtMs: fromNumericDate(claims.iat),
    expiresAtMs: fromNumericDate(claims.exp),
    method: claims.htm,
    path: claims.htu,
    bodyDigest: claims.bd,
    nonce: claims.nonce,
    incarnation: claims.inc,
    sequence: claims.seq,
    machine:
      claims.bid !== undefined && claims.run !== undefined
        ? { machineId: claims.mid, bootId: claims.bid, runId: claims.run }
        : undefined,
  };
}

const isNotSigned = Promise.resolve(false);

/** Whether the proof was signed by this Ed25519 public key: 32 bytes, or imported. Never throws, never rejects. */
export function isSignedBy(
  { jws }: Pick<ParsedProof, 'jws'>,
  publicKey: Uint8Array | (() => KeyObject),
): Promise<boolean> {
  try {
    const key =
      typeof publicKey === 'function'
        ? publicKey()
        : importPublicKey(Buffer.from(publicKey).toString('base64url'));
    // The algorithm is the key's: what the header names was compared with the only one there is (`parseProof`).
    if (key.asymmetricKeyType !== 'ed25519') return isNotSigned;
    const end = jws.lastIndexOf('.');
    const signature = Buffer.from(jws.slice(end + 1), 'base64url');
    return verifySignature(Buffer.from(jws.slice(0, end), 'latin1'), key, signature);
  } catch {
    return isNotSigned;
  }
}

/** On the thread pool: the main thread has other requests to serve. */
function verifySignature(signed: Buffer, key: KeyObject, signature: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    verify(null, signed, key, signature, (error, isValid) => resolve(error === null && isValid));
  });
}

function refuse(reason: FormReason): ParseOutcome {
  return { ok: false, reason };
}
