import { expect, test } from 'vitest';
import {
  boundHolder,
  CERTIFICATE_LIFE_MS,
  contestOf,
  emptyHistory,
  historyAfter,
  type NameHistory,
} from './name-history.ts';
import { aWorker } from './worker.fixture.ts';
import type { Worker } from './worker.ts';

const hourMs = 3_600_000;
const first = aWorker({ registeredAtMs: 1_000, statusSinceMs: 1_000 });
const credential = { id: 'abcdef', issuedAtMs: 0, expiresAtMs: 0, nodeUid: undefined };

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
  expect(contestOf(history, holder, 2 * hourMs)).toBe(reason);
});

test('a name is no longer contested once no certificate from before can live', () => {
  const taken = later({ staker: '0xb', recordId: '0xr2' });
  const history = lived(first, taken);
  // The earlier one held it until the next one came.
  expect(contestOf(history, taken, hourMs + CERTIFICATE_LIFE_MS - 1)).toBe('earlier-holder');
  expect(contestOf(history, taken, hourMs + CERTIFICATE_LIFE_MS)).toBeUndefined();
  const marked: NameHistory = { ...lived(first), marks: [{ reason: 'claimed', atMs: 0 }] };
  expect(contestOf(marked, first, CERTIFICATE_LIFE_MS)).toBeUndefined();
});

test('a holder that left long after it came held the name until it left', () => {
  const left = {
    ...first,
    status: { kind: 'lapsed', reason: 'node_deleted' },
    statusSinceMs: 9 * hourMs,
  } as const;
  const taken = later({ staker: '0xb', registeredAtMs: 10 * hourMs, statusSinceMs: 10 * hourMs });
  const history = lived(first, left, taken);
  expect(contestOf(history, taken, 9 * hourMs + CERTIFICATE_LIFE_MS)).toBe('earlier-holder');
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
