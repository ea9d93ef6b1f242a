import type { z } from 'zod';
import type { BanEntry, BreakerReply } from '#gateway';
import { table } from './io.ts';

/** `just now`, `40 s ago`, `32 min ago`, `5 h ago`, `3 d ago`. */
export function ageText(atMs: number, nowMs: number): string {
  const seconds = Math.floor((nowMs - atMs) / 1000);
  if (seconds < 1) return 'just now';
  return `${durationText(seconds * 1000)} ago`;
}

export function durationText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/**
 * A reply of the gateway as the commands print it. HTTP has snake_case members; what commands print, the configuration and
 * the log are in camelCase.
 */
export function camelCased(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]: [string, unknown]) => [
      key.replaceAll(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase()),
      camelCasedValue(inner),
    ]),
  );
}

function camelCasedValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCasedValue);
  return typeof value === 'object' && value !== null ? camelCased(value) : value;
}

export function bansText(bans: readonly BanEntry[], nowMs: number): string {
  if (bans.length === 0) return 'no bans';
  const rows = bans.map(({ subject, value, reason, since }) => [
    subject,
    value,
    reason,
    ageText(since, nowMs),
  ]);
  return table([['WHAT', 'VALUE', 'REASON', 'SINCE'], ...rows]);
}

export function breakerText(breaker: z.infer<typeof BreakerReply>): string {
  const { tripped_at: trippedAtMs, removals, held, limit, window_ms: windowMs, timestamp } = breaker;
  const counted = `nodes of ${breaker.counted} of at most ${limit} stakers removed within ${durationText(windowMs)}`;
  const gone = removals.map(({ node_id: nodeId, at }) => `  ${nodeId}, ${ageText(at, timestamp)}`);
  if (trippedAtMs === null) return [`at rest: ${counted}`, ...gone].join('\n');
  return [
    `tripped ${ageText(trippedAtMs, timestamp)} (${new Date(trippedAtMs).toISOString()}): ${counted}; no more nodes are evicted unless it is proven on chain`,
    ...gone,
    held.length === 0
      ? 'held: none'
      : `held, and evicted after a reset if their stakes are still bad: ${held.join(', ')}`,
    'Compare with the chain (another full node) before `k3s-daas gateway breaker --reset`: docs/operations.md#a-tripped-breaker',
  ].join('\n');
}
