import { expect, test } from 'vitest';
import { evidenceAdvice } from './advice.ts';
import { CHECK_TABLES } from './checks.ts';

test('every reason of a verdict says what to do about it', () => {
  for (const { check } of Object.values(CHECK_TABLES).flat())
    expect([check, ...evidenceAdvice([check]).map(({ what }) => what.length > 20)]).toEqual([check, true]);
});

test('one advice for several reasons is given once, and an unknown reason has none', () => {
  expect(evidenceAdvice(['tcb-outdated', 'crl-expired', 'tcb-no-level', 'of-tomorrow'])).toMatchObject([
    { by: 'machine', what: expect.stringContaining('firmware') as string },
    { by: 'policy', command: 'k3s-daas tee collateral refresh' },
  ]);
});
