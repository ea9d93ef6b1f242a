import { expect, test } from 'vitest';
import { isNodeId } from './node-id.ts';

test.each(['w', 'worker-1', '0', 'a'.repeat(63)])('%s is a node id', (text) =>
  expect(isNodeId(text)).toBe(true),
);
test.each(['', '-a', 'a-', 'A', 'a.b', 'a_b', 'a'.repeat(64), 'ä', 'a\n'])('%j is no node id', (text) =>
  expect(isNodeId(text)).toBe(false),
);
