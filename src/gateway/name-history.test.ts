import { expect, test } from 'vitest';
import {
  boundHolder,
  CERTIFICATE_LIFE_MS,
  contestOf,
  emptyHistory,
  historyAfter,
  isHistoryOver,
  type NameHistory,
} from './name-history.ts';
import { aWorker } from './worker.fixture.ts';
import type { Worker } from './worker.ts';

const hourMs = 3_600_000;
const first = aWorker({ registeredAtMs: 1_000, statusSinceMs: 1_000 });
const unsuspected = { claim: undefined, unseenAtMs: undefined };
const credential = { id: 'abcdef', issuedAtMs: 0, expiresAtMs: 0, nodeUid: undefined, secretHash: undefined };

/** The history after each of these was written in turn. */
function lived(...workers: readonly Worker[]): NameHistory {
  return workers.reduce(
    (history, worker, index) => historyAfter(history, workers[index - 1], worker),
    emptyHistory(first.nodeId),
  );
}
const later = (change: Partial<Worker>): Worker => ({
  ...first,
  registeredAtMs: hourMs,
  statusSinceMs: hourMs,
  status: { kind: 'admitting' },
  ...change,
});

test.each<[string, NameHistory, Worker, string | undefined]>([
  ['its first holder', lived(first), first, undefined],
  ['the same holder, admitted again', lived(first, later({})), later({}), undefined],
  [
    'another staker',
    lived(first, later({ staker: '0xb', recordId: '0xr2' })),
    later({ staker: '0xb', recordId: '0xr2' }),
    'earlier-holder',
  ],
  [
    'the same wallet with a new stake',
    lived(first, later({ recordId: '0xr2' })),
    later({ recordId: '0xr2' }),
    'earlier-holder',
  ],
  [
    'another node key of the same stake that gets a credential',
    lived(first, later({ holderKey: 'other' })),
    later({ holderKey: 'other' }),
    'earlier-holder',
  ],
  [
    'a new node key while the agent runs on: its certificates are on no other machine',
    lived(first, later({ holderKey: 'other', status: { kind: 'member', credential: undefined } })),
    later({ holderKey: 'other' }),
    undefined,
  ],
  [
    'a new node key beside a Node, with a credential for who knows which machine',
    lived(first, later({ holderKey: 'other', status: { kind: 'member', credential } })),
    later({ holderKey: 'other' }),
    'earlier-holder',
  ],
  ['an applicant that held nothing yet', lived(first), later({ staker: '0xb' }), 'earlier-holder'],
  [
    'a claim that was seen',
    { ...lived(first), marks: [{ reason: 'claimed', atMs: hourMs }] },
    first,
    'claimed',
  ],
  [
    'claims that could not be seen',
    { ...lived(first), marks: [{ reason: 'unwatched', atMs: hourMs }] },
    first,
    'unwatched',
  ],
])('contested or not: %s', (_what, history, holder, reason) => {
  expect(contestOf(history, holder, { ...unsuspected, nowMs: 2 * hourMs })).toBe(reason);
});

test('a name is no longer contested once no certificate from before can live', () => {
  const taken = later({ staker: '0xb', recordId: '0xr2' });
  const history = lived(first, taken);
  // The earlier one held it until the next one came.
  expect(contestOf(history, taken, { ...unsuspected, nowMs: hourMs + CERTIFICATE_LIFE_MS - 1 })).toBe(
    'earlier-holder',
  );
  expect(contestOf(history, taken, { ...unsuspected, nowMs: hourMs + CERTIFICATE_LIFE_MS })).toBeUndefined();
  const marked: NameHistory = { ...lived(first), marks: [{ reason: 'claimed', atMs: 0 }] };
  expect(contestOf(marked, first, { ...unsuspected, nowMs: CERTIFICATE_LIFE_MS })).toBeUndefined();
});

test('a claim contests a name, also one that was released, and so do claims that could not be seen', () => {
  const claim = { seenAtMs: hourMs };
  expect(contestOf(lived(first), first, { ...unsuspected, claim, nowMs: 2 * hourMs })).toBe('claimed');
  const seen = { claim: undefined, unseenAtMs: hourMs };
  expect(contestOf(lived(first), first, { ...seen, nowMs: 2 * hourMs })).toBe('unwatched');
  expect(contestOf(emptyHistory('new'), first, { ...seen, nowMs: 2 * hourMs })).toBe('unwatched');
  const nowMs = hourMs + CERTIFICATE_LIFE_MS;
  expect(contestOf(lived(first), first, { claim, unseenAtMs: hourMs, nowMs })).toBeUndefined();
});

test('of many holders the newest sixteen are remembered: they contest the name the longest', () => {
  const workers = Array.from({ length: 30 }, (_, index) =>
    later({ recordId: `0x${index}`, statusSinceMs: index * hourMs, registeredAtMs: index * hourMs }),
  );
  const { holders } = lived(...workers);
  expect(holders.map(({ recordId }) => recordId)).toEqual(workers.slice(14).map(({ recordId }) => recordId));
});

test('a history is over once no certificate of any holder or claim can live', () => {
  const history: NameHistory = { ...lived(first), marks: [{ reason: 'claimed', atMs: 2 * hourMs }] };
  expect(isHistoryOver(history, 2 * hourMs + CERTIFICATE_LIFE_MS - 1)).toBe(false);
  expect(isHistoryOver(history, 2 * hourMs + CERTIFICATE_LIFE_MS)).toBe(true);
  expect(isHistoryOver(emptyHistory('w'), 0)).toBe(true);
});

test('a holder that left long after it came held the name until it left', () => {
  const left = {
    ...first,
    status: { kind: 'lapsed', reason: 'node_deleted' },
    statusSinceMs: 9 * hourMs,
  } as const;
  const taken = later({ staker: '0xb', registeredAtMs: 10 * hourMs, statusSinceMs: 10 * hourMs });
  const history = lived(first, left, taken);
  expect(contestOf(history, taken, { ...unsuspected, nowMs: 9 * hourMs + CERTIFICATE_LIFE_MS })).toBe(
    'earlier-holder',
  );
});

test('what changes nothing is written nowhere', () => {
  const history = lived(first);
  expect(historyAfter(history, first, first)).toBe(history);
});

test('before Kubernetes 1.32 a name stays with its last holder until no certificate can live, or the operator frees it', () => {
  const history = lived(first, later({ staker: '0xb' }));
  expect(boundHolder(history, 2 * hourMs)).toMatchObject({ staker: '0xb' });
  expect(boundHolder(history, hourMs + CERTIFICATE_LIFE_MS)).toBeUndefined();
  expect(boundHolder({ ...history, releasedAtMs: 2 * hourMs }, 2 * hourMs)).toBeUndefined();
  expect(boundHolder(emptyHistory('w'), 0)).toBeUndefined();
});
