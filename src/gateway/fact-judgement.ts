import { type Cluster, isShortAfterSlash, type StakeRecord } from '#domain';
import { type ChainFacts, endedStake, examinePerson, examineStake, type StakeReason } from '#seal';
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

/** Whether the facts let this wallet in. */
export function isGoodPerson(facts: ChainFacts, wallet: string): boolean {
  return facts.token !== undefined && examinePerson(wallet, facts) === undefined;
}

/** `goodAtMs`: when the stake was last known to be good. */
export function unknownSince(goodAtMs: number | undefined, nowMs: number): StakeFact {
  return { kind: 'unknown', ageMs: goodAtMs === undefined ? Number.POSITIVE_INFINITY : nowMs - goodAtMs };
}

/**
 * Whether a bad stake is the act of its staker, or of slashers in the number that the stakers have agreed to. The admin
 * can force any record into unbonding: with a stolen admin key that is a way to empty the cluster. An unbonding whose
 * author has fallen out of the rings is taken for such a one.
 */
export function isOwnAct(
  reason: StakeReason,
  recordId: string,
  { criticalRing, forcedRing }: Pick<Cluster, 'criticalRing' | 'forcedRing'>,
): boolean {
  if (reason !== 'stake_unbonding') return true;
  const last = criticalRing.findLast(({ record }) => record === recordId);
  return last !== undefined && !forcedRing.some(({ sequence }) => sequence === last.sequence);
}

/** Until when a slash proposal is open that a slasher in force has voted for (contracts: `staking::is_held`). */
export function proposedUntilMs(
  { proposals }: Pick<StakeRecord, 'proposals'>,
  { slashers }: Pick<Cluster, 'slashers'>,
  nowMs: number,
): number | undefined {
  const ends = proposals
    .filter(
      ({ expiresAtMs, voters }) => expiresAtMs > nowMs && voters.some((voter) => slashers.includes(voter)),
    )
    .map(({ expiresAtMs }) => expiresAtMs);
  return ends.length === 0 ? undefined : Math.max(...ends);
}
