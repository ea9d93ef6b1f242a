import { describe, expect, test } from 'vitest';
import { computationCost, instructionLimit } from './gas.ts';

describe('computation', () => {
  test('costs the same for every small call', () => {
    expect(computationCost(0, 1_000n)).toBe(1_000_000n);
    expect(computationCost(10_000, 1_000n)).toBe(1_000_000n);
  });

  test('rises by tiers: a batch costs far more than its calls one by one', () => {
    // As many instructions as 64 mints in one transaction, which cost 596 500 000 MIST on a real executor.
    const batchMist = computationCost(430_000, 1_000n);
    expect(batchMist).toBeGreaterThan(500_000_000n);
    expect(batchMist).toBeLessThan(700_000_000n);
    expect(batchMist).toBeGreaterThan(5n * 64n * computationCost(430_000 / 64, 1_000n));
  });

  test('is limited by the budget, and by the protocol whatever the budget', () => {
    for (const budgetMist of [1_000_000n, 5_000_000n, 50_000_000n, 4_000_000_000n]) {
      const limit = instructionLimit(budgetMist, 1_000n);
      expect(computationCost(limit, 1_000n)).toBeLessThanOrEqual(budgetMist);
      expect(computationCost(limit + 1, 1_000n)).toBeGreaterThan(budgetMist);
    }
    expect(instructionLimit(50_000_000_000_000n, 1_000n)).toBe(instructionLimit(5_000_000_000n, 1_000n));
  });
});
