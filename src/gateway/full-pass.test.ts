import { expect, test } from 'vitest';
import { silentLog } from '#base';
import { FakeClock, settled } from '#testing';
import { runPasses } from './full-pass.ts';
import type { ReconcilerContext } from './reconciler-context.ts';

test('a gateway that follows reads the whole list of names once a pass, however often it looks around', async () => {
  const clock = new FakeClock();
  const stop = new AbortController();
  const listings = [new Map([['a', 'basic']]), new Map([['b', 'basic']])];
  let reads = 0;
  const readings: Partial<ReconcilerContext['readings']> = {};
  const admittedNames = async () => {
    reads += 1;
    return listings[reads - 1] ?? new Map();
  };
  const running = runPasses(
    {
      clock,
      log: silentLog,
      readings,
      sharedAddresses: { flush: () => undefined },
      isActing: () => false,
      kubernetes: { admittedNames },
    } as unknown as ReconcilerContext,
    60_000,
    stop.signal,
  );
  const pass = async (seconds: number) => {
    for (let second = 0; second < seconds; second += 2) {
      await clock.advance(2_000);
      await settled();
    }
  };
  await settled();
  expect(readings.names).toBe(listings[0]);
  await pass(58);
  expect(reads).toBe(1);
  await pass(4);
  expect(readings.names).toBe(listings[1]);
  expect(reads).toBe(2);
  // A takeover begins with a pass.
  expect(readings.isPassDue).toBe(true);
  stop.abort();
  await running;
});
