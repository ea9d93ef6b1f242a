import { describe, expect, test } from 'vitest';
import { type AccessRules, createAccessTable, initialRules } from './access-table.ts';
import { type AccessRequest, type DenialCode, judgeAccess } from './judge-access.ts';

const fp = (digit: string) => digit.repeat(64);
const credential = (digit: string) => ({
  'authentication.kubernetes.io/credential-id': [`X509SHA256=${fp(digit)}`],
});
const podOn = (...names: string[]) => ({ 'authentication.kubernetes.io/node-name': names });

function table(change: Partial<AccessRules> = {}) {
  const made = createAccessTable();
  made.setRules({
    ...initialRules,
    mode: 'enforce',
    isSettling: false,
    operatorsNames: ['server'],
    serverFingerprints: [fp('5')],
    ...change,
  });
  made.setNode({
    nodeId: 'good',
    standing: 'live',
    isContested: false,
    vouches: [
      { identity: 'kubelet', fingerprint: fp('a') },
      { identity: 'kube-proxy', fingerprint: fp('b') },
      { identity: 'k3s-controller', fingerprint: fp('c') },
    ],
  });
  made.setNode({ nodeId: 'new', standing: 'live', isContested: false, vouches: [] });
  made.setNode({ nodeId: 'contested', standing: 'live', isContested: true, vouches: [] });
  made.setNode({
    nodeId: 'slashed',
    standing: 'out',
    isContested: false,
    vouches: [{ identity: 'kubelet', fingerprint: fp('d') }],
  });
  return made;
}

const asked = (change: Partial<AccessRequest>): AccessRequest => ({
  user: 'someone',
  groups: ['system:authenticated'],
  extra: {},
  resource: { verb: 'get', group: '', resource: 'pods', subresource: '', name: '' },
  ...change,
});
const node = (name: string, extra: AccessRequest['extra']): Partial<AccessRequest> => ({
  user: `system:node:${name}`,
  groups: ['system:nodes', 'system:authenticated'],
  extra,
});
const impersonates = (change: Partial<NonNullable<AccessRequest['resource']>>, user = 'someone') =>
  asked({
    user,
    resource: { verb: 'impersonate', group: '', resource: 'users', subresource: '', name: '', ...change },
  });
const codeOf = (request: AccessRequest, rules: Partial<AccessRules> = {}) =>
  judgeAccess(request, table(rules))?.code;

