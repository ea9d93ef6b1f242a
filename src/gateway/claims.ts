import { z } from 'zod';
import { isOperatorsName } from '#domain';
import { Millis, orNull, readStored, storedRecord } from './stored-record.ts';
import { isAdmitted, type Worker } from './worker.ts';

/**
 * A name that somebody with a join credential has taken at k3s' supervisor: a password Secret without our mark and without a
 * Node. Its maker has a certificate of that name, for as long as a certificate can live.
 */
export interface Claim {
  readonly nodeId: string;
  /** Of the Secret: one that is released is not taken for a new claim. */
  readonly secretUid: string;
  readonly seenAtMs: number;
  /** The join credentials that were alive, and for whom each was made: one of them was used. */
  readonly credentials: readonly LiveCredential[];
  /** Since when the operator has opened the name again. */
  readonly releasedAtMs: number | undefined;
}
export interface LiveCredential {
  readonly id: string;
  readonly nodeId: string;
}

/** The longest life of a k3s client certificate, and a day for clocks that differ. */
export const CERTIFICATE_LIFE_MS = 366 * 24 * 3_600_000;
/** This many claims while a credential lives are no accident: all live credentials end. */
export const CLAIMS_PER_CREDENTIAL = 3;
/** Beyond this many the oldest are forgotten: a claim costs its maker one request. */
export const MOST_CLAIMS = 50_000;

export const claimKey = ({ nodeId }: Pick<Claim, 'nodeId'>) => `/claims/${nodeId}`;

const StoredClaim = storedRecord({
  nodeId: ['node_id', z.string()],
  secretUid: ['secret_uid', z.string()],
  seenAtMs: ['seen_at', Millis],
  credentials: [
    'credentials',
    z.array(storedRecord({ id: ['id', z.string()], nodeId: ['node_id', z.string()] })).readonly(),
  ],
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
  return claim.releasedAtMs === undefined && nowMs < claim.seenAtMs + CERTIFICATE_LIFE_MS;
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

/** How many standing claims were made while each credential lived. */
export function claimsByCredential(claims: Iterable<Claim>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { credentials, releasedAtMs } of claims)
    if (releasedAtMs === undefined)
      for (const { id } of credentials) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}
