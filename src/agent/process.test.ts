import { expect, test } from 'vitest';
import { launch } from './process.ts';

const quiet = { env: {}, onLine: () => undefined };

test('a process that has ended gets no signal: its pid may be somebody else’s', async () => {
  const child = await launch({ ...quiet, binary: '/bin/sh', argv: ['-c', 'exit 3'] });
  expect(await child.ended).toEqual({ exitCode: 3, signal: undefined });
  expect(child.terminate()).toBe(false);
});
