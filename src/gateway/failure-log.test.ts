import { expect, test } from 'vitest';
import type { Log } from '#base';
import { FakeClock } from '#testing';
import { createFailureLog } from './failure-log.ts';

function bench() {
  const clock = new FakeClock();
  const lines: string[] = [];
  const write = (message: string, fields?: object) => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log = { warn: write, info: write } as unknown as Log;
  const failures = createFailureLog({ log, clock }, { failed: 'It fails', worked: 'It works' });
  return { clock, failures, lines };
}

test('a failure that repeats every second is written once a minute, and its end once', async () => {
  const { clock, failures, lines } = bench();
  for (let second = 0; second < 90; second += 1) {
    failures.failed(new Error('no space'));
    await clock.advance(1_000);
  }
  failures.worked();
  failures.worked();
  expect(lines).toEqual([
    expect.stringMatching(/^It fails .*"failures":1\b/),
    expect.stringMatching(/^It fails .*"failures":61\b/),
    expect.stringMatching(/^It works .*"failures":90\b/),
  ]);
});

test('another failure, and one after a success, is written at once', () => {
  const { failures, lines } = bench();
  failures.failed(new Error('no space'));
  failures.failed(new Error('no right'));
  failures.worked();
  failures.failed(new Error('no right'));
  expect(lines.map((line) => line.slice(0, 8))).toEqual(['It fails', 'It fails', 'It works', 'It fails']);
});
