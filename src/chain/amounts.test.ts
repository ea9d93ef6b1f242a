import { describe, expect, test } from 'vitest';
import { formatSui, parseSui } from './amounts.ts';

test.each([
  [0n, '0 SUI'],
  [1n, '1 MIST'],
  [1_500_000_000n, '1.5 SUI'],
  [1_000_000_000_000n, '1000 SUI'],
  [50_000_000n, '0.05 SUI'],
  [-2_500_000_000n, '-2.5 SUI'],
])('%s is written %s', (mist, text) => {
  expect(formatSui(mist)).toBe(text);
});

describe('parseSui', () => {
  test.each([
    ['1000', 1_000_000_000_000n],
    ['0.5', 500_000_000n],
    ['1 SUI', 1_000_000_000n],
    ['500mist', 500n],
    ['0.000000001', 1n],
    ['18446744073.709551615', 2n ** 64n - 1n],
  ])('%s', (text, mist) => {
    expect(parseSui(text, '--stake')).toBe(mist);
  });

  test.each(['', '-1', '1e9', '0.0000000001', '1.5mist', '18446744073.709551616', 'ten'])(
    '%j is refused',
    (text) => {
      expect(() => parseSui(text, '--stake')).toThrow(
        expect.objectContaining({ code: 'DAAS_AMOUNT_INVALID', exitCode: 78 }),
      );
    },
  );
});
