import { expect, test } from 'vitest';
import type { ServerAuthorization } from '#cluster';
import { authorizerProblems } from './authorizer-proof.ts';

const server: ServerAuthorization = {
  server: '192.0.2.1:6443',
  state: 'ours',
  isAnswered: true,
  isEnforced: true,
  detail: 'it runs',
};

test('a server that runs the file, asks and is answered is in order, with the file of another machine too', () => {
  expect(authorizerProblems([server, { ...server, state: 'another' }], 'enforce')).toEqual([]);
  expect(authorizerProblems([{ ...server, isEnforced: false }], 'observe')).toEqual([]);
});

test.each([
  ['that runs no such file', { state: 'none' }, /--server-files/],
  ['that cannot be asked', { state: 'unread' }, /could not be asked/],
  ['whose webhook does not answer', { isAnswered: false }, /gateway runs/],
  ['that observes although it shall enforce', { isEnforced: false }, /observes/],
] as const)('a server %s is named', (_what, change, sentence) => {
  const [problem, ...more] = authorizerProblems([server, { ...server, ...change }], 'enforce');
  expect(more).toEqual([]);
  expect(problem).toMatch(sentence);
  expect(problem).toContain('192.0.2.1:6443');
});
