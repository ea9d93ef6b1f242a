import { expect, test } from 'vitest';
import { holdOf } from './stake-hold.ts';

const proposal = (changes: { voters?: string[]; expiresAtMs?: number } = {}) => ({
  id: 'p',
  proposer: 's1',
  voters: ['s1'],
  expiresAtMs: 100,
  ...changes,
});
const active = (...proposals: ReturnType<typeof proposal>[]) => ({
  status: 'active' as const,
  holdUntilMs: 0,
  proposals,
});

test('a proposal holds until it expires', () => {
  expect(holdOf(active(proposal()), ['s1'], 99)?.untilMs).toBe(100);
  expect(holdOf(active(proposal()), ['s1'], 100)).toBeUndefined();
});

test('a proposal for which no slasher in force has voted holds nothing', () => {
  expect(holdOf(active(proposal()), ['s2'], 0)).toBeUndefined();
  expect(holdOf(active(proposal({ voters: ['s1', 's2'] })), ['s2'], 0)?.proposals).toHaveLength(1);
});

test('of several proposals the last one counts', () => {
  const record = active(proposal(), proposal({ expiresAtMs: 300 }));
  expect(holdOf(record, ['s1'], 0)).toMatchObject({ untilMs: 300, proposals: [{}, {}] });
});

test('no proposal holds an ended stake beyond its hold', () => {
  const record = {
    ...active(proposal({ expiresAtMs: 300 })),
    status: 'unbonding' as const,
    holdUntilMs: 200,
  };
  expect(holdOf(record, ['s1'], 199)?.untilMs).toBe(200);
  expect(holdOf(record, ['s1'], 200)).toBeUndefined();
});
