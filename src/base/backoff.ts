export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** Full jitter, so that workers that lost the same gateway do not return together. `attempt` counts from 0. */
export function backoffDelayMs(attempt: number, { baseMs, maxMs }: Backoff, random: () => number): number {
  return Math.round(random() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30)));
}
