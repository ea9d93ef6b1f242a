import type { ParameterState, SlashProposal } from './contract-objects.ts';

/** Whether a proposal can be executed now, as `slashing::execute` judges it. */
export type SlashReadiness =
  | { readonly kind: 'ready' }
  /** It needs more votes. */
  | { readonly kind: 'votes'; readonly votes: number; readonly needed: number }
  /** It has its votes; the staker can still answer. */
  | { readonly kind: 'challenge'; readonly delayMs: number }
  | { readonly kind: 'closed'; readonly status: Exclude<SlashProposal['status'], 'open'> };

/** `nowMs`: the chain's clock. `voters` count as if they had voted too. */
export function slashReadiness(
  proposal: Pick<SlashProposal, 'status' | 'votes' | 'thresholdAtOpening' | 'executableAtMs' | 'expiresAtMs'>,
  { slashers, slashThreshold }: Pick<ParameterState, 'slashers' | 'slashThreshold'>,
  nowMs: number,
  voters: readonly string[] = [],
): SlashReadiness {
  if (proposal.status !== 'open') return { kind: 'closed', status: proposal.status };
  if (nowMs >= proposal.expiresAtMs) return { kind: 'closed', status: 'expired' };
  const counted = [...proposal.votes, ...voters].filter((voter) => slashers.includes(voter));
  const votes = new Set(counted).size;
  // A threshold that was raised since the opening counts; one that was lowered does not.
  const needed = Math.max(proposal.thresholdAtOpening, Number(slashThreshold));
  if (votes < needed) return { kind: 'votes', votes, needed };
  if (nowMs < proposal.executableAtMs) return { kind: 'challenge', delayMs: proposal.executableAtMs - nowMs };
  return { kind: 'ready' };
}
