import { z } from 'zod';
import { LOGIN_ALGORITHM, LOGIN_PREFIX, LOGIN_TYPE, LONGEST_LOGIN } from '#login';
import { fromNumericDate, ObjectId } from './claims.ts';
import { splitCompactJws } from './compact-jws.ts';
import type { FormReason } from './proof.ts';

/** A login proof that has the right form; nothing in it is believed yet. */
export interface ParsedLogin {
  /** The JWS without its prefix. */
  readonly jws: string;
  readonly tokenId: string;
  /** The key it says it was signed with, 32 bytes. */
  readonly presentedKey: Uint8Array;
  readonly wallet: string;
  /** The cluster that it is for. */
  readonly audience: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

export type LoginParseOutcome =
  | { readonly ok: true; readonly login: ParsedLogin }
  | { readonly ok: false; readonly reason: FormReason };

/** Unknown members are refused, `crit` among them. */
const Header = z.strictObject({
  typ: z.string().max(64),
  alg: z.string().max(64),
  kid: ObjectId,
  jwk: z.strictObject({
    kty: z.literal('OKP'),
    crv: z.literal('Ed25519'),
    x: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  }),
});

const numericDate = z.number().positive().max(8_640_000_000);

/** A Sui address and an object id have the same form: both become part of a user name, so nothing else comes through. */
const Claims = z.strictObject({ iss: ObjectId, aud: ObjectId, iat: numericDate, exp: numericDate });

/** Size, form, algorithm and type of a bearer token, before any cryptography. Never throws. */
export function parseLogin(text: string): LoginParseOutcome {
  if (text === '') return refuse('proof_missing');
  if (text.length > LONGEST_LOGIN) return refuse('proof_too_long');
  const parts = splitCompactJws(text, LOGIN_PREFIX);
  if (!parts) return refuse('proof_malformed');
  const decodedHeader = parts.header();
  const type = (decodedHeader as { typ?: unknown } | undefined)?.typ;
  // Before the rest of the header: a worker's proof, which has other members, is named for what it is.
  if (typeof type === 'string' && type !== LOGIN_TYPE) return refuse('type_refused');
  const header = Header.safeParse(decodedHeader);
  if (!header.success) return refuse('proof_malformed');
  if (header.data.alg !== LOGIN_ALGORITHM) return refuse('algorithm_refused');
  const claims = Claims.safeParse(parts.claims());
  if (!claims.success) return refuse('proof_malformed');
  const { iss, aud, iat, exp } = claims.data;
  return {
    ok: true,
    login: {
      jws: parts.jws,
      tokenId: header.data.kid,
      presentedKey: new Uint8Array(Buffer.from(header.data.jwk.x, 'base64url')),
      wallet: iss,
      audience: aud,
      issuedAtMs: fromNumericDate(iat),
      expiresAtMs: fromNumericDate(exp),
    },
  };
}

const refuse = (reason: FormReason): LoginParseOutcome => ({ ok: false, reason });
