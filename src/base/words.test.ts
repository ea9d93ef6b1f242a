import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { backoffDelayMs, ConfigurationError, Lifetime, messageOf, Secret, systemClock } from './index.ts';

test('a secret prints as [secret] wherever it lands, and reveals itself only when asked', () => {
  const secret = new Secret('K10abc');
  const seen = [
    // oxlint-disable-next-line typescript/restrict-template-expressions -- the mistake that must not leak
    `${secret}`,
    JSON.stringify({ secret }),
    inspect({ secret }, { depth: 9 }),
    String(secret),
    [secret].join(),
  ];
  for (const text of seen) {
    expect(text).not.toContain('K10abc');
    expect(text).toContain('[secret]');
  }
  expect(secret.reveal()).toBe('K10abc');
});

test('a lifetime releases last in, first out, every one even when some fail, and tells which', async () => {
  const life = new Lifetime();
  const order: string[] = [];
  life.defer('first', () => order.push('first'));
  life.defer('second', () => {
    order.push('second');
    throw new Error('stuck');
  });
  life.defer('third', () => order.push('third'));
  const closing = life.close();
  await expect(closing).rejects.toThrow(AggregateError);
  await expect(closing.catch((error: unknown) => messageOf(error))).resolves.toContain(
    "releasing 'second' failed: stuck",
  );
  expect(order).toEqual(['third', 'second', 'first']);
});

test('a lifetime closes once, and takes nothing afterwards', async () => {
  const life = new Lifetime();
  let times = 0;
  life.defer('once', () => {
    times += 1;
  });
  await Promise.all([life.close(), life.close()]);
  expect(times).toBe(1);
  expect(() => life.defer('late', () => undefined)).toThrow(/closed/);
});

test('the delay between tries grows to its limit and never passes it', () => {
  const backoff = { baseMs: 100, maxMs: 5_000 };
  expect(Array.from({ length: 8 }, (_, attempt) => backoffDelayMs(attempt, backoff, () => 1))).toEqual([
    100, 200, 400, 800, 1600, 3200, 5000, 5000,
  ]);
  expect(backoffDelayMs(1_000_000, backoff, () => 1)).toBe(5_000);
  expect(backoffDelayMs(3, backoff, () => 0)).toBe(0);
});

test('sleeping ends with the reason of the signal', async () => {
  const reason = new Error('host stops');
  const controller = new AbortController();
  const sleep = systemClock.sleep(60_000, controller.signal);
  controller.abort(reason);
  await expect(sleep).rejects.toBe(reason);
});

test('a configuration error ends a command with exit code 78', () => {
  expect(new ConfigurationError('PLUGIN_X', 'no').exitCode).toBe(78);
});

test('the message of an error tells its causes too', () => {
  expect(messageOf(new Error('a', { cause: new Error('b', { cause: 'c' }) }))).toBe('a: b: c');
});
