import { expect, test } from 'vitest';
import type { ListedStake } from '#chain';
import type { StakeRecord } from '#domain';
import { FakeChain, FakeClock, fakeId } from '#testing';
import { nextSteps } from './stake-list.ts';

const slasher = fakeId('slasher');
const parameters = { slashers: [slasher], minimumStakeMist: 1_000n };
const cluster = { parameters, pending: undefined } as unknown as ListedStake['cluster'];
const proposal = { id: fakeId('proposal'), proposer: slasher, voters: [slasher], expiresAtMs: 500 };

function steps(
  changes: Partial<StakeRecord>,
  now: { readonly nowMs?: number; readonly epoch?: bigint; readonly hasToken?: boolean } = {},
): string[] {
  const { nowMs = 100, epoch = 10n, hasToken = true } = now;
  const chain = new FakeChain({ clock: new FakeClock() });
  const { recordId, tokenId } = chain.stake('worker-1', new Uint8Array(32));
  const token = hasToken ? chain.sealTokens.get(tokenId) : undefined;
  const record = { ...chain.expectRecord(recordId), ...changes };
  return nextSteps({ record, token, cluster }, { nowMs, epoch });
}

test('an active stake', () => {
  expect(steps({})).toEqual(['stake top-up', 'token rotate', 'unstake']);
});

test('one that a slash or new parameters left below the minimum', () => {
  expect(steps({ stakeMist: 400n })[0]).toBe('it is 600 MIST below the minimum: stake top-up');
});

test('one without a token, and one whose token has expired', () => {
  expect(steps({ token: undefined }, { hasToken: false })[0]).toBe('no Seal token: stake --holder-key-file');
  expect(steps({}, { epoch: 1_000n })[0]).toBe('the Seal token has expired: token rotate');
});

test('one that a proposal holds is not topped up, and can be unstaked', () => {
  const held = steps({ proposals: [proposal] });
  expect(held).toEqual([expect.stringContaining('slash answer'), 'token rotate', 'unstake']);
  expect(steps({ proposals: [proposal] }, { nowMs: 500 })).toContain('stake top-up');
});

test('one that unbonds: when, and then at once, unless a proposal holds it', () => {
  const ended = { status: 'unbonding', token: undefined, unlockAtMs: 200, holdUntilMs: 600 } as const;
  expect(steps(ended)).toEqual(['withdraw from 1970-01-01 00:00:00Z on']);
  expect(steps(ended, { nowMs: 200 })).toEqual(['withdraw']);
  expect(steps({ ...ended, proposals: [proposal] }, { nowMs: 300 })).toEqual([
    expect.stringContaining('a slash proposal holds it'),
  ]);
  expect(steps({ ...ended, proposals: [proposal] }, { nowMs: 600 })).toEqual(['withdraw']);
});

test('one of which nothing is left', () => {
  expect(steps({ status: 'withdrawn', stakeMist: 0n })).toEqual(['nothing is left']);
});
