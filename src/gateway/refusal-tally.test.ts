import { expect, test } from 'vitest';
import { createRefusalTally } from './refusal-tally.ts';

const minuteMs = 60_000;

function tallied(options: { mostKinds?: number; mostProvenKinds?: number } = {}) {
  let nowMs = 0;
  const lines: Array<Readonly<Record<string, unknown>>> = [];
  const tally = createRefusalTally({
    audit: { record: (event, facts) => void lines.push({ event, ...facts }) },
    nowMs: () => nowMs,
    ...options,
  });
  const refuse = (address: string, reason = 'signature_invalid', nodeId?: string) =>
    tally.count(
      'token.refused',
      { reason, address, ...(nodeId !== undefined && { nodeId }) },
      { request_id: `${lines.length}`, address },
    );
  return { lines, tally, refuse, pass: () => (nowMs += minuteMs) };
}

test('the first refusal of a kind is a line of its own, the rest of its minute one more', () => {
  const { lines, tally, refuse, pass } = tallied();
  for (let count = 0; count < 1_000; count += 1) refuse('192.0.2.1');
  tally.flush();
  expect(lines).toHaveLength(1);
  pass();
  tally.flush();
  expect(lines).toMatchObject([
    { event: 'token.refused', address: '192.0.2.1', reason: 'signature_invalid' },
    { event: 'token.refused.more', address: '192.0.2.1', count: 999 },
  ]);
  refuse('192.0.2.1');
  pass();
  tally.flush();
  expect(lines).toHaveLength(3);
});

test('ten thousand addresses cost no more lines than there are kinds told apart', () => {
  const { lines, tally, refuse, pass } = tallied({ mostKinds: 32 });
  for (let count = 0; count < 10_000; count += 1) refuse(`10.0.${count % 256}.${count >> 8}`);
  pass();
  tally.flush();
  expect(lines).toHaveLength(33);
  expect(lines.at(-1)).toMatchObject({ address: 'others', count: 10_000 - 32 });
});

test('strangers cannot hide the refusals of a node whose key is proven', () => {
  const { lines, refuse } = tallied({ mostKinds: 4 });
  for (let count = 0; count < 100; count += 1) refuse(`10.0.0.${count}`);
  refuse('192.0.2.9', 'registration_superseded', 'worker-1');
  expect(lines.at(-1)).toMatchObject({ address: '192.0.2.9', reason: 'registration_superseded' });
});

test('a window of another length, and refusals that come counted already', () => {
  let nowMs = 0;
  const lines: object[] = [];
  const tally = createRefusalTally({
    audit: { record: (event, facts) => void lines.push({ event, ...facts }) },
    nowMs: () => nowMs,
    windowMs: 60 * minuteMs,
    mostKinds: 2,
  });
  const refuse = (subject: string, times: number) =>
    tally.count('access.refused', { reason: 'not-vouched', subject }, { subject, count: times }, times);
  expect([refuse('a', 3), refuse('a', 4), refuse('b', 1), refuse('c', 5), refuse('d', 6)]).toEqual([
    true,
    false,
    true,
    false,
    false,
  ]);
  nowMs = 59 * minuteMs;
  tally.flush();
  expect(lines).toHaveLength(2);
  nowMs = 60 * minuteMs;
  tally.flush();
  expect(lines.slice(2)).toMatchObject([
    { event: 'access.refused.more', subject: 'a', count: 4 },
    { event: 'access.refused.more', address: 'others', count: 11 },
  ]);
});

test('at the end of the gateway what was counted is written', () => {
  const { lines, tally, refuse } = tallied();
  refuse('192.0.2.1');
  refuse('192.0.2.1');
  tally.flush({ isLast: true });
  expect(lines.at(-1)).toMatchObject({ event: 'token.refused.more', count: 1, last_request_id: '1' });
});
