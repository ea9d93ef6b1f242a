import { type KeyObject, verify } from 'node:crypto';
import { forgetOldest } from '#base';
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
import { type CompactJws, splitCompactJws } from './compact-jws.ts';
import { areProofClaims } from './proof-claims-check.ts';
import { importPublicKey } from './public-keys.ts';

/** A proof that has the right form; nothing in it is believed yet. */
export interface ParsedProof {
  /** The JWS without its prefix. */
  readonly jws: string;
  /** The header in it. */
  readonly encodedHeader: string;
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
export function parseProof(text: string | undefined, known?: KnownProofHeaders): ParseOutcome {
  if (text === undefined || text === '') return refuse('proof_missing');
  if (text.length > LONGEST_PROOF) return refuse('proof_too_long');
  const parts = splitCompactJws(text, PROOF_PREFIX);
  if (!parts) return refuse('proof_malformed');
  const header = known?.get(parts.encodedHeader) ?? examineHeader(parts.header());
  if (typeof header === 'string') return refuse(header);
  const found = parts.claims();
  if (areProofClaims(found)) return { ok: true, proof: toProof(parts, header, found) };
  const claims = ProofClaims.safeParse(found);
  if (!claims.success) return refuse('proof_malformed');
  return { ok: true, proof: toProof(parts, header, claims.data) };
}

function examineHeader(decoded: unknown): ProofHeader | FormReason {
  const header = ProofHeader.safeParse(decoded);
  if (!header.success) return 'proof_malformed';
  if (header.data.alg !== PROOF_ALGORITHM) return 'algorithm_refused';
  if (header.data.typ !== PROOF_TYPE) return 'type_refused';
  return header.data;
}

/** Headers by their text, each examined before; a node’s is the same in every heartbeat. */
export interface KnownProofHeaders {
  get(encoded: string): ProofHeader | undefined;
  /** Only of a proof that counts: what strangers send would push the others out. */
  add(proof: ParsedProof): void;
}

/** Of `most` headers the one that was added first is forgotten. One that presents a key is not kept: it comes once. */
export function createKnownProofHeaders(most: number): KnownProofHeaders {
  const headers = new Map<string, ProofHeader>();
  return {
    get: (encoded) => headers.get(encoded),
    add({ encodedHeader, tokenId, presentedKey }) {
      if (presentedKey !== undefined || headers.has(encodedHeader)) return;
      // A copy: a part of the proof would keep all of it.
      headers.set(Buffer.from(encodedHeader, 'latin1').toString('latin1'), {
        typ: PROOF_TYPE,
        alg: PROOF_ALGORITHM,
        kid: tokenId,
      });
      forgetOldest(headers, most);
    },
  };
}

function toProof(
  { jws, encodedHeader }: Pick<CompactJws, 'jws' | 'encodedHeader'>,
  header: ProofHeader,
  claims: ProofClaims,
): ParsedProof {
  return {
    jws,
    encodedHeader,
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

/**
 * Whether the proof was signed by this Ed25519 public key: 32 bytes, or imported by `importPublicKey`. The algorithm is the key's:
 * what the header names was compared with the only one there is (`parseProof`). Never throws, never rejects.
 */
export function isSignedBy(
  { jws }: Pick<ParsedProof, 'jws'>,
  publicKey: Uint8Array | (() => KeyObject),
): Promise<boolean> {
  try {
    const key =
      typeof publicKey === 'function'
        ? publicKey()
        : importPublicKey(Buffer.from(publicKey).toString('base64url'));
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
