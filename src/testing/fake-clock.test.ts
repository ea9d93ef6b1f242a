import { expect, test } from 'vitest';
import { FakeClock } from './fake-clock.ts';

test('sleepers wake in the order of their times, each at its time', async () => {
  const clock = new FakeClock(0);
  const woken: Array<[string, number]> = [];
  for (const [name, delayMs] of [
    ['late', 300],
    ['early', 100],
    ['both', 300],
  ] as const)
    void clock.sleep(delayMs).then(() => woken.push([name, clock.nowMs()]));
  await clock.advance(250);
  expect(woken).toEqual([['early', 100]]);
  await clock.advance(50);
  expect(woken.slice(1)).toEqual([
    ['late', 300],
    ['both', 300],
  ]);
  expect(clock.sleepers).toBe(0);
});

test('a sleeper that sleeps again wakes again within one advance; a step wakes it once', async () => {
  const clock = new FakeClock(0);
  let wakes = 0;
  const stop = new AbortController();
  const loop = async () => {
    for (;;) {
      await clock.sleep(100, stop.signal);
      wakes += 1;
    }
  };
  const ended = loop();
  await clock.advance(1_000);
  expect(wakes).toBe(10);
  await clock.advance(1_000, 500);
  expect(wakes).toBe(12);
  stop.abort(new Error('enough'));
  await expect(ended).rejects.toThrow('enough');
  expect(clock.sleepers).toBe(0);
});

test('the time of day may be set back while no time passes', async () => {
  const clock = new FakeClock(10_000);
  const before = clock.monotonicMs();
  clock.step(-5_000);
  expect(clock.nowMs()).toBe(5_000);
  expect(clock.monotonicMs()).toBe(before);
  expect(clock.sleepersFor(1)).toBe(0);
});
