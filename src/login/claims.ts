/**
 * The words of a login proof: the bearer token that a person's kubectl shows the API server, a Seal proof of its own type. Compact
 * JWS (RFC 7515) with the prefix `seal_`, signed by the key that the person's Seal token names, with Ed25519 (RFC 8037, RFC 9864).
 */
export const LOGIN_PREFIX = 'seal_';
export const LOGIN_TYPE = 'seal-kubectl+jwt';
export const LOGIN_ALGORITHM = 'Ed25519';

/** `exp - iat`, at most. Within its life a login proof can be shown again, by anybody who has seen it. */
export const LONGEST_LOGIN_LIFE_MS = 600_000;
/** A clock this much ahead of the gateway's is forgiven. */
export const LOGIN_CLOCK_LEEWAY_MS = 60_000;
/** A login proof has about 600 characters. */
export const LONGEST_LOGIN = 2_048;

/** The header as it is signed. */
export interface LoginHeader {
  readonly typ: typeof LOGIN_TYPE;
  readonly alg: typeof LOGIN_ALGORITHM;
  /** Object id of the Seal token. */
  readonly kid: string;
  /** The public key that signs: the signature is checked before the chain is asked. */
  readonly jwk: { readonly kty: 'OKP'; readonly crv: 'Ed25519'; readonly x: string };
}

/** The claims as they are signed; times are NumericDate of RFC 7519. */
export interface LoginClaims {
  /** Sui address of the wallet whose stake it is. */
  readonly iss: string;
  /** The cluster's id on chain: what was signed for one cluster is worth nothing in another. */
  readonly aud: string;
  readonly iat: number;
  readonly exp: number;
}
