import { z } from 'zod';
import { isOperatorsName } from '#domain';
import { canLive } from './name-history.ts';
import { Millis, orDefault, orNull, readStored, storedRecord } from './stored-record.ts';
import { type IssuedCredential, isAdmitted, type Worker } from './worker.ts';

/**
 * A name that somebody with a join credential has taken at k3s' supervisor: a password Secret without our mark and without a
 * Node. Its maker has a certificate of that name, for as long as a certificate can live.
 */
export interface Claim {
  readonly nodeId: string;
  /** Of the Secret: one that is released is not taken for a new claim. */
  readonly secretUid: string;
  readonly seenAtMs: number;
  /** The newest join credentials that were alive, and for whom each was made; one of all that lived was used. */
  readonly credentials: readonly LiveCredential[];
  /** How many lived beside these. */
  readonly otherCredentials: number;
  /** Since when the operator has opened the name again. */
  readonly releasedAtMs: number | undefined;
}
interface LiveCredential {
  readonly id: string;
  readonly nodeId: string;
}

/** This many claims while a credential lives are no accident: all live credentials end. */
const CLAIMS_PER_CREDENTIAL = 3;
/** Beyond this many the oldest are forgotten, and every name counts as contested: a claim costs its maker one request. */
const MOST_CLAIMS = 50_000;
/** Beyond this many the credentials of a claim are only counted. */
const MOST_CREDENTIALS = 16;

export const claimKey = ({ nodeId }: Pick<Claim, 'nodeId'>) => `/claims/${nodeId}`;

const StoredClaim = storedRecord({
  nodeId: ['node_id', z.string()],
  secretUid: ['secret_uid', z.string()],
  seenAtMs: ['seen_at', Millis],
  credentials: [
    'credentials',
    z.array(storedRecord({ id: ['id', z.string()], nodeId: ['node_id', z.string()] })).readonly(),
  ],
  otherCredentials: ['other_credentials', orDefault(z.number().int().nonnegative(), 0)],
  releasedAtMs: ['released_at', orNull(Millis)],
});

export const storedClaim = (claim: Claim): unknown => z.encode(StoredClaim, claim);

/** @throws `DAAS_GATEWAY_STORE_DAMAGED`: a claim that cannot be read must not count as none. */
export const readClaim = (key: string, value: unknown): Claim =>
  readStored(StoredClaim, { key, value, keyOf: claimKey });

/** Whether a foreign password Secret is a claim. Listed names of the operator and names with a Node are not. */
export function isClaim({
  hasNode,
  listing,
}: {
  readonly hasNode: boolean;
  readonly listing: string | undefined;
}): boolean {
  return !hasNode && !isOperatorsName(listing);
}

/** Whether the claim still says anything: its certificate can live, and the operator has not opened the name. */
export function isStanding(claim: Claim, nowMs: number): boolean {
  return claim.releasedAtMs === undefined && canLive(claim.seenAtMs, nowMs);
}

/**
 * What a claim means for its name. `contested`: a live record stands on it, so it is not closed; the certificate of the
 * claim is the danger. `noted`: certificates count only when vouched for, and the claim's is not.
 */
export type ClaimEffect = 'closed' | 'contested' | 'noted' | 'over';

export interface ClaimGrounds {
  readonly worker: Worker | undefined;
  /** When the record that asks, or that holds the name, was staked; `undefined`: unknown. */
  readonly stakedAtMs: number | undefined;
  readonly isVouchingEnforced: boolean;
  readonly nowMs: number;
}

export function effectOf(claim: Claim, grounds: ClaimGrounds): ClaimEffect {
  const { worker, stakedAtMs, isVouchingEnforced, nowMs } = grounds;
  if (!isStanding(claim, nowMs)) return 'over';
  const wasHeld =
    (stakedAtMs !== undefined && stakedAtMs <= claim.seenAtMs) ||
    (worker !== undefined && isAdmitted(worker));
  if (wasHeld) return 'contested';
  return isVouchingEnforced ? 'noted' : 'closed';
}

/** What a claim remembers of the credentials that lived when it was made. */
export function rememberedCredentials(
  live: readonly LiveIssued[],
): Pick<Claim, 'credentials' | 'otherCredentials'> {
  const newest = live
    .toSorted((left, right) => right.issuedAtMs - left.issuedAtMs)
    .slice(0, MOST_CREDENTIALS);
  return {
    credentials: newest.map(({ id, nodeId }) => ({ id, nodeId })),
    otherCredentials: live.length - newest.length,
  };
}

export interface LiveIssued extends LiveCredential, Pick<IssuedCredential, 'issuedAtMs'> {}

/** Whether one of these credentials has lived through so many claims that it is no accident. */
export function isAbuse(claims: Iterable<Claim>, live: readonly LiveIssued[]): boolean {
  const newest: number[] = [];
  for (const { seenAtMs, releasedAtMs } of claims) {
    if (releasedAtMs !== undefined || seenAtMs < (newest[CLAIMS_PER_CREDENTIAL - 1] ?? 0)) continue;
    newest.push(seenAtMs);
    newest.sort((left, right) => right - left);
    newest.length = Math.min(newest.length, CLAIMS_PER_CREDENTIAL);
  }
  const sinceMs = newest.at(CLAIMS_PER_CREDENTIAL - 1);
  return sinceMs !== undefined && live.some(({ issuedAtMs }) => issuedAtMs <= sinceMs);
}

/**
 * The claims to forget when `more` are to be remembered: those whose certificates have ended, and of too many the oldest,
 * whose certificates may live.
 */
export function forgottenClaims(
  known: readonly Claim[],
  more: number,
  nowMs: number,
): { readonly over: readonly Claim[]; readonly surplus: readonly Claim[] } {
  const over = known.filter(({ seenAtMs }) => !canLive(seenAtMs, nowMs));
  const most = Math.max(0, MOST_CLAIMS - more);
  if (known.length - over.length <= most) return { over, surplus: [] };
  const living = known
    .filter(({ seenAtMs }) => canLive(seenAtMs, nowMs))
    .toSorted((left, right) => left.seenAtMs - right.seenAtMs);
  return { over, surplus: living.slice(0, living.length - most) };
}
