import { expect, test } from 'vitest';
import { slashReadiness } from './slash-readiness.ts';

const [a, b, c] = ['0xa', '0xb', '0xc'] as const;
const open = {
  status: 'open' as const,
  votes: [a],
  thresholdAtOpening: 2,
  executableAtMs: 100,
  expiresAtMs: 200,
};
const inForce = { slashers: [a, b, c], slashThreshold: 2n };

test.each([
  ['one vote of two', {}, {}, 150, [], { kind: 'votes', votes: 1, needed: 2 }],
  ['the vote that is about to be given counts', {}, {}, 150, [b], { kind: 'ready' }],
  ['a vote that is given twice counts once', {}, {}, 150, [a], { kind: 'votes', votes: 1, needed: 2 }],
  [
    'the vote of a removed slasher does not count',
    { votes: [a, b] },
    { slashers: [a, c] },
    150,
    [],
    { kind: 'votes', votes: 1, needed: 2 },
  ],
  [
    'a raised threshold counts',
    { votes: [a, b] },
    { slashThreshold: 3n },
    150,
    [],
    { kind: 'votes', votes: 2, needed: 3 },
  ],
  [
    'a lowered threshold does not',
    {},
    { slashThreshold: 1n },
    150,
    [],
    { kind: 'votes', votes: 1, needed: 2 },
  ],
  ['within the challenge time', { votes: [a, b] }, {}, 99, [], { kind: 'challenge', delayMs: 1 }],
  ['at the end of the challenge time', { votes: [a, b] }, {}, 100, [], { kind: 'ready' }],
  ['before the end of the proposal', { votes: [a, b] }, {}, 199, [], { kind: 'ready' }],
  ['at the end of the proposal', { votes: [a, b] }, {}, 200, [], { kind: 'closed', status: 'expired' }],
  ['executed', { status: 'executed' as const }, {}, 150, [b], { kind: 'closed', status: 'executed' }],
])('%s', (_what, proposal, parameters, nowMs, voters, readiness) => {
  expect(slashReadiness({ ...open, ...proposal }, { ...inForce, ...parameters }, nowMs, voters)).toEqual(
    readiness,
  );
});
