import { expect, test } from 'vitest';
import { StateConfig } from './state-config.ts';

const issuesOf = (given: object) =>
  StateConfig.safeParse(given).error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ??
  [];

test.each(['etcd', 'kubernetes'])('a state in %s needs keys: others can read it there', (engine) => {
  const etcd = { endpoints: ['https://etcd-1:2379'] };
  expect(issuesOf({ engine, etcd })).toEqual([expect.stringMatching(`^keys: engine ${engine} needs keys`)]);
  expect(issuesOf({ engine, etcd, keys: { file: '/keys' } })).toEqual([]);
});

test('a leader is silent for 15 s before another leads, unless the configuration says so', () => {
  const keys = { file: '/keys' };
  expect(StateConfig.parse({ engine: 'kubernetes', keys }).kubernetes).toEqual({ leaseSeconds: 15 });
  expect(issuesOf({ engine: 'kubernetes', keys, kubernetes: { leaseSeconds: 4 } })).toEqual([
    expect.stringMatching('^kubernetes.leaseSeconds: '),
  ]);
  expect(issuesOf({ engine: 'kubernetes', keys, kubernetes: { namespace: 'other' } })).toHaveLength(1);
});
