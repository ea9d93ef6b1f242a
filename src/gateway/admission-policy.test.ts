import { describe, expect, test } from 'vitest';
import type { KubernetesNode } from '#domain';
import {
  bindingProblem,
  explainFact,
  explainProblem,
  nameProblem,
  ruleProblem,
  standingOf,
  tierNow,
} from './admission-policy.ts';
import { type Ban, banKey } from './bans.ts';
import { id, STAKER } from './ids.fixture.ts';
import { aWorker } from './worker.fixture.ts';
import type { WorkerStatus } from './worker.ts';

const OTHER = id('52');
const KEY = 'k'.repeat(43);
const member = aWorker();
const inStatus = (status: WorkerStatus) => aWorker({ status });
const evicting = inStatus({ kind: 'evicting', reason: 'slashed' });
const evicted = inStatus({ kind: 'evicted', reason: 'unbonding' });
const admitting = inStatus({ kind: 'admitting' });
const lapsed = inStatus({ kind: 'lapsed', reason: 'node_deleted' });

describe('the operator’s rules', () => {
  const open = { stakers: 'any', nodeIdPattern: /^(?:.*)$/u, maxNodes: 2 } as const;
  const newcomer = { nodeId: 'worker-1', staker: STAKER, worker: undefined, places: 0 };

  test.each([
    ['anyone, with room left', open, newcomer, undefined],
    ['a staker on the list', { ...open, stakers: [STAKER] }, newcomer, undefined],
    ['another staker', { ...open, stakers: [OTHER] }, newcomer, 'staker_not_admitted'],
    ['a list without stakers', { ...open, stakers: [] }, newcomer, 'staker_not_admitted'],
    ['another name', { ...open, nodeIdPattern: /^(?:gpu-\d+)$/u }, newcomer, 'node_id_not_admitted'],
    ['the last place', open, { ...newcomer, places: 1 }, undefined],
    ['no place left', open, { ...newcomer, places: 2 }, 'cluster_full'],
    ['a member in a full cluster', open, { ...newcomer, worker: member, places: 2 }, undefined],
    ['an evicted node in a full cluster', open, { ...newcomer, worker: evicted, places: 2 }, 'cluster_full'],
    [
      'a member of another name',
      { ...open, nodeIdPattern: /^gpu$/u },
      { ...newcomer, worker: member },
      'node_id_not_admitted',
    ],
  ] as const)('%s', (_what, rules, subject, problem) => {
    expect(ruleProblem(rules, subject)).toBe(problem);
  });
});

describe('the binding of a name', () => {
  const ban = (subject: Ban['subject'], value: string) => {
    const one: Ban = { subject, value, reason: 'x', sinceMs: 0, recordId: undefined };
    return new Map([[banKey(one), one]]);
  };
  const none: ReadonlyMap<string, Ban> = new Map();
  const newcomer = { nodeId: 'worker-1', staker: STAKER, holderKey: KEY, worker: undefined };
  const stranger = { ...newcomer, staker: OTHER };

  test.each([
    ['a free name', none, newcomer, undefined],
    ['a banned name', ban('node_id', 'worker-1'), newcomer, 'banned'],
    ['a banned key', ban('node_key', KEY), newcomer, 'banned'],
    [
      'a banned key that is not known yet',
      ban('node_key', KEY),
      { ...newcomer, holderKey: undefined },
      undefined,
    ],
    ['a banned staker’s new name', ban('staker', STAKER), newcomer, 'banned'],
    ['a banned staker’s own name', ban('staker', STAKER), { ...newcomer, worker: member }, undefined],
    ['a locked name', none, { ...newcomer, worker: aWorker({ lockedAtMs: 1 }) }, 'locked'],
    ['a name that is being evicted, by its staker', none, { ...newcomer, worker: evicting }, 'name_taken'],
    ['a member’s name, by its staker', none, { ...newcomer, worker: member }, undefined],
    ['a member’s name, by another', none, { ...stranger, worker: member }, 'name_taken'],
    ['a name on its way in, by another', none, { ...stranger, worker: admitting }, 'name_taken'],
    ['an evicted name, by another', none, { ...stranger, worker: evicted }, undefined],
    ['an expired name, by another', none, { ...stranger, worker: lapsed }, undefined],
  ] as const)('%s', (_what, bans, subject, problem) => {
    expect(bindingProblem(bans, subject)).toBe(problem);
  });
});

describe('a name in the cluster', () => {
  const node = (stakeRecordId?: string) => ({ stakeRecordId }) as KubernetesNode;
  const free = {
    worker: undefined,
    staker: STAKER,
    node: undefined,
    listing: undefined,
    recordId: id('b1'),
  };

  test.each([
    ['that nobody has', free, undefined],
    ['of a member', { ...free, worker: member, node: node(), listing: 'basic' }, undefined],
    ['that a crash left among the admitted ones', { ...free, listing: 'basic' }, undefined],
    ['of a server', { ...free, listing: 'ordinary' }, 'name_not_ours'],
    ['that the operator expects', { ...free, listing: 'expected' }, 'name_not_ours'],
    ['that is reserved', { ...free, listing: 'reserved' }, 'name_not_ours'],
    ['of an unmarked Node', { ...free, node: node() }, 'name_not_ours'],
    ['of a Node with another record’s mark', { ...free, node: node(id('b7')) }, 'name_not_ours'],
    ['of a Node with this record’s mark', { ...free, node: node(id('b1')) }, undefined],
    ['of an unmarked Node, by no record', { ...free, node: node(), recordId: undefined }, 'name_not_ours'],
    ['of an evicted worker whose Node is still there', { ...free, worker: evicted, node: node() }, undefined],
    ['of it, by another staker', { ...free, staker: OTHER, worker: evicted, node: node() }, 'name_taken'],
  ] as const)('%s', (_what, subject, problem) => {
    expect(nameProblem(subject)).toBe(problem);
  });
});

test.each([
  ['premium', 10_000n, 'premium'],
  ['premium', 9_999n, 'standard'],
  ['premium', 999n, 'basic'],
  ['standard', 10_000n, 'standard'],
  ['basic', 10_000n, 'basic'],
] as const)('a token of tier %s over %d MIST gives the tier %s', (minted, stakeMist, tier) => {
  expect(tierNow(minted, stakeMist, [100n, 1_000n, 10_000n])).toBe(tier);
});

test('while the chain is away the last admission stands behind an applicant, or nothing does', () => {
  expect(standingOf(undefined, member)).toMatchObject({ staker: STAKER, recordId: id('b1') });
  expect(standingOf(undefined, undefined)).toBeUndefined();
});

test('every refusal is explained', () => {
  expect(explainFact({ kind: 'bad', reason: 'stake_unbonding' })).toContain('stake_not_active');
  expect(explainFact({ kind: 'unknown', ageMs: 1 })).toContain('cannot be read');
  for (const problem of ['banned', 'locked', 'name_taken', 'cluster_full'] as const)
    expect(explainProblem(problem)).not.toBe(problem);
});
