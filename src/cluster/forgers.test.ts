import type { V1PolicyRule } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import { forgersByRights, frontProxies } from './forgers.ts';

const subjects = [{ kind: 'ServiceAccount', namespace: 'ops', name: 'helper' }];
const found = (rule: V1PolicyRule, who = subjects) =>
  forgersByRights(
    [{ metadata: { name: 'role' }, rules: [{ verbs: ['get'], resources: ['pods'], apiGroups: [''] }, rule] }],
    [
      {
        metadata: { name: 'binding' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'role' },
        subjects: who,
      },
    ],
  );
const group = 'authentication.k8s.io';

test.each([
  ['everything', { apiGroups: ['*'], resources: ['*'], verbs: ['*'] }],
  ['every extra', { apiGroups: [group], resources: ['*'], verbs: ['impersonate'] }],
  [
    'the node of a token',
    {
      apiGroups: [group],
      resources: ['*/authentication.kubernetes.io/node-name'],
      verbs: ['impersonate'],
    },
  ],
  [
    'the fingerprint',
    {
      apiGroups: [group],
      resources: ['userextras/authentication.kubernetes.io/credential-id'],
      verbs: ['impersonate'],
      resourceNames: ['X509SHA256=1'],
    },
  ],
  ['the new verbs', { apiGroups: [group], resources: ['*'], verbs: ['impersonate:user-info'] }],
])('who may impersonate with %s is named, with the role and the binding', (_what, rule) => {
  const [forger] = found(rule);
  expect(forger?.subject).toBe('ServiceAccount ops/helper');
  expect(forger?.why).toMatch(/ClusterRole role, ClusterRoleBinding binding/);
});

test.each([
  ['users alone', { apiGroups: [''], resources: ['users', 'groups'], verbs: ['impersonate'] }],
  [
    'an extra that decides nothing',
    { apiGroups: [group], resources: ['userextras/scopes'], verbs: ['impersonate'] },
  ],
  [
    'what RBAC takes for no pattern',
    { apiGroups: [group], resources: ['userextras/*'], verbs: ['impersonate'] },
  ],
  ['reading', { apiGroups: ['*'], resources: ['*'], verbs: ['get', 'list'] }],
  ['all of another group', { apiGroups: ['apps'], resources: ['*'], verbs: ['*'] }],
])('%s forges nothing', (_what, rule) => {
  expect(found(rule)).toEqual([]);
});

test('the administrators themselves are not named', () => {
  const rule = { apiGroups: ['*'], resources: ['*'], verbs: ['*'] };
  expect(found(rule, [{ kind: 'Group', name: 'system:masters' } as (typeof subjects)[number]])).toEqual([]);
});

test('a front proxy without a name is one that anybody of its authority can be', () => {
  const data = { 'requestheader-client-ca-file': 'one\n', 'client-ca-file': 'other\n' };
  expect(frontProxies({ ...data, 'requestheader-allowed-names': '["system:auth-proxy"]' })).toEqual([]);
  expect(frontProxies({})).toEqual([]);
  expect(frontProxies({ ...data, 'requestheader-allowed-names': '[]' })).toMatchObject([
    { subject: expect.stringContaining('front proxy’s CA') },
  ]);
  expect(
    frontProxies({ ...data, 'client-ca-file': 'one', 'requestheader-allowed-names': '[]' }),
  ).toMatchObject([{ subject: expect.stringContaining('every client certificate') }]);
});
