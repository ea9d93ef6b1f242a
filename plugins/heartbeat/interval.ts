export const shortestIntervalMs = 100;
export const longestIntervalMs = 600_000;

/** A gateway can ask for any interval: too short a one keeps the machine busy, too long a one overflows the timer. */
export function boundedIntervalMs(intervalMs: number): number {
  return Math.min(longestIntervalMs, Math.max(shortestIntervalMs, intervalMs));
}
