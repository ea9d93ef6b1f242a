import { expect, test } from 'vitest';
import { base58OfId } from './base58.ts';
import { joinCredentialOf } from './join-credentials.ts';
import { nodePasswordOf } from './node-passwords.ts';
import { kubernetesNodeOf } from './node-reading.ts';

const recordId = `0x${'c3'.repeat(32)}`;
const base64 = (text: string) => Buffer.from(text).toString('base64');
const labels = {
  'app.kubernetes.io/managed-by': 'k3s-daas',
  'k3s-daas.io/node': 'w1',
  'k3s-daas.io/stake': base58OfId(recordId),
};

test('a Node of a watch event carries times as text, one of a list as dates: both are read', () => {
  const text = '2026-11-20T10:00:00Z';
  const as = (time: Date | string) =>
    kubernetesNodeOf({
      metadata: { name: 'w1', uid: 'u', creationTimestamp: time as Date },
      status: { conditions: [{ type: 'Ready', status: 'Unknown', lastTransitionTime: time as Date }] },
    });
  expect(as(text)).toEqual(as(new Date(text)));
  expect(as(text)).toMatchObject({
    isReady: false,
    isKubeletSilent: true,
    createdAtMs: Date.parse(text),
    readyChangedAtMs: Date.parse(text),
  });
});

test('a mark that is no record id is no mark', () => {
  const mark = (value: string) =>
    kubernetesNodeOf({ metadata: { labels: { 'k3s-daas.node-restriction.kubernetes.io/stake': value } } })
      .stakeRecordId;
  expect(mark(base58OfId(recordId))).toBe(recordId);
  for (const value of ['', 'forged', '0x12']) expect(mark(value)).toBeUndefined();
});

test('a Secret is ours only with the whole mark', () => {
  const withLabels = (own: Record<string, string>) =>
    nodePasswordOf({ metadata: { name: 'w1.node-password.k3s', labels: own }, data: { hash: base64('h') } });
  expect(withLabels(labels)).toEqual({ nodeId: 'w1', recordId, hash: 'h' });
  for (const missing of Object.keys(labels))
    expect(
      withLabels(Object.fromEntries(Object.entries(labels).filter(([key]) => key !== missing)))?.recordId,
    ).toBeUndefined();
  expect(withLabels({ ...labels, 'k3s-daas.io/node': 'w2' })?.recordId).toBeUndefined();
  expect(nodePasswordOf({ metadata: { name: 'something-else' } })).toBeUndefined();
});

test('an expiration that cannot be read has passed, as it has for Kubernetes', () => {
  const credential = (expiration?: string) =>
    joinCredentialOf({
      metadata: { labels },
      data: { 'token-id': base64('abcdef'), ...(expiration ? { expiration: base64(expiration) } : {}) },
    });
  expect(credential('2026-11-20T10:00:00Z')).toEqual({
    id: 'abcdef',
    nodeId: 'w1',
    recordId,
    expiresAtMs: Date.parse('2026-11-20T10:00:00Z'),
  });
  expect(credential('soon')?.expiresAtMs).toBe(0);
  expect(joinCredentialOf({ metadata: {}, data: { 'token-id': base64('abcdef') } })).toBeUndefined();
});
