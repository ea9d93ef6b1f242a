import { describe, expect, test } from 'vitest';
import type { ClusterNode } from '#domain';
import { id } from './ids.fixture.ts';
import { nextStep, type WorkerView } from './plan.ts';
import { aWorker } from './worker.fixture.ts';
import type { IssuedCredential, Presence, Worker, WorkerStatus } from './worker.ts';

const nowMs = 1_000_000;
const credential: IssuedCredential = {
  id: 'abcdef',
  issuedAtMs: nowMs - 1_000,
  expiresAtMs: nowMs + 1_000,
  nodeUid: undefined,
};
const expired = { ...credential, expiresAtMs: nowMs };

function node(change: Partial<ClusterNode> = {}): ClusterNode {
  return {
    name: 'worker-1',
    uid: 'uid-1',
    isReady: true,
    isKubeletSilent: false,
    stakeRecordId: id('b1'),
    createdAtMs: nowMs - 500,
    readyChangedAtMs: nowMs - 400,
    isUnschedulable: false,
    heldFor: undefined,
    ...change,
  };
}

function view(
  status: WorkerStatus,
  change: Partial<Omit<WorkerView, 'worker'>> & { worker?: Partial<Worker> } = {},
): WorkerView {
  const { worker, ...rest } = change;
  return {
    worker: aWorker({ status, ...worker }),
    node: undefined,
    fact: { kind: 'good' },
    ban: undefined,
    presence: undefined,
    isBreakerTripped: false,
    isOperatorsName: false,
    nowMs,
    cordonGraceMs: 3_600_000,
    ...rest,
  };
}

const member = { kind: 'member', credential: undefined } as const;
const joining = { kind: 'joining', reservedAtMs: nowMs - 2_000, credential } as const;
const ban = {
  subject: 'node_id',
  value: 'worker-1',
  reason: 'x',
  sinceMs: 0,
  recordId: undefined,
} as const;

describe('a worker that joins', () => {
  test('is waited for while its credential lives', () => {
    expect(nextStep(view(joining))).toBeUndefined();
  });
  test('is welcomed when its Node appears', () => {
    expect(nextStep(view(joining, { node: node() }))).toEqual({ kind: 'welcome' });
  });
  test('lapses when its credential ends unused', () => {
    expect(nextStep(view({ ...joining, credential: expired }))).toEqual({
      kind: 'lapse',
      reason: 'join_expired',
    });
  });
  test('is welcomed even if its credential has just ended', () => {
    expect(nextStep(view({ ...joining, credential: expired }, { node: node() }))).toEqual({
      kind: 'welcome',
    });
  });
  test('is evicted when it is slashed before it came', () => {
    expect(nextStep(view(joining, { fact: { kind: 'bad', reason: 'stake_slashed' } }))).toEqual({
      kind: 'evict',
      reason: 'slashed',
      isBan: true,
    });
  });
});

describe('a member', () => {
  test('needs nothing', () => {
    expect(nextStep(view(member, { node: node() }))).toBeUndefined();
  });
  test('gets its mark, and gets it back', () => {
    for (const stakeRecordId of [undefined, id('b2')])
      expect(nextStep(view(member, { node: node({ stakeRecordId }) }))).toEqual({ kind: 'mark' });
  });
  test('lapses when its Node is deleted', () => {
    expect(nextStep(view(member))).toEqual({ kind: 'lapse', reason: 'node_deleted' });
  });
  test('stays while nothing is known of its stake', () => {
    const fact = { kind: 'unknown', ageMs: Number.POSITIVE_INFINITY } as const;
    expect(nextStep(view(member, { node: node(), fact }))).toBeUndefined();
  });
  test('stays when its token has expired', () => {
    const fact = { kind: 'bad', reason: 'token_expired' } as const;
    expect(nextStep(view(member, { node: node(), fact }))).toBeUndefined();
  });
  test('is evicted when it is banned', () => {
    expect(nextStep(view(member, { node: node(), ban }))).toEqual({
      kind: 'evict',
      reason: 'banned',
      isBan: false,
    });
  });
  test('is held while the breaker has tripped, once', () => {
    const fact = { kind: 'bad', reason: 'stake_slashed' } as const;
    const tripped = { node: node({ heldFor: 'slashed' }), fact, isBreakerTripped: true };
    expect(nextStep(view(member, tripped))).toEqual({ kind: 'hold', reason: 'slashed' });
    expect(nextStep(view(member, { ...tripped, worker: { heldFor: 'slashed' } }))).toBeUndefined();
  });
  test('gets no new pods while it is held, nor when its bad stake has outlasted the grace', () => {
    const slashed = { kind: 'bad', reason: 'stake_slashed' } as const;
    const held = { fact: slashed, isBreakerTripped: true, worker: { heldFor: 'slashed' as const } };
    const taint = (reason: string | undefined) => ({ kind: 'taint', reason });
    expect(nextStep(view(member, { ...held, node: node() }))).toEqual(taint('slashed'));
    expect(nextStep(view(member, { ...held, node: node({ heldFor: 'slashed' }) }))).toBeUndefined();
    const expiredToken = { kind: 'bad', reason: 'token_expired' } as const;
    const since = (registeredAtMs: number) => ({ fact: expiredToken, worker: { registeredAtMs } });
    expect(nextStep(view(member, { ...since(nowMs - 1), node: node(), cordonGraceMs: 2 }))).toBeUndefined();
    expect(nextStep(view(member, { ...since(nowMs - 2), node: node(), cordonGraceMs: 2 }))).toEqual(
      taint('token_expired'),
    );
    const heard = { presence: { goodAtMs: nowMs - 1 } as Presence, cordonGraceMs: 2 };
    expect(nextStep(view(member, { ...since(0), ...heard, node: node() }))).toBeUndefined();
  });
  test('gets new pods again when its stake is good, not while nothing is known', () => {
    const tainted = { node: node({ heldFor: 'token_expired' }) };
    expect(nextStep(view(member, tainted))).toEqual({ kind: 'taint', reason: undefined });
    const fact = { kind: 'unknown', ageMs: 0 } as const;
    expect(nextStep(view(member, { ...tainted, fact }))).toBeUndefined();
    expect(nextStep(view(member, { ...tainted, fact, worker: { heldFor: 'slashed' } }))).toBeUndefined();
  });
  test('is no longer held when its facts are good again', () => {
    expect(nextStep(view(member, { node: node(), worker: { heldFor: 'slashed' } }))).toEqual({
      kind: 'unhold',
    });
  });
});

