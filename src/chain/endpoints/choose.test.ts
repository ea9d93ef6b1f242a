import { describe, expect, test } from 'vitest';
import { choose, hedgeDelayMs, releasedAtMs, stateOf } from './choose.ts';
import { afterFailure, afterSuccess, afterTip, type Health, p95Ms, retryAfterMs, UNKNOWN } from './health.ts';

const health = (changes: Partial<Health> = {}): Health => ({ ...UNKNOWN, ...changes });
const tip = (height: bigint, timestampMs: number) => ({ height, timestampMs, lowestHeight: undefined });

describe('which endpoints are asked', () => {
  const good = health();
  const demoted = health({ demotedUntilMs: 2_000 });
  const blocked = health({ blockedUntilMs: 2_000 });
  const lagging = health({ lagMs: 20_000, lagSeenAtMs: 900 });
  const liar = health({ contradiction: 'object 0x1' });

  test.each<[string, Health[], number, number[]]>([
    ['all are good: the one that answered last, then in order', [good, good, good], 1, [1, 2, 0]],
    ['one that failed is asked last', [demoted, good], 0, [1, 0]],
    ['the only one is asked although it failed', [demoted], 0, [0]],
    ['one that lags comes before one that failed', [demoted, lagging, good], 0, [2, 1, 0]],
    ['one that asked to wait is not asked', [blocked, good], 0, [1]],
    ['all asked to wait', [blocked, blocked], 0, []],
    ['one that contradicted a proof is dropped', [liar, demoted], 0, [1]],
    ['two liars and one that asked to wait: nobody', [liar, blocked], 0, []],
    ['only liars are left: proofs keep them honest', [liar, liar], 1, [1, 0]],
  ])('%s', (_what, pool, preferred, order) => {
    expect(choose(pool, preferred, 1_000)).toEqual(order);
  });

  test('demotion, block and lag end with time', () => {
    expect([demoted, blocked, lagging].map((one) => stateOf(one, 1_000))).toEqual([
      'demoted',
      'blocked',
      'lagging',
    ]);
    expect([demoted, blocked, lagging].map((one) => stateOf(one, 31_000))).toEqual(['good', 'good', 'good']);
    expect(releasedAtMs([health({ blockedUntilMs: 7 }), blocked])).toBe(7);
  });
});

describe('what a call says about an endpoint', () => {
  test('each failure in a row demotes it for longer, and a success ends that', () => {
    const fail = (before: Health) => afterFailure(before, { nowMs: 0, retryAfterMs: undefined }, () => 1);
    const [once, twice] = [fail(UNKNOWN), fail(fail(UNKNOWN))];
    expect(twice.demotedUntilMs).toBeGreaterThan(once.demotedUntilMs);
    expect(Array.from({ length: 50 }).reduce<Health>(fail, UNKNOWN).demotedUntilMs).toBe(30_500);
    expect(afterSuccess(twice, 3)).toMatchObject({
      failuresInARow: 0,
      demotedUntilMs: 0,
      failures: 2,
      calls: 3,
    });
  });

  test('it waits as long as the endpoint asks, within five minutes', () => {
    const blockedUntil = (ms: number) =>
      afterFailure(UNKNOWN, { nowMs: 100, retryAfterMs: ms }, () => 1).blockedUntilMs;
    expect(blockedUntil(7_000)).toBe(7_100);
    expect(blockedUntil(86_400_000)).toBe(300_100);
  });

  test('lag is how old its newest checkpoint is beside the newest of all', () => {
    const newest = tip(100n, 60_000);
    const at = { nowMs: 5, timeMs: 61_000 };
    expect(afterTip(UNKNOWN, tip(40n, 20_000), newest, at)).toMatchObject({ lagMs: 40_000, lagSeenAtMs: 5 });
    expect(afterTip(UNKNOWN, tip(100n, 60_000), newest, at).lagMs).toBe(0);
    expect(afterTip(UNKNOWN, tip(7n, 1), undefined, at).lagMs).toBe(0);
  });

  test('an endpoint that invents a newest checkpoint does not make the others lag', () => {
    const invented = tip(10n ** 12n, 10_000_000);
    expect(afterTip(UNKNOWN, tip(100n, 60_000), invented, { nowMs: 5, timeMs: 61_000 }).lagMs).toBe(1_000);
  });

  test('another endpoint is asked too after the latency that 95 of 100 calls stay below', () => {
    const calls = Array.from({ length: 40 }, (_, index) => 100 + index);
    const known = calls.reduce<Health>(afterSuccess, UNKNOWN);
    expect(p95Ms(known)).toBe(137);
    expect(hedgeDelayMs(known, 10_000)).toBe(137);
    expect(hedgeDelayMs(afterSuccess(UNKNOWN, 1), 10_000)).toBe(2_500);
    expect(hedgeDelayMs(health({ latenciesMs: Array(64).fill(1) }), 10_000)).toBe(50);
    expect(hedgeDelayMs(health({ latenciesMs: Array(64).fill(9_000) }), 10_000)).toBe(5_000);
    expect(calls.concat(calls).reduce<Health>(afterSuccess, UNKNOWN).latenciesMs).toHaveLength(64);
  });

  test.each([
    ['7', 7_000],
    ['0', 0],
    ['Sun, 29 Nov 2026 00:00:10 GMT', 10_000],
    ['Sun, 29 Nov 2020 00:00:10 GMT', 0],
    ['soon', undefined],
    [null, undefined],
  ])('Retry-After %j is %j ms', (value, ms) => {
    expect(retryAfterMs(value, Date.parse('2026-11-29T00:00:00Z'))).toBe(ms);
  });
});
