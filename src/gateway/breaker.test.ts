import { describe, expect, test } from 'vitest';
import {
  askBreaker,
  BREAKER_WINDOW_MS,
  type BreakerState,
  breakerLimit,
  countedRemovals,
  idleBreaker,
  resetBreaker,
  stakersThatCount,
  weighEviction,
} from './breaker.ts';
import { aWorker } from './worker.fixture.ts';

const stakersOf = (count: number) => new Set(Array.from({ length: count }, (_, index) => `staker-${index}`));

/** Removes one node of each of `count` stakers, of a cluster of `all`. */
function removeAll(count: number, all: number, atMs = 1_000): { state: BreakerState; allowed: number } {
  let state = idleBreaker;
  let allowed = 0;
  const stakers = stakersOf(all);
  for (let index = 0; index < count; index += 1) {
    const staker = `staker-${index}`;
    const answer = askBreaker(state, { nodeId: `worker-${index}`, staker, atMs, stakers });
    state = answer.state;
    if (!answer.isAllowed) continue;
    allowed += 1;
    stakers.delete(staker);
  }
  return { state, allowed };
}

describe('of how many stakers nodes may go within five minutes', () => {
  test.each([
    [1, 3],
    [3, 3],
    [10, 3],
    [13, 3],
    [14, 4],
    [100, 30],
    [1000, 300],
  ])('of %i stakers: %i', (stakers, limit) => {
    expect(breakerLimit(stakers)).toBe(limit);
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
  const later = askBreaker(state, {
    nodeId: 'late',
    staker: 'late',
    atMs: 1_000 + BREAKER_WINDOW_MS,
    stakers: stakersOf(10),
  });
  expect(later).toMatchObject({ isAllowed: true, state: { removals: [{ nodeId: 'late' }] } });
});

test('the same node twice counts once', () => {
  const { state } = removeAll(3, 10);
  const again = { nodeId: 'worker-0', staker: 'staker-0', atMs: 2_000, stakers: stakersOf(10) };
  expect(askBreaker(state, again)).toMatchObject({ isAllowed: true, state: { trippedAtMs: undefined } });
});

test('one staker counts once, with however many nodes, also at the limit', () => {
  let state = idleBreaker;
  const stakers = stakersOf(10);
  for (let index = 0; index < 50; index += 1) {
    const answer = askBreaker(state, { nodeId: `worker-${index}`, staker: 'staker-0', atMs: 1_000, stakers });
    expect(answer.isAllowed).toBe(true);
    state = answer.state;
  }
  expect(countedRemovals(state.removals)).toBe(1);
  const atLimit = removeAll(3, 10).state;
  const another = askBreaker(atLimit, { nodeId: 'more', staker: 'staker-0', atMs: 1_000, stakers });
  expect(another.isAllowed).toBe(true);
});

test('a removal that an earlier version stored without its staker counts as one of its own', () => {
  const removals = ['a', 'b', 'c'].map((nodeId) => ({ nodeId, staker: undefined, atMs: 1_000 }));
  const fourth = { nodeId: 'd', staker: 'staker-0', atMs: 2_000, stakers: stakersOf(3) };
  expect(askBreaker({ trippedAtMs: undefined, removals }, fourth).isAllowed).toBe(false);
});

test('once tripped it stays so until somebody resets it, however much time passes', () => {
  const { state } = removeAll(4, 10);
  const late = { nodeId: 'late', staker: 'late', atMs: 1_000 + 100 * BREAKER_WINDOW_MS };
  expect(askBreaker(state, { ...late, stakers: stakersOf(10) })).toEqual({ isAllowed: false, state });
});

test('after a reset the held nodes may go, and one staker more trips it again', () => {
  const held = [1, 2, 3, 4, 5].map((index) => aWorker({ nodeId: `worker-${index}`, staker: `s-${index}` }));
  let state = resetBreaker(held, 1_000);
  for (const { nodeId, staker } of held) {
    const answer = askBreaker(state, { nodeId, staker, atMs: 2_000, stakers: stakersOf(9) });
    expect(answer.isAllowed).toBe(true);
    state = answer.state;
  }
  const next = askBreaker(state, { nodeId: 'next', staker: 'next', atMs: 3_000, stakers: stakersOf(9) });
  expect(next).toMatchObject({ isAllowed: false, state: { trippedAtMs: 3_000 } });
});

describe('what an eviction weighs', () => {
  const wasReady = aWorker();
  const neverReady = aWorker({ firstReadyAtMs: undefined });
  const counted = { isHeld: true, isCounted: true };
  const heldOnly = { isHeld: true, isCounted: false };
  const nothing = { isHeld: false, isCounted: false };
  const reasons = ['slashed', 'unbonding', 'withdrawn', 'token_revoked', 'stake_short_after_slash'] as const;

  test.each(reasons)('%s: counted when it is not certain', (reason) => {
    expect(weighEviction(reason, { isCertain: false, worker: wasReady })).toEqual(counted);
  });
  test.each(reasons)('%s of a worker that never had a Ready Node: not counted', (reason) => {
    expect(weighEviction(reason, { isCertain: false, worker: neverReady })).toEqual(heldOnly);
  });
  test.each(reasons)('%s: neither counted nor held when it is certain', (reason) => {
    for (const worker of [wasReady, neverReady])
      expect(weighEviction(reason, { isCertain: true, worker })).toEqual(nothing);
  });
  test.each(['evicted', 'banned', 'not_admitted'] as const)('%s: the operator’s own act', (reason) => {
    expect(weighEviction(reason, { isCertain: false, worker: wasReady })).toEqual(nothing);
  });
});

test('stakers count whose worker is admitted and has been Ready: names alone do not raise the limit', () => {
  const workers = [
    aWorker({ nodeId: 'a', staker: 'with-machine' }),
    aWorker({ nodeId: 'b', staker: 'with-machine' }),
    aWorker({ nodeId: 'c', staker: 'without-machine', firstReadyAtMs: undefined }),
    aWorker({ nodeId: 'd', staker: 'gone', status: { kind: 'evicted', reason: 'slashed' } }),
  ];
  expect([...stakersThatCount(workers)]).toEqual(['with-machine']);
});