describe('a join credential', () => {
  const withIt = (given: IssuedCredential) => ({ kind: 'member', credential: given }) as const;
  const revoke = { kind: 'revoke-credential' };
  test('dies when a Node that was not there before is Ready', () => {
    expect(nextStep(view(withIt(credential), { node: node() }))).toEqual(revoke);
  });
  test('lives while the Node is not Ready', () => {
    expect(nextStep(view(withIt(credential), { node: node({ isReady: false }) }))).toBeUndefined();
  });
  test('lives when the Node is Ready since before it was issued', () => {
    const there = { ...credential, nodeUid: 'uid-1' };
    const old = node({ readyChangedAtMs: nowMs - 60_000 });
    expect(nextStep(view(withIt(there), { node: old }))).toBeUndefined();
  });
  test('dies when the Node that was there became Ready since', () => {
    const there = { ...credential, nodeUid: 'uid-1' };
    expect(nextStep(view(withIt(there), { node: node({ readyChangedAtMs: nowMs - 1 }) }))).toEqual(revoke);
  });
  test('dies when the incarnation it was issued to says that its agent is ready', () => {
    const there = { ...credential, nodeUid: 'uid-1' };
    const old = node({ readyChangedAtMs: nowMs - 60_000 });
    const presence = { incarnation: 1, agentState: 'ready' } as Presence;
    expect(nextStep(view(withIt(there), { node: old, presence }))).toEqual(revoke);
    const earlier = { ...presence, incarnation: 0 };
    expect(nextStep(view(withIt(there), { node: old, presence: earlier }))).toBeUndefined();
  });
  test('dies at its end', () => {
    expect(nextStep(view(withIt(expired), { node: node({ isReady: false }) }))).toEqual(revoke);
  });
});

describe('after the end', () => {
  test('an interrupted admission is taken back', () => {
    expect(nextStep(view({ kind: 'admitting' }, { node: node() }))).toEqual({
      kind: 'lapse',
      reason: 'admission_interrupted',
    });
  });
  test('an eviction that was begun is gone on with, whatever the facts say now', () => {
    const evicting = { kind: 'evicting', reason: 'slashed' } as const;
    for (const fact of [{ kind: 'good' }, { kind: 'unknown', ageMs: 1 }] as const)
      expect(nextStep(view(evicting, { fact, isBreakerTripped: true }))).toEqual({
        kind: 'evict',
        reason: 'slashed',
        isBan: false,
      });
  });
  test.each([
    [{ kind: 'evicted', reason: 'slashed' } as const, 'slashed'],
    [{ kind: 'lapsed', reason: 'join_expired' } as const, 'not_admitted'],
  ])('a Node that comes back is removed again', (status, reason) => {
    expect(nextStep(view(status, { node: node() }))).toEqual({ kind: 'remove-node', reason });
    expect(nextStep(view(status))).toBeUndefined();
  });
  test('a slash that comes later is still a ban and a stop, and only once', () => {
    const fact = { kind: 'bad', reason: 'stake_slashed' } as const;
    const slash = { kind: 'evict', reason: 'slashed', isBan: true };
    for (const status of [
      { kind: 'lapsed', reason: 'node_deleted' },
      { kind: 'evicted', reason: 'unbonding' },
    ] as const)
      expect(nextStep(view(status, { fact }))).toEqual(slash);
    expect(nextStep(view({ kind: 'evicted', reason: 'slashed' }, { fact }))).toBeUndefined();
    expect(nextStep(view({ kind: 'lapsed', reason: 'node_deleted' }, { fact, isBreakerTripped: true }))).toBe(
      undefined,
    );
  });
  test('a name that its operator has given to an ordinary node since is left alone', () => {
    const evicted = { kind: 'evicted', reason: 'slashed' } as const;
    expect(nextStep(view(evicted, { node: node(), isOperatorsName: true }))).toBeUndefined();
  });
});
