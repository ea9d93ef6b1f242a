import { describe, expect, test } from 'vitest';
import type { StakeReason } from '#seal';
import type { Ban } from './bans.ts';
import { type WhySituation, whatLetsItIn } from './why-advice.ts';
import { aWorker } from './worker.fixture.ts';

const situation = (change: Partial<WhySituation> = {}): WhySituation => ({
  nodeId: 'worker-1',
  worker: aWorker(),
  fact: { kind: 'good' },
  bans: [],
  ruleProblem: undefined,
  hasNode: true,
  isNodeReady: true,
  ...change,
});
const bad = (reason: StakeReason) => ({ fact: { kind: 'bad', reason } as const });
const evicted = { worker: aWorker({ status: { kind: 'evicted', reason: 'evicted' } }), hasNode: false };
const ban: Ban = { subject: 'staker', value: '0x1', reason: 'slashed', sinceMs: 0, recordId: undefined };
const commands = (change: Partial<WhySituation>) =>
  whatLetsItIn(situation(change)).map(({ by, command }) => `${by}: ${command ?? '-'}`);

test('a member with a good stake and a Ready Node lacks nothing', () => {
  expect(whatLetsItIn(situation())).toEqual([]);
});

test('after a slash: a new stake, each ban, and the lock, in this order', () => {
  const worker = aWorker({ status: { kind: 'evicted', reason: 'slashed' }, lockedAtMs: 1 });
  const bans: Ban[] = [
    { ...ban, subject: 'node_id', value: 'worker-1' },
    { ...ban, subject: 'node_key', value: 'K' },
    ban,
  ];
  expect(commands({ worker, ...bad('stake_slashed'), bans, ruleProblem: 'banned', hasNode: false })).toEqual([
    'staker: k3s-daas agent --stake-again',
    'operator: k3s-daas gateway unban worker-1',
    'operator: k3s-daas gateway unban key:K',
    'operator: k3s-daas gateway unban staker:0x1',
  ]);
  expect(commands({ worker, ruleProblem: 'locked' })).toEqual(['operator: k3s-daas gateway unlock worker-1']);
});

describe('what is said to whom', () => {
  test.each([
    ['a name without a stake', { worker: undefined, fact: undefined }, ['staker: k3s-daas agent']],
    ['an evicted node with a good stake', evicted, ['staker: systemctl start k3s-agent']],
    [
      'an unbonding stake',
      { ...evicted, ...bad('stake_unbonding') },
      ['staker: k3s-daas agent --stake-again'],
    ],
    ['a silent kubelet', { isNodeReady: false }, ['staker: k3s-daas doctor']],
    [
      'another staker',
      { worker: undefined, ruleProblem: 'name_taken' as const },
      ['operator: k3s-daas gateway release worker-1'],
    ],
    [
      'an eviction under way',
      {
        worker: aWorker({ status: { kind: 'evicting', reason: 'slashed' } }),
        ruleProblem: 'name_taken' as const,
      },
      ['gateway: -'],
    ],
    [
      'a held eviction',
      { worker: aWorker({ heldFor: 'unbonding' }) },
      ['operator: k3s-daas gateway breaker'],
    ],
    [
      'a full cluster',
      { ...evicted, ruleProblem: 'cluster_full' as const },
      ['operator: -', 'staker: systemctl start k3s-agent'],
    ],
  ])('%s', (_what, change, expected) => {
    expect(commands(change)).toEqual(expected);
  });

  test.each<StakeReason>([
    'token_expired',
    'stake_too_low',
    'stake_short_after_slash',
    'token_superseded',
    'permission_missing',
    'owner_mismatch',
  ])('%s is the staker’s to mend', (reason) => {
    expect(whatLetsItIn(situation(bad(reason)))[0]).toMatchObject({ by: 'staker' });
  });
});
