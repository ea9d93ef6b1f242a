import { describe, expect, test } from 'vitest';
import {
  askBreaker,
  BREAKER_WINDOW_MS,
  type BreakerState,
  breakerLimit,
  countsForBreaker,
  idleBreaker,
} from './breaker.ts';

function removeAll(count: number, workers: number, atMs = 1_000): { state: BreakerState; allowed: number } {
  let state = idleBreaker;
  let allowed = 0;
  for (let index = 0; index < count; index += 1) {
    const answer = askBreaker(state, { nodeId: `worker-${index}`, atMs, workers: workers - allowed });
    state = answer.state;
    if (answer.isAllowed) allowed += 1;
  }
  return { state, allowed };
}

describe('how many may go within five minutes', () => {
  test.each([
    [1, 3],
    [3, 3],
    [10, 3],
    [13, 3],
    [14, 4],
    [100, 30],
    [1000, 300],
  ])('of %i workers: %i', (workers, limit) => {
    expect(breakerLimit(workers)).toBe(limit);
  });

  test('the fourth of ten trips it and stays', () => {
    const { state, allowed } = removeAll(4, 10);
    expect(allowed).toBe(3);
    expect(state.trippedAtMs).toBe(1_000);
  });

  test('a third of a hundred may go, the next one trips it', () => {
    expect(removeAll(30, 100).state.trippedAtMs).toBeUndefined();
    expect(removeAll(31, 100)).toMatchObject({ allowed: 30, state: { trippedAtMs: 1_000 } });
  });

  test('three of a cluster of three may go: a small cluster must be able to lose what is slashed', () => {
    expect(removeAll(3, 3)).toMatchObject({ allowed: 3, state: { trippedAtMs: undefined } });
  });
});

test('removals older than the window no longer count', () => {
  const { state } = removeAll(3, 10);
  const later = askBreaker(state, { nodeId: 'late', atMs: 1_000 + BREAKER_WINDOW_MS, workers: 10 });
  expect(later).toMatchObject({ isAllowed: true, state: { removals: [{ nodeId: 'late' }] } });
});

test('the same node twice counts once', () => {
  const { state } = removeAll(3, 10);
  expect(askBreaker(state, { nodeId: 'worker-0', atMs: 2_000, workers: 10 })).toMatchObject({
    isAllowed: true,
    state: { trippedAtMs: undefined },
  });
});

test('once tripped it stays so until somebody resets it, however much time passes', () => {
  const { state } = removeAll(4, 10);
  expect(askBreaker(state, { nodeId: 'late', atMs: 1_000 + 100 * BREAKER_WINDOW_MS, workers: 10 })).toEqual({
    isAllowed: false,
    state,
  });
});

test.each([
  ['slashed', true],
  ['unbonding', true],
  ['withdrawn', true],
  ['token_revoked', true],
  ['stake_short_after_slash', true],
  ['evicted', false],
  ['banned', false],
  ['not_admitted', false],
] as const)('%s counts: %s', (reason, counts) => {
  expect(countsForBreaker(reason)).toBe(counts);
});
