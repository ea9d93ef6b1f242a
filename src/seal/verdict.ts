import { timingSafeEqual } from 'node:crypto';
import { type ChainPoint, type Cluster, isShortAfterSlash, type SealToken, type StakeRecord } from '#domain';
import { LONGEST_PROOF_LIFE_MS, PROOF_CLOCK_LEEWAY_MS } from './claims.ts';
import type { FormReason, ParsedProof } from './proof.ts';

/**
 * The verdict on a Seal proof, as pure functions in the order in which they are asked, cheapest first: form (proof.ts),
 * times, target, nonce or sequence (the verifier's memory), signature (proof.ts), chain facts. Each step answers
 * `undefined` or its named reason.
 */
export type TimeReason =
  | 'proof_expired'
  | 'proof_from_future'
  | 'proof_life_too_long'
  | 'proof_older_than_gateway';
export type TargetReason = 'audience_mismatch' | 'method_mismatch' | 'path_mismatch' | 'body_mismatch';
export type FreshnessReason =
  | 'nonce_missing'
  | 'nonce_invalid'
  | 'nonce_expired'
  | 'nonce_used'
  | 'key_missing'
  | 'node_unknown'
  | 'token_mismatch'
  | 'sequence_missing'
  | 'incarnation_mismatch'
  | 'sequence_replayed';
/** The signature does not hold, or not against the key that the chain names for the token. */
export type SignatureReason =
  | 'signature_invalid'
  | 'token_not_found'
  | 'token_of_another_cluster'
  | 'holder_key_mismatch';
/** What is wrong with the stake or the token, said to the holder of its key alone. */
export type StakeReason =
  | 'node_id_mismatch'
  | 'record_not_found'
  | 'owner_mismatch'
  | 'not_a_node_stake'
  | 'stake_slashed'
  | 'stake_unbonding'
  | 'stake_withdrawn'
  | 'token_revoked'
  | 'stake_short_after_slash'
  | 'token_superseded'
  | 'token_expired'
  | 'stake_too_low'
  | 'permission_missing';
export type VerdictReason =
  | FormReason
  | TimeReason
  | TargetReason
  | FreshnessReason
  | SignatureReason
  | StakeReason;

/** What a proof must be about. */
export interface ProofTarget {
  readonly audience: string;
  readonly method: string;
  readonly path: string;
  /** Of the body as it arrived. */
  readonly bodyDigest: string;
}

/** `startedAtMs`: since when this verifier remembers what it has seen; older proofs could be replays. */
export function examineTimes(
  proof: ParsedProof,
  { nowMs, startedAtMs }: { readonly nowMs: number; readonly startedAtMs: number },
): TimeReason | undefined {
  if (proof.expiresAtMs <= nowMs) return 'proof_expired';
  if (proof.issuedAtMs > nowMs + PROOF_CLOCK_LEEWAY_MS) return 'proof_from_future';
  const lifeMs = proof.expiresAtMs - proof.issuedAtMs;
  if (lifeMs <= 0 || lifeMs > LONGEST_PROOF_LIFE_MS) return 'proof_life_too_long';
  if (proof.issuedAtMs < startedAtMs) return 'proof_older_than_gateway';
  return undefined;
}

export function examineTarget(proof: ParsedProof, target: ProofTarget): TargetReason | undefined {
  if (proof.audience !== target.audience) return 'audience_mismatch';
  if (proof.method !== target.method) return 'method_mismatch';
  if (proof.path !== target.path) return 'path_mismatch';
  if (proof.bodyDigest !== target.bodyDigest) return 'body_mismatch';
  return undefined;
}

/** What was read on chain about one token. */
export interface ChainFacts {
  /** `undefined`: no object of our package's type with this id. A look-alike of another package is no token. */
  readonly token: SealToken | undefined;
  readonly record: StakeRecord | undefined;
  readonly cluster: Cluster;
  readonly point: ChainPoint;
}

/**
 * Binds the signature to the chain: the token is one of this cluster, and the key that signed is the one it names.
 * Until this holds, nothing is told to the caller.
 */
export function examineHolder(
  facts: ChainFacts,
  signedBy: Uint8Array,
): Exclude<SignatureReason, 'signature_invalid'> | undefined {
  if (!facts.token) return 'token_not_found';
  if (facts.token.cluster !== facts.cluster.id) return 'token_of_another_cluster';
  if (!sameBytes(facts.token.holderKey, signedBy)) return 'holder_key_mismatch';
  return undefined;
}

/** Whether stake and token are good for this node id; the token is known to belong to the caller. */
export function examineStake(
  nodeId: string,
  { token, record, cluster, point }: ChainFacts,
): StakeReason | undefined {
  if (!record || !token || record.cluster !== cluster.id || record.id !== token.stakeId)
    return 'record_not_found';
  if (token.nodeId !== nodeId || record.nodeId !== nodeId) return 'node_id_mismatch';
  if (record.stakeType !== 'node') return 'not_a_node_stake';
  if (record.staker !== token.owner) return 'owner_mismatch';
  const ended = endedStake(record);
  if (ended) return ended;
  if (record.token === undefined) return 'token_revoked';
  // Before everything that a running node survives: a newer or an expired token must not hide it.
  if (isShortAfterSlash(record, cluster.parameters.minimumWorkerStakeMist)) return 'stake_short_after_slash';
  if (record.token !== token.id) return 'token_superseded';
  if (point.epoch >= token.expiresAtEpoch) return 'token_expired';
  if (record.stakeMist < cluster.parameters.minimumWorkerStakeMist) return 'stake_too_low';
  if (!token.permissions.some((permission) => permission === 'nodes:write' || permission === '*:*'))
    return 'permission_missing';
  return undefined;
}

/** Why a record no longer stands for anything, if so. */
export function endedStake(
  record: StakeRecord,
): 'stake_slashed' | 'stake_unbonding' | 'stake_withdrawn' | undefined {
  switch (record.status) {
    case 'active':
      return undefined;
    case 'slashed':
      return 'stake_slashed';
    case 'unbonding':
      return 'stake_unbonding';
    case 'withdrawn':
      return 'stake_withdrawn';
    default:
      return record.status satisfies never;
  }
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}
