import { describe, expect, test } from 'vitest';
import type { KubernetesNode } from '#domain';
import { id } from './ids.fixture.ts';
import { nextStep, type WorkerView } from './next-step.ts';
import { aWorker } from './worker.fixture.ts';
import type { IssuedCredential, LastHeartbeat, Worker, WorkerStatus } from './worker.ts';

const nowMs = 1_000_000;
const credential: IssuedCredential = {
  id: 'abcdef',
  issuedAtMs: nowMs - 1_000,
  expiresAtMs: nowMs + 1_000,
  nodeUid: undefined,
  secretHash: undefined,
};
const expired = { ...credential, expiresAtMs: nowMs };

function node(change: Partial<KubernetesNode> = {}): KubernetesNode {
  return {
    name: 'worker-1',
    uid: 'uid-1',
    isReady: true,
    isKubeletSilent: false,
    stakeRecordId: id('b1'),
    tier: 'basic',
    staker: aWorker().staker,
    createdAtMs: nowMs - 500,
    readyChangedAtMs: nowMs - 400,
    isUnschedulable: false,
    addresses: [],
    bootId: undefined,
    cordonedFor: undefined,
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
    lastHeartbeat: undefined,
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
  test('has joined when its Node appears', () => {
    expect(nextStep(view(joining, { node: node() }))).toEqual({ kind: 'confirm-joined' });
  });
  test('expires when its credential ends unused', () => {
    expect(nextStep(view({ ...joining, credential: expired }))).toEqual({
      kind: 'expire-admission',
      reason: 'join_expired',
    });
  });
  test('has joined even if its credential has just ended', () => {
    expect(nextStep(view({ ...joining, credential: expired }, { node: node() }))).toEqual({
      kind: 'confirm-joined',
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
    // Of an earlier version, which did not name the wallet.
    expect(nextStep(view(member, { node: node({ staker: undefined }) }))).toEqual({ kind: 'mark' });
  });
  test('expires when its Node is deleted', () => {
    expect(nextStep(view(member))).toEqual({ kind: 'expire-admission', reason: 'node_deleted' });
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
  test('is noted when it is Ready for the first time: only a machine that was there counts for the breaker', () => {
    const never = { worker: { firstReadyAtMs: undefined } };
    expect(nextStep(view(member, { ...never, node: node() }))).toEqual({ kind: 'note-ready' });
    expect(nextStep(view(member, { ...never, node: node({ isReady: false }) }))).toBeUndefined();
  });
  test('goes although the breaker has tripped when validators have signed what its stakers or slashers did', () => {
    const fact = { kind: 'bad', reason: 'stake_slashed', isCertain: true } as const;
    expect(nextStep(view(member, { node: node(), fact, isBreakerTripped: true }))).toEqual({
      kind: 'evict',
      reason: 'slashed',
      isBan: true,
      isCertain: true,
    });
  });
  test('keeps running while the breaker has tripped: its eviction is held, once', () => {
    const fact = { kind: 'bad', reason: 'stake_slashed' } as const;
    const tripped = { node: node({ cordonedFor: 'slashed' }), fact, isBreakerTripped: true };
    expect(nextStep(view(member, tripped))).toEqual({ kind: 'hold-eviction', reason: 'slashed' });
    expect(nextStep(view(member, { ...tripped, worker: { heldFor: 'slashed' } }))).toBeUndefined();
  });
  test('gets no new pods while its eviction is held, nor when its bad stake has outlasted the grace', () => {
    const slashed = { kind: 'bad', reason: 'stake_slashed' } as const;
    const held = { fact: slashed, isBreakerTripped: true, worker: { heldFor: 'slashed' as const } };
    const cordon = (reason: string) => ({ kind: 'cordon', reason });
    expect(nextStep(view(member, { ...held, node: node() }))).toEqual(cordon('slashed'));
    expect(nextStep(view(member, { ...held, node: node({ cordonedFor: 'slashed' }) }))).toBeUndefined();
    const expiredToken = { kind: 'bad', reason: 'token_expired' } as const;
    const since = (registeredAtMs: number) => ({ fact: expiredToken, worker: { registeredAtMs } });
    expect(nextStep(view(member, { ...since(nowMs - 1), node: node(), cordonGraceMs: 2 }))).toBeUndefined();
    expect(nextStep(view(member, { ...since(nowMs - 2), node: node(), cordonGraceMs: 2 }))).toEqual(
      cordon('token_expired'),
    );
    const heard = { lastHeartbeat: { goodAtMs: nowMs - 1 } as LastHeartbeat, cordonGraceMs: 2 };
    expect(nextStep(view(member, { ...since(0), ...heard, node: node() }))).toBeUndefined();
  });
  test('gets new pods again when its stake is good, not while nothing is known', () => {
    const tainted = { node: node({ cordonedFor: 'token_expired' }) };
    expect(nextStep(view(member, tainted))).toEqual({ kind: 'uncordon' });
    const fact = { kind: 'unknown', ageMs: 0 } as const;
    expect(nextStep(view(member, { ...tainted, fact }))).toBeUndefined();
    expect(nextStep(view(member, { ...tainted, fact, worker: { heldFor: 'slashed' } }))).toBeUndefined();
  });
  test('has no held eviction any more when its facts are good again', () => {
    expect(nextStep(view(member, { node: node(), worker: { heldFor: 'slashed' } }))).toEqual({
      kind: 'release-eviction',
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
    const lastHeartbeat = { incarnation: 1, agentState: 'ready' } as LastHeartbeat;
    expect(nextStep(view(withIt(there), { node: old, lastHeartbeat }))).toEqual(revoke);
    const earlier = { ...lastHeartbeat, incarnation: 0 };
    expect(nextStep(view(withIt(there), { node: old, lastHeartbeat: earlier }))).toBeUndefined();
  });
  test('dies at its end', () => {
    expect(nextStep(view(withIt(expired), { node: node({ isReady: false }) }))).toEqual(revoke);
  });
});

describe('after the end', () => {
  test('an interrupted admission is taken back', () => {
    expect(nextStep(view({ kind: 'admitting' }, { node: node() }))).toEqual({
      kind: 'expire-admission',
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
    expect(nextStep(view(status, { node: node() }))).toEqual({ kind: 'remove-orphan', reason });
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
