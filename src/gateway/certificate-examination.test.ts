import { expect, test } from 'vitest';
import { examineCertificate } from './certificate-examination.ts';
import { fingerprintOf, newClientCa } from './client-ca.fixture.ts';

const ca = await newClientCa();
const stranger = await newClientCa();
const nodeId = 'worker-1';
const look = (pem: string, authorities = ca.certificate) =>
  examineCertificate(pem, { nodeId, authorities, nowMs: Date.now() });
const why = (text: string) => ({ kind: 'refused', why: expect.stringContaining(text) });

test('the three identities that k3s gives a node are told apart, each with its fingerprint and its end', async () => {
  const pems = await ca.agent(nodeId);
  for (const [index, identity] of ['kubelet', 'kube-proxy', 'k3s-controller'].entries()) {
    const pem = pems[index] ?? '';
    expect(look(pem)).toEqual({
      kind: 'good',
      certificate: { identity, fingerprint: fingerprintOf(pem), notAfterMs: expect.any(Number) },
    });
    // k3s writes the authority below it into the same file.
    expect(look(pem + ca.certificate)).toMatchObject({ kind: 'good' });
  }
});

test.each<[string, string, readonly string[]]>([
  ['of another node', 'system:node:worker-2', ['system:nodes']],
  ['of a name that begins alike', 'system:node:worker-1.example', ['system:nodes']],
  ['without the group', 'system:node:worker-1', []],
  ['with a group more', 'system:node:worker-1', ['system:nodes', 'system:masters']],
  ['of a shared identity with a group', 'system:kube-proxy', ['system:masters']],
  ['of an administrator', 'system:admin', ['system:masters']],
  ['with two subjects in one', 'system:k3s-controller,O=system:masters', []],
])('a certificate %s is refused', async (_what, commonName, organizations) => {
  expect(look(await ca.issue(commonName, { organizations }))).toMatchObject(why('subject is none of node'));
});

test('one of another authority is refused, also if that authority has the same name', async () => {
  const [pem] = await stranger.agent(nodeId);
  expect(look(pem)).toMatchObject(why('no client authority of this cluster'));
  expect(look(pem + stranger.certificate)).toMatchObject(why('no client authority of this cluster'));
  expect(look(pem, '')).toMatchObject(why('no client authority of this cluster'));
  // During a rotation of the authority both count.
  expect(look(pem, ca.certificate + stranger.certificate)).toMatchObject({ kind: 'good' });
});

test('an authority below the cluster’s counts if it is shown beside, a leaf in its place does not', async () => {
  const below = await ca.below('intermediate');
  const [pem] = await below.agent(nodeId);
  expect(look(pem)).toMatchObject(why('no client authority'));
  expect(look(pem + below.certificate)).toMatchObject({ kind: 'good' });
  expect(look(pem, below.certificate)).toMatchObject({ kind: 'good' });
});

test('one that has ended, is a server’s, or is none at all is refused', async () => {
  const organizations = ['system:nodes'];
  const commonName = `system:node:${nodeId}`;
  expect(look(await ca.issue(commonName, { organizations, endsInMs: -1_000 }))).toMatchObject(
    why('it ended'),
  );
  expect(look(await ca.issue(commonName, { organizations, usage: 'server' }))).toMatchObject(why('client'));
  for (const pem of ['', 'no certificate', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'])
    expect(look(pem).kind).toBe('refused');
});
