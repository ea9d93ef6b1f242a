import { type Backoff, backoffDelayMs } from '#base';

export interface CrashBudget {
  readonly crashes: number;
  readonly windowMs: number;
}

export type RestartDecision =
  | { readonly kind: 'restart'; readonly delayMs: number }
  | { readonly kind: 'give-up'; readonly crashes: number };

/** Decides after an unrequested end. `crashesMs`: the times of all such ends, this one last. */
export function decideRestart(
  crashesMs: readonly number[],
  budget: CrashBudget,
  delay: Backoff,
  random: () => number,
): RestartDecision {
  const nowMs = crashesMs.at(-1) ?? 0;
  const recent = crashesMs.filter((atMs) => nowMs - atMs < budget.windowMs).length;
  if (recent >= budget.crashes) return { kind: 'give-up', crashes: recent };
  return { kind: 'restart', delayMs: backoffDelayMs(Math.max(0, recent - 1), delay, random) };
}
