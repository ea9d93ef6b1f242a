import { describe, expect, test } from 'vitest';
import type { StakeReason } from '#seal';
import { type Decision, decide, type StakeFact } from './decision.ts';
import { directivesFor } from './directives.ts';
import { aWorker } from './worker.fixture.ts';

const graceMs = 900_000;
const good: StakeFact = { kind: 'good' };
const bad = (reason: StakeReason): StakeFact => ({ kind: 'bad', reason });
const unknown = (ageMs: number): StakeFact => ({ kind: 'unknown', ageMs });
const refuse = (code: string) => ({ kind: 'refuse', code });
const evict = (reason: string) => ({ kind: 'evict', reason });
const hold = (reason: string) => ({ kind: 'hold-eviction', reason });
const admit = { kind: 'admit' };
const quarantine = { kind: 'cordon', reason: 'slash_proposed' };
const stay = { kind: 'stay' };

interface Row {
  readonly what: string;
  readonly fact: StakeFact;
  readonly isAdmitted?: boolean;
  readonly isBreakerTripped?: boolean;
  readonly isCordonDue?: boolean;
  readonly isInQuarantine?: boolean;
  readonly join: unknown;
  readonly running: unknown;
  readonly isBan?: boolean;
  readonly directive?: Decision['directive'];
}

// The table of docs/architecture.md, "From slash to lock-out".
const rows: readonly Row[] = [
  { what: 'a good stake', fact: good, join: admit, running: stay },
  {
    what: 'slashed',
    fact: bad('stake_slashed'),
    join: refuse('stake_slashed'),
    running: evict('slashed'),
    isBan: true,
    directive: { kind: 'stop', reason: 'slashed' },
  },
  {
    what: 'unbonding',
    fact: bad('stake_unbonding'),
    join: refuse('stake_not_active'),
    running: evict('unbonding'),
    directive: { kind: 'stop', reason: 'unbonding' },
  },
  {
    what: 'withdrawn',
    fact: bad('stake_withdrawn'),
    join: refuse('stake_not_active'),
    running: evict('withdrawn'),
    directive: { kind: 'stop', reason: 'withdrawn' },
  },
  {
    what: 'token revoked',
    fact: bad('token_revoked'),
    join: refuse('token_revoked'),
    running: evict('token_revoked'),
    directive: { kind: 'stop', reason: 'token_revoked' },
  },
  {
    what: 'short after a slash: no ban, since a top-up makes it good',
    fact: bad('stake_short_after_slash'),
    join: refuse('stake_short_after_slash'),
    running: evict('stake_short_after_slash'),
    directive: { kind: 'stop', reason: 'stake_short_after_slash' },
  },
  {
    what: 'token expired',
    fact: bad('token_expired'),
    join: refuse('token_expired'),
    running: stay,
    directive: { kind: 'rotate', reason: 'token_expired' },
  },
  {
    what: 'stake too low',
    fact: bad('stake_too_low'),
    join: refuse('stake_too_low'),
    running: stay,
    directive: { kind: 'top_up', reason: 'stake_too_low' },
  },
  {
    what: 'a newer token',
    fact: bad('token_superseded'),
    join: refuse('token_superseded'),
    running: stay,
    directive: { kind: 'reregister', reason: 'token_superseded' },
  },
  {
    what: 'no nodes:write',
    fact: bad('permission_missing'),
    join: refuse('permission_missing'),
    running: stay,
  },
  { what: 'another node id', fact: bad('node_id_mismatch'), join: refuse('node_id_mismatch'), running: stay },
  { what: 'another owner', fact: bad('owner_mismatch'), join: refuse('owner_mismatch'), running: stay },
  { what: 'a user stake', fact: bad('not_a_node_stake'), join: refuse('not_a_node_stake'), running: stay },
  { what: 'no record', fact: bad('record_not_found'), join: refuse('record_not_found'), running: stay },
  {
    what: 'unknown, nobody we know',
    fact: unknown(0),
    isAdmitted: false,
    join: refuse('chain_unavailable'),
    running: stay,
  },
  { what: 'unknown, within the grace', fact: unknown(graceMs), join: admit, running: stay },
  {
    what: 'unknown, beyond the grace',
    fact: unknown(graceMs + 1),
    join: refuse('chain_unavailable'),
    running: stay,
  },
  {
    what: 'unknown since ever',
    fact: unknown(Number.POSITIVE_INFINITY),
    join: refuse('chain_unavailable'),
    running: stay,
  },
  ...(
    [
      ['token_expired', 'rotate'],
      ['stake_too_low', 'top_up'],
    ] as const
  ).map(([reason, kind]) => ({
    what: `${reason}, for longer than the grace: no new pods`,
    fact: bad(reason),
    isCordonDue: true,
    join: refuse(reason),
    running: { kind: 'cordon', reason },
    directive: { kind, reason },
  })),
  { what: 'a good stake, however old', fact: good, isCordonDue: true, join: admit, running: stay },
  {
    what: 'slashed, for however long',
    fact: bad('stake_slashed'),
    isCordonDue: true,
    join: refuse('stake_slashed'),
    running: evict('slashed'),
    isBan: true,
    directive: { kind: 'stop', reason: 'slashed' },
  },
  {
    what: 'breaker tripped, good: admitted, since the breaker holds evictions alone',
    fact: good,
    isBreakerTripped: true,
    join: admit,
    running: stay,
  },
  {
    what: 'breaker tripped, unknown',
    fact: unknown(0),
    isBreakerTripped: true,
    join: refuse('breaker_tripped'),
    running: stay,
  },
  {
    what: 'breaker tripped, slashed: held, not banned, not told to stop',
    fact: bad('stake_slashed'),
    isBreakerTripped: true,
    join: refuse('stake_slashed'),
    running: hold('slashed'),
  },
  {
    what: 'breaker tripped, unbonding',
    fact: bad('stake_unbonding'),
    isBreakerTripped: true,
    join: refuse('stake_not_active'),
    running: hold('unbonding'),
  },
  {
    what: 'breaker tripped, short after a slash',
    fact: bad('stake_short_after_slash'),
    isBreakerTripped: true,
    join: refuse('stake_short_after_slash'),
    running: hold('stake_short_after_slash'),
  },
  {
    what: 'in quarantine, good: no new pods',
    fact: good,
    isInQuarantine: true,
    join: admit,
    running: quarantine,
  },
  {
    what: 'in quarantine, with a token that has expired: no new pods at once',
    fact: bad('token_expired'),
    isInQuarantine: true,
    join: refuse('token_expired'),
    running: quarantine,
    directive: { kind: 'rotate', reason: 'token_expired' },
  },
  {
    what: 'in quarantine, slashed',
    fact: bad('stake_slashed'),
    isInQuarantine: true,
    join: refuse('stake_slashed'),
    running: evict('slashed'),
    isBan: true,
    directive: { kind: 'stop', reason: 'slashed' },
  },
  {
    what: 'breaker tripped, slashed, and signed by validators: carried out all the same',
    fact: { kind: 'bad', reason: 'stake_slashed', isCertain: true },
    isBreakerTripped: true,
    join: refuse('stake_slashed'),
    running: { ...evict('slashed'), isCertain: true },
    isBan: true,
    directive: { kind: 'stop', reason: 'slashed' },
  },
];

