import type { EvictionReason } from './decision.ts';

/**
 * Stops mass evictions: neither a lying endpoint nor a bug in the gateway may empty a cluster. Pure: state in, state
 * out.
 */
export interface BreakerState {
  /** Set until the operator resets it. */
  readonly trippedAtMs: number | undefined;
  /** Evictions that count, of the last window. */
  readonly removals: readonly Removal[];
}
export interface Removal {
  readonly nodeId: string;
  readonly atMs: number;
}

export const BREAKER_WINDOW_MS = 5 * 60_000;
export const idleBreaker: BreakerState = { trippedAtMs: undefined, removals: [] };

/** The lock under which it is read and changed. It is not a valid node id. */
export const BREAKER_LOCK = '/breaker';

/** How many workers may be evicted within a window: three, or 30 % of a larger cluster. */
export function breakerLimit(workers: number): number {
  return Math.max(3, Math.floor(workers * 0.3));
}

/**
 * Whether an eviction counts. Everything read on chain does, also what stakers have signed: this version reads one
 * endpoint at a time, and a single lying one could report it all. What the cluster's operator asked for never counts.
 */
export function countsForBreaker(reason: EvictionReason): boolean {
  switch (reason) {
    case 'evicted':
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
export function resetBreaker(held: readonly string[], atMs: number): BreakerState {
  return { trippedAtMs: undefined, removals: held.map((nodeId) => ({ nodeId, atMs })) };
}

/** Asks for one more eviction. `workers`: how many are admitted now, this one included. */
export function askBreaker(
  state: BreakerState,
  { nodeId, atMs, workers }: Removal & { readonly workers: number },
): { readonly isAllowed: boolean; readonly state: BreakerState } {
  if (state.trippedAtMs !== undefined) return { isAllowed: false, state };
  const removals = state.removals.filter((removal) => removal.atMs > atMs - BREAKER_WINDOW_MS);
  if (removals.some((removal) => removal.nodeId === nodeId))
    return { isAllowed: true, state: { ...state, removals } };
  // Workers that were just evicted existed when the window began.
  if (removals.length + 1 > breakerLimit(workers + removals.length))
    return { isAllowed: false, state: { trippedAtMs: atMs, removals } };
  return { isAllowed: true, state: { ...state, removals: [...removals, { nodeId, atMs }] } };
}
