import { type Backoff, backoffDelayMs } from '#base';

/** The newest checkpoint that a node named, and the oldest that it still has. */
export interface Tip {
  readonly height: bigint;
  /** The chain's time of that checkpoint. */
  readonly timestampMs: number;
  readonly lowestHeight: bigint | undefined;
}

/** What is known of one endpoint. Times are of the monotonic clock unless they are the chain's. */
export interface Health {
  /** Of the last successful calls, at most {@link MAX_LATENCIES}. */
  readonly latenciesMs: readonly number[];
  readonly calls: number;
  readonly failures: number;
  readonly failuresInARow: number;
  /** Asked after the others until then: it failed a moment ago. */
  readonly demotedUntilMs: number;
  /** Not asked until then: it said so itself (`Retry-After`). */
  readonly blockedUntilMs: number;
  readonly tip: Tip | undefined;
  /** How far it was behind the newest checkpoint that any endpoint had named, by the chain's time. */
  readonly lagMs: number;
  readonly lagSeenAtMs: number;
  /** What it served that the validators did not sign. */
  readonly contradiction: string | undefined;
}

export const UNKNOWN: Health = {
  latenciesMs: [],
  calls: 0,
  failures: 0,
  failuresInARow: 0,
  demotedUntilMs: 0,
  blockedUntilMs: 0,
  tip: undefined,
  lagMs: 0,
  lagSeenAtMs: 0,
  contradiction: undefined,
};

const MAX_LATENCIES = 64;
const DEMOTION: Backoff = { baseMs: 1_000, maxMs: 30_000 };
/** An endpoint that asks for more waits no longer than this: it may be a mistake, and nothing else may be left. */
const LONGEST_BLOCK_MS = 300_000;

export function afterSuccess(health: Health, latencyMs: number): Health {
  return {
    ...health,
    calls: health.calls + 1,
    failuresInARow: 0,
    demotedUntilMs: 0,
    latenciesMs: [...health.latenciesMs.slice(1 - MAX_LATENCIES), latencyMs],
  };
}

export function afterFailure(
  health: Health,
  { nowMs, retryAfterMs }: { readonly nowMs: number; readonly retryAfterMs: number | undefined },
  random: () => number,
): Health {
  const demotionMs = DEMOTION.baseMs / 2 + backoffDelayMs(health.failuresInARow, DEMOTION, random);
  return {
    ...health,
    calls: health.calls + 1,
    failures: health.failures + 1,
    failuresInARow: health.failuresInARow + 1,
    demotedUntilMs: nowMs + demotionMs,
    blockedUntilMs:
      retryAfterMs === undefined ? health.blockedUntilMs : nowMs + Math.min(retryAfterMs, LONGEST_BLOCK_MS),
  };
}

/**
 * `newest`: the newest checkpoint that any endpoint has named so far. It may be invented, to make honest ones look late: none
 * lags by more than its own tip is old by the local time.
 */
export function afterTip(
  health: Health,
  tip: Tip,
  newest: Tip | undefined,
  { nowMs, timeMs }: { readonly nowMs: number; readonly timeMs: number },
): Health {
  const isBehind = newest !== undefined && tip.height < newest.height;
  const behindMs = isBehind ? newest.timestampMs - tip.timestampMs : 0;
  const lagMs = Math.max(0, Math.min(behindMs, timeMs - tip.timestampMs));
  return { ...health, tip, lagMs, lagSeenAtMs: nowMs };
}

/** The latency that 95 of 100 calls stay below; `undefined` below 8 calls, where it says nothing. */
export function p95Ms({ latenciesMs }: Pick<Health, 'latenciesMs'>): number | undefined {
  if (latenciesMs.length < 8) return undefined;
  const sorted = [...latenciesMs].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.95) - 1];
}

/** `Retry-After` (RFC 9110, section 10.2.3) in ms: seconds, or an HTTP date. `nowMs`: since the epoch. */
export function retryAfterMs(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
