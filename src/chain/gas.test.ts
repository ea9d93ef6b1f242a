import { describe, expect, test } from 'vitest';
import { budgetFor, gasPriceFor } from './gas.ts';

const cost = (computationMist: bigint, storageMist: bigint, rebateMist: bigint) => ({
  computationMist,
  storageMist,
  rebateMist,
  totalMist: computationMist + storageMist - rebateMist,
});

describe('a budget', () => {
  test('follows what is paid in the end: a large object that is written back is no reason for a large one', () => {
    // As measured with a cluster of 42 kB: 321 M of storage, of which 317 M come back.
    const budgetMist = budgetFor(cost(1_000_000n, 329_000_000n, 321_000_000n), 1_000n);
    expect(budgetMist).toBeGreaterThan(9_000_000n);
    expect(budgetMist).toBeLessThan(20_000_000n);
  });

  test('covers the computation of a call that gets more back than it costs', () => {
    expect(budgetFor(cost(1_000_000n, 2_000_000n, 9_000_000n), 1_000n)).toBeGreaterThanOrEqual(2_000_000n);
  });

  test('has room for one more step of computation at the price that is offered', () => {
    expect(budgetFor(cost(50_000_000n, 0n, 0n), 50_000n)).toBeGreaterThanOrEqual(100_000_000n);
  });
});

test('a gas price is the reference price, or a higher one that is asked for', () => {
  expect(gasPriceFor(undefined, 1_000n)).toBe(1_000n);
  expect(gasPriceFor(5_000n, 1_000n)).toBe(5_000n);
  expect(() => gasPriceFor(999n, 1_000n)).toThrow(
    expect.objectContaining({ code: 'DAAS_GAS_PRICE_TOO_LOW', exitCode: 78 }),
  );
});