describe('the decision table', () => {
  test.each(rows)(
    '$what',
    ({
      fact,
      isAdmitted = true,
      isBreakerTripped = false,
      isCordonDue = false,
      isInQuarantine = false,
      ...expected
    }) => {
      expect(decide({ fact, isAdmitted, isBreakerTripped, isCordonDue, isInQuarantine, graceMs })).toEqual({
        join: expected.join,
        running: expected.running,
        isBan: expected.isBan ?? false,
        directive: expected.directive,
      });
    },
  );

  test('silence is never guilt: whatever is unknown, for however long, evicts nobody', () => {
    for (const ageMs of [0, 1e6, 1e12, Number.POSITIVE_INFINITY])
      for (const isBreakerTripped of [true, false])
        expect(
          decide({ fact: unknown(ageMs), isAdmitted: true, isBreakerTripped, isCordonDue: true, graceMs })
            .running,
        ).toEqual(stay);
  });
});

describe('what a node is told with its heartbeat', () => {
  test.each([
    ['nothing, while all is well', aWorker({ status: { kind: 'member', credential: undefined } }), good, []],
    [
      'to stop, once its eviction is decided',
      aWorker({ status: { kind: 'evicting', reason: 'slashed' } }),
      good,
      [{ kind: 'stop', reason: 'slashed' }],
    ],
    [
      'to stop, long after its eviction',
      aWorker({ status: { kind: 'evicted', reason: 'evicted' } }),
      unknown(Number.POSITIVE_INFINITY),
      [{ kind: 'stop', reason: 'evicted' }],
    ],
    [
      'nothing on a bad fact alone: the breaker may hold the eviction',
      aWorker({ status: { kind: 'member', credential: undefined } }),
      bad('stake_slashed'),
      [],
    ],
    [
      'to register again, when its Node was deleted',
      aWorker({ status: { kind: 'lapsed', reason: 'node_deleted' } }),
      good,
      [{ kind: 'reregister', reason: 'node_deleted' }],
    ],
    [
      'to register again, when a newer token counts',
      aWorker({ status: { kind: 'member', credential: undefined } }),
      bad('token_superseded'),
      [{ kind: 'reregister', reason: 'token_superseded' }],
    ],
    ['nothing, while it is being admitted', aWorker({ status: { kind: 'admitting' } }), good, []],
  ] as const)('%s', (_what, worker, fact, directives) => {
    const grounds = { fact, isBreakerTripped: false, isInQuarantine: false };
    expect(directivesFor(worker, grounds)).toEqual(directives);
  });

  test('a notice, while a slash proposal keeps it in quarantine', () => {
    const grounds = { fact: good, isBreakerTripped: false, isInQuarantine: true };
    const notice = { kind: 'notice', reason: 'slash_proposed' };
    expect(directivesFor(aWorker(), grounds)).toEqual([notice]);
    expect(directivesFor(aWorker({ status: { kind: 'evicted', reason: 'slashed' } }), grounds)).toEqual([
      { kind: 'stop', reason: 'slashed' },
    ]);
  });
});
