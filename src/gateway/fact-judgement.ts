import { isShortAfterSlash } from '#domain';
import { type ChainFacts, endedStake, examineStake, type StakeReason } from '#seal';
import type { StakeFact } from './decision.ts';
import type { Worker } from './worker.ts';

/**
 * The stake of a worker that was admitted once. `contradiction`: a reading that cannot be true. Records are
 * never deleted, and a token that its record still names exists: an endpoint that says otherwise is behind or lies, which
 * is not the staker's guilt.
 */
export function judgeWorker(
  facts: ChainFacts,
  worker: Pick<Worker, 'nodeId' | 'tokenId'>,
): StakeReason | 'contradiction' | undefined {
  const { token, record } = facts;
  if (!record || record.nodeId !== worker.nodeId) return 'contradiction';
  const ended = endedStake(record);
  if (ended) return ended;
  if (token) return examineStake(worker.nodeId, facts);
  if (record.token === worker.tokenId) return 'contradiction';
  if (record.token === undefined) return 'token_revoked';
  const minimumMist = facts.cluster.parameters.minimumWorkerStakeMist;
  return isShortAfterSlash(record, minimumMist) ? 'stake_short_after_slash' : 'token_superseded';
}

/** Whether the facts admit this node id. */
export function isGoodFor(facts: ChainFacts, nodeId: string): boolean {
  return facts.token !== undefined && examineStake(nodeId, facts) === undefined;
}

/** `goodAtMs`: when the stake was last known to be good. */
export function unknownSince(goodAtMs: number | undefined, nowMs: number): StakeFact {
  return { kind: 'unknown', ageMs: goodAtMs === undefined ? Number.POSITIVE_INFINITY : nowMs - goodAtMs };
}
