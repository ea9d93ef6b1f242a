import { expect, test } from 'vitest';
import { billionthsOf, isSameQuantities } from './quantities.ts';

test('quantities are the same whatever they are written as', () => {
  for (const [one, other] of [
    ['1', '1000m'],
    ['1Gi', '1024Mi'],
    ['1.5Gi', '1536Mi'],
    ['2k', '2000'],
    ['1e3', '1k'],
    ['0', '0m'],
  ] as const)
    expect(isSameQuantities({ cpu: one }, { cpu: other })).toBe(true);
});

test('another amount, one more, one less and a text that is no quantity are not the same', () => {
  expect(isSameQuantities({ cpu: '1' }, { cpu: '1001m' })).toBe(false);
  expect(isSameQuantities({ cpu: '1', pods: '1' }, { cpu: '1' })).toBe(false);
  expect(isSameQuantities({ pods: '1' }, { cpu: '1' })).toBe(false);
  expect(isSameQuantities(undefined, { cpu: '1' })).toBe(false);
  expect(isSameQuantities({ cpu: '1' }, { cpu: 'one' })).toBe(false);
  expect(['', 'x', '1 Gi', '-1', '1Zi', '.5'].map(billionthsOf)).toEqual(Array(6).fill(undefined));
});
