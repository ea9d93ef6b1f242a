import { isNodeId } from '#domain';
import { LONGEST_NONCE, type ProofClaims } from './claims.ts';

type Check = (value: unknown) => boolean;

const textOf =
  (longest: number): Check =>
  (value) =>
    typeof value === 'string' && value.length > 0 && value.length <= longest;
const isNumericDate: Check = (value) => typeof value === 'number' && value > 0 && value <= 8_640_000_000;
const isCount: Check = (value) => typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
const digest = /^[A-Za-z0-9_-]{43}$/;

const required: Readonly<Record<string, Check>> = {
  iss: (value) => typeof value === 'string' && isNodeId(value),
  aud: textOf(128),
  iat: isNumericDate,
  exp: isNumericDate,
  htm: textOf(16),
  htu: textOf(256),
  bd: (value) => typeof value === 'string' && digest.test(value),
} satisfies Partial<Record<keyof ProofClaims, Check>>;
const optional: Readonly<Record<string, Check>> = {
  nonce: textOf(LONGEST_NONCE),
  inc: isCount,
  seq: isCount,
  mid: textOf(64),
  bid: textOf(64),
  run: textOf(64),
} satisfies Partial<Record<keyof ProofClaims, Check>>;
const checks = new Map(Object.entries({ ...required, ...optional }));
const requiredNames = Object.keys(required);

/**
 * The rules of the schema `ProofClaims`, for claims that were parsed from JSON, without the cost of saying what is wrong: every
 * heartbeat pays it. It accepts nothing that the schema refuses; what it does not accept, the schema decides. A test holds the
 * two together.
 */
export function areProofClaims(value: unknown): value is ProofClaims {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const claims = value as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(claims)) if (checks.get(name)?.(claims[name]) !== true) return false;
  for (const name of requiredNames) if (!Object.hasOwn(claims, name)) return false;
  return true;
}
