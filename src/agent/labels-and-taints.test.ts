import { expect, test } from 'vitest';
import { refuseLabels, refuseTaints } from './labels-and-taints.ts';

const given = (value: string) => ({ value, origin: 'agent.args' });

test.each([
  'a=b',
  'a',
  'a=',
  'example.com/a=b',
  'a=b,c=d',
  'node.kubernetes.io/x=y',
  'sub.node.kubernetes.io/x=y',
  'kubelet.kubernetes.io/x=y',
  'topology.kubernetes.io/zone=z',
  'kubernetes.io/hostname=h',
  'k3s-daas.io/tier=basic',
  `a=${'v'.repeat(63)}`,
])('the kubelet takes the label %s', (label) => {
  expect(() => refuseLabels([given(label)])).not.toThrow();
});

test.each([
  'node-role.kubernetes.io/worker=true',
  'kubernetes.io/x=y',
  'example.k8s.io/x=y',
  'node-restriction.kubernetes.io/x=y',
  'a=b=c',
  'a=-b',
  'a b=c',
  '=b',
  '/a=b',
  'A.com/a=b',
  'a/b/c=d',
  `a=${'v'.repeat(64)}`,
  '--token=x',
])('a label that the kubelet ends at is refused: %s', (label) => {
  expect(() => refuseLabels([given(label)])).toThrow(
    expect.objectContaining({ code: 'DAAS_NODE_LABEL_INVALID', exitCode: 78 }),
  );
});

test.each([
  'a=b:NoSchedule',
  'a:NoExecute',
  'a=:PreferNoSchedule',
  'example.com/a=b:NoSchedule',
  'a-',
  'a:NoSchedule-',
])('k3s takes the taint %s', (taint) => {
  expect(() => refuseTaints([given(taint)])).not.toThrow();
});

test.each([
  'a=b',
  'a',
  'a=b:Never',
  'a=b=c:NoSchedule',
  'a:b:NoSchedule',
  'a=b:NoSchedule,c=d:NoSchedule',
  ':NoSchedule',
  'a=b:',
])('a taint that k3s ends at is refused: %s', (taint) => {
  expect(() => refuseTaints([given(taint)])).toThrow(
    expect.objectContaining({ code: 'DAAS_NODE_TAINT_INVALID', exitCode: 78 }),
  );
});

test('of two taints with one key and effect the second is refused with the place of the first', () => {
  const ours = { value: 'k3s-daas.io/staked=basic:NoSchedule', origin: 'the gateway or a plugin' };
  expect(() => refuseTaints([given('k3s-daas.io/staked=gold:NoSchedule'), ours])).toThrow(
    'agent.args sets the same',
  );
  expect(() => refuseTaints([given('k3s-daas.io/staked=gold:NoExecute'), ours])).not.toThrow();
});
