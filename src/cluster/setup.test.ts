import type { V1Node } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import { namesToReserve } from './setup.ts';
import { admitsByBootstrapToken, hasAdmissionPolicies, parseKubernetesVersion } from './version.ts';

const node = (name: string, labels: Record<string, string> = {}, taintKey?: string): V1Node => ({
  metadata: { name, labels },
  spec: taintKey ? { taints: [{ key: taintKey, effect: 'NoSchedule' }] } : {},
});
const admitted = (data: Record<string, string>) => ({ data });

test('the names that are there and that the operator gives are reserved, once each', () => {
  expect(namesToReserve([node('b'), node('a')], undefined, ['c', 'a', ''])).toEqual(['a', 'b', 'c']);
  expect(namesToReserve([node('b'), node('a')], admitted({ a: 'ordinary' }), [])).toEqual(['b']);
});

test('a staked Node is not reserved: listed it stays as it is, unlisted it is on its way out', () => {
  const staked = [
    node('marked', { 'k3s-daas.node-restriction.kubernetes.io/stake': 'x' }),
    node('tainted', {}, 'k3s-daas.io/staked'),
    node('listed', {}, 'k3s-daas.io/staked'),
  ];
  expect(namesToReserve(staked, admitted({ listed: 'basic' }), [])).toEqual([]);
});

test('a name that is listed keeps its tier also when the operator names it', () => {
  expect(namesToReserve([], admitted({ w1: 'premium' }), ['w1'])).toEqual([]);
});

test('versions are read as k3s writes them', () => {
  expect(parseKubernetesVersion('v1.36.2+k3s1')).toEqual({
    text: 'v1.36.2+k3s1',
    major: 1,
    minor: 36,
    patch: 2,
  });
  for (const text of ['v0.0.0-master+$Format:%H$', 'latest', ''])
    expect(parseKubernetesVersion(text)).toBeUndefined();
});

test.each([
  ['v1.21.3+k3s1', false, false],
  ['v1.23.16+k3s1', false, false],
  ['v1.23.17+k3s1', true, false],
  ['v1.24.10+k3s1', false, false],
  ['v1.26.1+k3s1', false, false],
  ['v1.26.2+k3s1', true, false],
  ['v1.29.15+k3s1', true, false],
  ['v1.30.0+k3s1', true, true],
  ['v1.36.3', true, true],
  ['v2.0.0', true, true],
])('%s admits by bootstrap token: %s, has policies: %s', (text, tokens, policies) => {
  const version = parseKubernetesVersion(text);
  if (!version) throw new Error('not a version');
  expect(admitsByBootstrapToken(version)).toBe(tokens);
  expect(hasAdmissionPolicies(version)).toBe(policies);
});
