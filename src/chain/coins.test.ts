import { describe, expect, test } from 'vitest';
import { affordableBudget, type Coin, choosePayment } from './coins.ts';

const sender = `0x${'1'.repeat(64)}`;
const coins = (count: number, balanceMist: bigint): Coin[] =>
  Array.from({ length: count }, (_none, index) => ({
    objectId: `0x${index.toString(16)}`,
    version: '1',
    digest: '11111111111111111111111111111111',
    balanceMist,
  }));
const CENT = 10_000_000n;

describe('which coins pay', () => {
  test('as few as will do, and none is merged when the gas coins suffice', () => {
    const { gas, merged } = choosePayment(coins(300, CENT), { sender, spendMist: 30n * CENT }, 5n * CENT);
    expect([gas.length, merged.length]).toEqual([35, 0]);
  });

  test('256 pay for gas, and what is missing is merged into them', () => {
    const { gas, merged } = choosePayment(coins(300, CENT), { sender, spendMist: 280n * CENT }, 5n * CENT);
    expect([gas.length, merged.length]).toEqual([256, 29]);
    expect(new Set([...gas, ...merged].map(({ objectId }) => objectId)).size).toBe(285);
  });

  test('every coin but the last MIST', () => {
    const spending = { sender, spendMist: 300n * CENT - 5n * CENT };
    expect(choosePayment(coins(300, CENT), spending, 5n * CENT).merged).toHaveLength(44);
    expect(() => choosePayment(coins(300, CENT), spending, 5n * CENT + 1n)).toThrow(
      'has 3 SUI in coins, 3.000000001 SUI are needed',
    );
  });

  test('the budget must be there before anything is merged', () => {
    // 256 gas coins of a MIST each, and a thousand more, pay for no budget of 300.
    expect(() => choosePayment(coins(1_256, 1n), { sender, spendMist: 0n }, 300n)).toThrow(
      expect.objectContaining({ code: 'DAAS_BALANCE_TOO_LOW' }),
    );
    expect(affordableBudget(coins(1_256, 1n), { sender, spendMist: 0n })).toBe(256n);
  });
});

describe('a wallet that cannot pay', () => {
  test('is told all that it has, whatever the number of coins', () => {
    const spending = { sender, spendMist: 400n * CENT };
    for (const attempt of [
      () => choosePayment(coins(300, CENT), spending, 5n * CENT),
      () => affordableBudget(coins(300, CENT), spending),
    ])
      expect(attempt).toThrow(/has 3 SUI in coins.*send it at least 1/s);
  });

  test('for the number of its coins is told to merge them', () => {
    const spending = { sender, spendMist: 2_000n * CENT };
    for (const attempt of [
      () => choosePayment(coins(3_000, CENT), spending, 5n * CENT),
      () => affordableBudget(coins(3_000, CENT), spending),
    ])
      expect(attempt).toThrow(/30 SUI in 3000 coins or more.*can use 1256.*12\.56 SUI.*merge its coins/s);
  });

  test('and is empty is told that it needs gas, not that one MIST would do', () => {
    expect(() => affordableBudget([], { sender, spendMist: 0n })).toThrow(
      'has 0 SUI in coins, gas must be paid from it: send it some SUI',
    );
  });
});