describe('who is refused', () => {
  test.each<[string, Partial<AccessRequest>, DenialCode | undefined]>([
    ['a kubelet with the certificate it is vouched for', node('good', credential('a')), undefined],
    ['with one that it has minted at the supervisor', node('good', credential('9')), 'not-vouched'],
    ['with one of its kube-proxy', node('good', credential('b')), 'vouched-for-another'],
    ['another name with it', node('new', credential('a')), 'vouched-for-another'],
    ['a name that nobody knows', node('stranger', credential('9')), 'not-vouched'],
    ['a slashed node with the certificate it had', node('slashed', credential('d')), 'node-out'],
    ['a slashed node with a fresh one', node('slashed', credential('9')), 'node-out'],
    ['a slashed node by impersonation', node('slashed', {}), 'node-out'],
    ['a good node by impersonation', node('good', {}), 'no-certificate'],
    ['an operator’s node with any certificate', node('server', credential('9')), undefined],
    [
      'two credential ids',
      node('good', { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${fp('a')}`, 'x'] }),
      'no-certificate',
    ],
    [
      'the group of nodes under another name',
      { user: 'mallory', groups: ['system:nodes'] },
      'no-certificate',
    ],
    ['kube-proxy of a live worker', { user: 'system:kube-proxy', extra: credential('b') }, undefined],
    ['kube-proxy of the server', { user: 'system:kube-proxy', extra: credential('5') }, undefined],
    [
      'kube-proxy with a minted certificate',
      { user: 'system:kube-proxy', extra: credential('9') },
      'not-vouched',
    ],
    [
      'kube-proxy with the controller’s',
      { user: 'system:kube-proxy', extra: credential('c') },
      'vouched-for-another',
    ],
    ['k3s-controller of a live worker', { user: 'system:k3s-controller', extra: credential('c') }, undefined],
    [
      'k3s-controller of a slashed one',
      { user: 'system:k3s-controller', extra: credential('d') },
      'not-vouched',
    ],
    ['k3s-controller without a certificate', { user: 'system:k3s-controller' }, 'no-certificate'],
    ['a pod on a good node', { user: 'system:serviceaccount:a:b', extra: podOn('good') }, undefined],
    ['a pod on the server', { user: 'system:serviceaccount:a:b', extra: podOn('server') }, undefined],
    [
      'a pod’s token from a slashed node',
      { user: 'system:serviceaccount:a:b', extra: podOn('slashed') },
      'node-out',
    ],
    ['a pod’s token from a node that nobody knows', { user: 'x', extra: podOn('stranger') }, 'node-unknown'],
    ['anybody else', { user: 'alice' }, undefined],
  ])('%s', (_what, change, code) => {
    expect(judgeAccess(asked(change), table())?.code).toBe(code);
  });

  test('a question of our own policies is never refused: it would refuse every write', () => {
    const resource = { verb: 'present', group: 'k3s-daas.io', resource: 'x', subresource: '', name: '' };
    expect(codeOf(asked({ ...node('slashed', {}), resource }))).toBeUndefined();
  });
});

describe('acting as a node', () => {
  test.each<[string, Parameters<typeof impersonates>[0]]>([
    ['by its name', { name: 'system:node:good' }],
    ['as a shared identity', { name: 'system:k3s-controller' }],
    ['by the group', { resource: 'groups', name: 'system:nodes' }],
    [
      'with a forged fingerprint',
      {
        resource: 'userextras',
        subresource: 'authentication.kubernetes.io/credential-id',
        name: 'X509SHA256=',
      },
    ],
    [
      'as the node that the pod runs on (1.36)',
      { verb: 'impersonate:associated-node', resource: 'nodes', name: 'good' },
    ],
    ['as any node (1.36)', { verb: 'impersonate:arbitrary-node', resource: 'nodes', name: 'good' }],
    ['as anybody at all', {}],
  ])('%s is refused unless it is listed', (_what, resource) => {
    expect(codeOf(impersonates(resource))).toBe('impersonation');
    expect(codeOf(impersonates(resource), { impersonators: ['someone'] })).toBeUndefined();
  });
  test('acting as others than nodes is not ours to judge', () => {
    expect(codeOf(impersonates({ name: 'alice' }))).toBeUndefined();
    expect(codeOf(impersonates({ resource: 'groups', name: 'developers' }))).toBeUndefined();
  });
  test('one that is listed acts as live nodes alone, and from a good Node alone', () => {
    const rules = { impersonators: ['system:serviceaccount:a:agent'] };
    expect(codeOf(asked(node('good', {})), rules)).toBeUndefined();
    expect(codeOf(asked(node('slashed', {})), rules)).toBe('node-out');
    expect(codeOf(asked(node('stranger', {})), rules)).toBe('no-certificate');
    const from = (...names: string[]) => ({
      ...impersonates(
        { verb: 'impersonate:associated-node', resource: 'nodes' },
        'system:serviceaccount:a:agent',
      ),
      extra: podOn(...names),
    });
    expect(codeOf(from('good'), rules)).toBeUndefined();
    expect(codeOf(from('slashed'), rules)).toBe('node-out');
  });
});

describe('shortly after a start', () => {
  const settling = { isSettling: true };
  test('a live node passes that has not shown its certificate yet; shared identities do not', () => {
    expect(codeOf(asked(node('new', credential('9'))), settling)).toBeUndefined();
    expect(codeOf(asked(node('slashed', credential('9'))), settling)).toBe('node-out');
    expect(codeOf(asked({ user: 'system:kube-proxy', extra: credential('9') }), settling)).toBe(
      'not-vouched',
    );
    expect(codeOf(asked({ user: 'x', extra: podOn('stranger') }), settling)).toBeUndefined();
  });
  test('a certificate of a contested name counts only when it is vouched for, as at any other time', () => {
    expect(codeOf(asked(node('contested', credential('9'))), settling)).toBe('not-vouched');
  });
});

test('with ordinary agents unknown certificates of the shared identities pass: nobody vouches for theirs', () => {
  const rules = { hasOrdinaryAgents: true };
  expect(codeOf(asked({ user: 'system:kube-proxy', extra: credential('9') }), rules)).toBeUndefined();
  expect(codeOf(asked({ user: 'system:kube-proxy', extra: credential('c') }), rules)).toBe(
    'vouched-for-another',
  );
});

test('a node that is replaced, goes out or is forgotten takes its certificates along', () => {
  const made = table();
  made.setNode({
    nodeId: 'good',
    standing: 'live',
    isContested: false,
    vouches: [{ identity: 'kubelet', fingerprint: fp('e') }],
  });
  expect(judgeAccess(asked(node('good', credential('a'))), made)?.code).toBe('not-vouched');
  expect(judgeAccess(asked(node('good', credential('e'))), made)).toBeUndefined();
  made.setNode({ nodeId: 'good', standing: 'out', isContested: false, vouches: [] });
  expect(judgeAccess(asked(node('good', credential('e'))), made)?.code).toBe('node-out');
  made.forget('good');
  expect(judgeAccess(asked(node('good', credential('e'))), made)?.code).toBe('not-vouched');
});

describe('what setup tries the policies out with', () => {
  const canary = 'k3s-daas-canary-0123456789ab';
  const creates = (name: string, resource: string, verb = 'create') =>
    codeOf(
      asked({
        ...node(name, credential('9')),
        resource: { verb, group: '', resource, subresource: '', name: '' },
      }),
    );

  test('reaches them: it makes a Node and an event', () => {
    expect([creates(canary, 'nodes'), creates(canary, 'events')]).toEqual([undefined, undefined]);
  });

  test('and nothing else, whoever has claimed a certificate of such a name', () => {
    expect(creates(canary, 'nodes', 'get')).toBe('not-vouched');
    expect(creates(canary, 'pods')).toBe('not-vouched');
    expect(creates(`${canary}c`, 'nodes')).toBe('not-vouched');
    const claimed = table();
    claimed.setNode({ nodeId: canary, standing: 'out', isContested: false, vouches: [] });
    const request = asked({
      ...node(canary, credential('9')),
      resource: { verb: 'create', group: '', resource: 'nodes', subresource: '', name: '' },
    });
    expect(judgeAccess(request, claimed)?.code).toBe('node-out');
  });
});
