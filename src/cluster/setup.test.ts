import type { V1Node } from '@kubernetes/client-node';
import { expect, test } from 'vitest';
import { namesToList } from './setup-names.ts';
import { admitsByBootstrapToken, hasAdmissionPolicies, parseKubernetesVersion } from './version.ts';

const node = (name: string, labels: Record<string, string> = {}, taintKey?: string): V1Node => ({
  metadata: { name, labels },
  spec: taintKey ? { taints: [{ key: taintKey, effect: 'NoSchedule' }] } : {},
});
const listings = (
  nodes: readonly V1Node[],
  current: Record<string, string>,
  { ordinaryNames = [], reservedNames = [] }: { ordinaryNames?: string[]; reservedNames?: string[] } = {},
) => Object.fromEntries(namesToList(nodes, current, { ordinaryNames, reservedNames }));

test('the Nodes that are there keep their names, and what is listed already is left out', () => {
  expect(listings([node('b'), node('a')], {})).toEqual({ a: 'ordinary', b: 'ordinary' });
  expect(listings([node('b'), node('a')], { a: 'ordinary' })).toEqual({ b: 'ordinary' });
  expect(listings([node('a')], { a: 'expected' })).toEqual({ a: 'ordinary' });
});

test('a name that is opened is expected for as long as its Node is not there, and a reserved one has none', () => {
  expect(listings([node('a')], {}, { ordinaryNames: ['a', 'b'], reservedNames: ['c'] })).toEqual({
    a: 'ordinary',
    b: 'expected',
    c: 'reserved',
  });
  expect(listings([], { a: 'reserved', b: 'expected' }, { ordinaryNames: ['a', 'b'] })).toEqual({
    a: 'expected',
  });
});

test('a reserved name is opened by nothing but its own flag, also when a Node of that name is there', () => {
  expect(listings([node('a')], { a: 'reserved' })).toEqual({});
  expect(listings([node('a')], { a: 'reserved' }, { ordinaryNames: ['a'] })).toEqual({ a: 'ordinary' });
});

test('a staked Node is not listed as an ordinary one: listed it stays as it is, unlisted it is on its way out', () => {
  const staked = [
    node('marked', { 'k3s-daas.node-restriction.kubernetes.io/stake': 'x' }),
    node('tainted', {}, 'k3s-daas.io/staked'),
    node('listed', {}, 'k3s-daas.io/staked'),
  ];
  expect(listings(staked, { listed: 'basic' })).toEqual({});
});

test.each(['ordinaryNames', 'reservedNames'])(
  '%s of a stake are refused, listed or on its way out',
  (key) => {
    const refusal = expect.objectContaining({ code: 'DAAS_NAME_STAKED', exitCode: 78 });
    expect(() => listings([], { w1: 'premium' }, { [key]: ['w1'] })).toThrow(refusal);
    expect(() => listings([node('w1', {}, 'k3s-daas.io/staked')], {}, { [key]: ['w1'] })).toThrow(refusal);
  },
);

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
