import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { dropInConflicts, serverDropIn } from './server-drop-in.ts';

const conflicts = (text: string, isAfter = false) =>
  dropInConflicts([{ path: '/etc/rancher/k3s/config.yaml', text }], () => isAfter);

test('the drop-in adds to the arguments that the operator has', () => {
  expect(parse(serverDropIn('/var/lib/rancher/k3s/server/k3s-daas'))).toEqual({
    'kube-apiserver-arg+': ['authorization-config=/var/lib/rancher/k3s/server/k3s-daas/authorization.yaml'],
  });
});

test.each([
  ['kube-apiserver-arg: [authorization-mode=Node]', /authorization-mode=Node/],
  ['kube-apiserver-arg+:\n  - authorization-config=/etc/mine.yaml', /authorization-config/],
  ['kube-apiserver-arg: --authorization-webhook-config-file=/x', /authorization-webhook/],
  ['[', /no YAML/],
])('%j is named as what the API server would not start with', (text, sentence) => {
  expect(conflicts(text).join()).toMatch(sentence);
});

test('what has nothing to do with authorization stays', () => {
  expect(conflicts('kube-apiserver-arg: [audit-log-path=/x]\ntoken: t')).toEqual([]);
  expect(conflicts('')).toEqual([]);
});

test('a later file that replaces the arguments is named, one that adds to them is not', () => {
  expect(conflicts('kube-apiserver-arg: [audit-log-path=/x]', true)).toHaveLength(1);
  expect(conflicts('kube-apiserver-arg+: [audit-log-path=/x]', true)).toEqual([]);
});
