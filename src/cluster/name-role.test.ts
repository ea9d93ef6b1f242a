import { expect, test } from 'vitest';
import type { Vouch } from '#domain';
import { bindingOfName, type ListedName, listingOfRole, roleOfName } from './name-role.ts';

const vouch = (identity: Vouch['identity'], fingerprint: string): Vouch => ({
  nodeId: 'w1',
  identity,
  fingerprint,
  notAfterMs: 0,
});
const shown = [vouch('kubelet', 'aa'), vouch('kube-proxy', 'bb'), vouch('k3s-controller', 'cc')];

/** `<resource> <verbs> <names>`, as the policies ask. */
const rules = (listed: Partial<ListedName>) =>
  roleOfName({ name: 'w1', listing: 'basic', vouches: shown, isContested: false, ...listed }).rules?.map(
    ({ resources, verbs, resourceNames }) =>
      [resources?.join(), verbs.join(), resourceNames?.join() ?? '*'].join(' '),
  );

test.each<[string, Partial<ListedName>, string[]]>([
  [
    'a staked name registers with a certificate that was shown, and writes with any',
    {},
    [
      'listings hold basic',
      'nodenames hold w1',
      'certificates register w1.aa',
      'certificates annotate w1.cc',
      'certificates write *',
    ],
  ],
  [
    'a contested one writes with one that was shown alone',
    { isContested: true },
    [
      'listings hold basic',
      'nodenames hold w1',
      'certificates register w1.aa',
      'certificates annotate w1.cc',
      'certificates write w1.aa',
    ],
  ],
  [
    'before anything was shown it registers nothing',
    { vouches: [] },
    ['listings hold basic', 'nodenames hold,annotate w1', 'certificates write *'],
  ],
  [
    'a contested one that has shown nothing does nothing at all',
    { vouches: [], isContested: true },
    ['listings hold basic', 'nodenames hold,annotate w1'],
  ],
  [
    'where the policies see no certificates every certificate counts, and none',
    { vouches: undefined },
    [
      'listings hold basic',
      'nodenames hold,register,annotate w1',
      'certificates write,write-without-certificate *',
    ],
  ],
  [
    'an ordinary name is the operator’s: no certificate is asked for',
    { listing: 'ordinary' },
    [
      'listings hold ordinary',
      'nodenames hold,register,annotate w1',
      'certificates write,write-without-certificate *',
    ],
  ],
  [
    'a reserved one registers nothing, and what is there goes on',
    { listing: 'reserved' },
    [
      'listings hold reserved',
      'nodenames hold,annotate w1',
      'certificates write,write-without-certificate *',
    ],
  ],
])('%s', (_what, listed, expected) => {
  expect(rules(listed)).toEqual(expected);
  expect(
    listingOfRole(
      roleOfName({ name: 'w1', listing: 'basic', vouches: shown, isContested: false, ...listed }),
    ),
  ).toBe(listed.listing ?? 'basic');
});

test('the Role is the node’s own: its kubelet and, by name and certificate, the identity that all agents share', () => {
  expect(bindingOfName('w1').subjects?.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
    'User system:node:w1',
    'User system:k3s-controller',
  ]);
});

test('a Role that lists no name is none of them', () => {
  expect(listingOfRole({ rules: [] })).toBeUndefined();
  expect(
    listingOfRole({ rules: [{ apiGroups: [''], resources: ['listings'], verbs: ['hold'] }] }),
  ).toBeUndefined();
});
