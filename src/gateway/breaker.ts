import type { EvictionReason } from './decision.ts';
import { isAdmitted, type Worker } from './worker.ts';

/**
 * Stops mass evictions: neither a full node that lies, nor a stolen admin key, nor a bug in the gateway may empty a
 * cluster. Pure: state in, state out. It must not be a weapon either: what costs an attacker nothing but registrations
 * counts for nothing.
 */
export interface BreakerState {
  /** Set until the operator resets it. */
  readonly trippedAtMs: number | undefined;
  /** Evictions that count, of the last window. */
  readonly removals: readonly Removal[];
}
export interface Removal {
  readonly nodeId: string;
  /** Who staked for the node; `undefined` for a removal that an earlier version has stored. */
  readonly staker: string | undefined;
  readonly atMs: number;
}

export const BREAKER_WINDOW_MS = 5 * 60_000;
export const idleBreaker: BreakerState = { trippedAtMs: undefined, removals: [] };

/** The lock under which it is read and changed. It is not a valid node id. */
export const BREAKER_LOCK = '/breaker';

/** Of how many stakers workers may be evicted within a window: three, or 30 % of a larger cluster. */
export function breakerLimit(stakers: number): number {
  return Math.max(3, Math.floor(stakers * 0.3));
}

/** The stakers whose workers can count: those with an admitted worker whose machine has been Ready. */
export function stakersThatCount(workers: readonly Worker[]): ReadonlySet<string> {
  return new Set(workers.filter((worker) => isAdmitted(worker) && hasBeenReady(worker)).map(stakerOf));
}

/** A name without a machine costs nothing: only a worker whose Node was once Ready is a loss to the cluster. */
function hasBeenReady({ firstReadyAtMs }: Pick<Worker, 'firstReadyAtMs'>): boolean {
  return firstReadyAtMs !== undefined;
}

/**
 * How the breaker weighs an eviction. `isCertain`: validators have signed the fact, and it is no act of the cluster's
 * admin (`isCertain` of `StakeFact`).
 */
export function weighEviction(
  reason: EvictionReason,
  { isCertain, worker }: { readonly isCertain: boolean; readonly worker: Pick<Worker, 'firstReadyAtMs'> },
): {
  /** A tripped breaker holds it. */
  readonly isHeld: boolean;
  /** It brings the breaker nearer to its limit. */
  readonly isCounted: boolean;
} {
  const isHeld = isReadOnChain(reason) && !isCertain;
  return { isHeld, isCounted: isHeld && hasBeenReady(worker) };
}

/** What the cluster's operator or the host itself asked for is neither counted nor held. */
function isReadOnChain(reason: EvictionReason): boolean {
  switch (reason) {
    case 'evicted':
    case 'left':
    case 'banned':
    case 'not_admitted':
      return false;
    case 'slashed':
    case 'unbonding':
    case 'withdrawn':
    case 'token_revoked':
    case 'stake_short_after_slash':
      return true;
    default:
      return reason satisfies never;
  }
}

/** At rest again. The held evictions may happen now, and they count: beyond them it trips as before. */
export function resetBreaker(
  held: ReadonlyArray<Pick<Worker, 'nodeId' | 'staker'>>,
  atMs: number,
): BreakerState {
  return {
    trippedAtMs: undefined,
    removals: held.map(({ nodeId, staker }) => ({ nodeId, staker, atMs })),
  };
}

/** How many count together: each staker once, however many nodes. */
export function countedRemovals(removals: readonly Removal[]): number {
  return new Set(removals.map(stakerOf)).size;
}

/** Asks for one more eviction. `stakers`: those whose workers can count now, this one's included. */
export function askBreaker(
  state: BreakerState,
  { stakers, ...removal }: Removal & { readonly stakers: ReadonlySet<string> },
): { readonly isAllowed: boolean; readonly state: BreakerState } {
  if (state.trippedAtMs !== undefined) return { isAllowed: false, state };
  const { nodeId, atMs } = removal;
  const removals = removalsInWindow(state, atMs);
  if (removals.some((earlier) => earlier.nodeId === nodeId))
    return { isAllowed: true, state: { ...state, removals } };
  const asked = [...removals, removal];
  // Stakers whose last worker was just evicted were there when the window began.
  const existing = new Set([...stakers, ...asked.map(stakerOf)]).size;
  // Another node of a staker who counts already can exceed no limit.
  const isAnother = removals.every((earlier) => stakerOf(earlier) !== stakerOf(removal));
  if (isAnother && countedRemovals(asked) > breakerLimit(existing))
    return { isAllowed: false, state: { trippedAtMs: atMs, removals } };
  return { isAllowed: true, state: { ...state, removals: asked } };
}

export function removalsInWindow({ removals }: BreakerState, nowMs: number): readonly Removal[] {
  return removals.filter((removal) => removal.atMs > nowMs - BREAKER_WINDOW_MS);
}

function stakerOf({ staker, nodeId }: Pick<Removal, 'staker' | 'nodeId'>): string {
  return staker ?? nodeId;
}
