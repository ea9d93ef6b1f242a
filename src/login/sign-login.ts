import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import {
  LOGIN_ALGORITHM,
  LOGIN_CLOCK_LEEWAY_MS,
  LOGIN_PREFIX,
  LOGIN_TYPE,
  LONGEST_LOGIN_LIFE_MS,
  type LoginClaims,
  type LoginHeader,
} from './claims.ts';

/** Whose login it is, and where. */
export interface LoginSubject {
  /** Sui address of the staker. */
  readonly wallet: string;
  /** Object id of the cluster on chain. */
  readonly clusterId: string;
  /** Object id of the Seal token that names the key. */
  readonly sealTokenId: string;
}

export interface SignedLogin {
  /** `seal_<compact JWS>`, as it goes into `Authorization: Bearer`. */
  readonly proof: string;
  readonly expiresAtMs: number;
}

/** A login without its signature. */
export interface UnsignedLogin {
  /** What is signed, as ASCII bytes. */
  readonly signed: Buffer;
  readonly expiresAtMs: number;
}

/**
 * What a login proof says. It is dated a minute back: a clock that is up to two minutes ahead of the gateway's, or nine behind, still
 * makes proofs that count.
 */
export function unsignedLogin(subject: LoginSubject, publicKey: Uint8Array, nowMs: number): UnsignedLogin {
  const issuedAtMs = nowMs - LOGIN_CLOCK_LEEWAY_MS;
  const expiresAtMs = issuedAtMs + LONGEST_LOGIN_LIFE_MS;
  const header: LoginHeader = {
    typ: LOGIN_TYPE,
    alg: LOGIN_ALGORITHM,
    kid: subject.sealTokenId,
    jwk: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') },
  };
  const claims: LoginClaims = {
    iss: subject.wallet,
    aud: subject.clusterId,
    iat: Math.round(issuedAtMs) / 1000,
    exp: Math.round(expiresAtMs) / 1000,
  };
  return { signed: Buffer.from(`${encode(header)}.${encode(claims)}`, 'latin1'), expiresAtMs };
}

/** The proof of a login and its Ed25519 signature. */
export function withSignature({ signed, expiresAtMs }: UnsignedLogin, signature: Buffer): SignedLogin {
  const proof = `${LOGIN_PREFIX}${signed.toString('latin1')}.${signature.toString('base64url')}`;
  return { proof, expiresAtMs };
}

/** Signs a login proof with an Ed25519 private key. */
export function signLogin(subject: LoginSubject, key: KeyObject, nowMs: number): SignedLogin {
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  if (key.asymmetricKeyType !== 'ed25519' || x === undefined)
    throw new RangeError('a login proof is signed with an Ed25519 key');
  const unsigned = unsignedLogin(subject, Buffer.from(x, 'base64url'), nowMs);
  return withSignature(unsigned, sign(null, unsigned.signed, key));
}

const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
