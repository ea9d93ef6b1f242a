import type { OpenProposal, StakeRecord } from './chain-facts.ts';

/** What keeps a stake from being topped up or withdrawn. */
export interface StakeHold {
  readonly proposals: readonly OpenProposal[];
  /** When the last of them ends, if none is carried out before. */
  readonly untilMs: number;
}

/**
 * The open slash proposals that hold a stake at a time of the chain's clock; `undefined` when nothing holds it. A proposal
 * holds until it expires, and only while a slasher in force has voted for it (contracts: `staking::is_held`).
 */
export function holdOf(
  record: Pick<StakeRecord, 'status' | 'holdUntilMs' | 'proposals'>,
  slashers: readonly string[],
  nowMs: number,
): StakeHold | undefined {
  const isActive = record.status === 'active';
  if (!isActive && nowMs >= record.holdUntilMs) return undefined;
  const proposals = record.proposals.filter(
    ({ expiresAtMs, voters }) => nowMs < expiresAtMs && voters.some((voter) => slashers.includes(voter)),
  );
  if (proposals.length === 0) return undefined;
  const lastMs = Math.max(...proposals.map(({ expiresAtMs }) => expiresAtMs));
  return { proposals, untilMs: isActive ? lastMs : Math.min(lastMs, record.holdUntilMs) };
}

/**
 * All that was ever paid into an active record: what it has and what was slashed. A top-up raises it, and nothing else
 * changes it, so it names the state that a top-up starts from.
 */
export function paidInMist({
  stakeMist,
  slashedMist,
}: Pick<StakeRecord, 'stakeMist' | 'slashedMist'>): bigint {
  return stakeMist + slashedMist;
}
