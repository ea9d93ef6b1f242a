import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openKubernetes, setupCluster } from '#cluster';
import { caHash } from './authority.ts';
import { hashNodePassword } from './node-password.ts';
import { type StandinServer, startStandinServer } from './standin-server.ts';
import { requestCertificate, send, supervisorGet, workerKubeconfig } from './worker.ts';

const record = `0x${'1234'.repeat(16)}`;
let directory: string;
let server: StandinServer;
let ca: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'standin-'));
  server = await startStandinServer({ dataDir: directory });
  ca = await readFile(server.serverCaPath, 'utf8');
});
afterAll(async () => {
  await server.close();
  await rm(directory, { recursive: true });
});

const openAdmin = () => openKubernetes({ kubeconfig: { path: server.adminKubeconfigPath } });

test('the CA bundle is the file that the hash of a join credential is made of', async () => {
  const bundle = await send({ url: `${server.url}/cacerts` });
  expect(bundle).toEqual({ status: 200, text: ca });
  expect(caHash(bundle.text)).toBe(server.caHash);
  expect(await send({ url: `${server.url}/ping`, ca })).toEqual({ status: 200, text: 'pong' });
});

test('a worker joins with a bootstrap Secret: configuration, CAs, certificates, its Node', async () => {
  await using cluster = openAdmin();
  const issued = await cluster.createJoinCredential({
    nodeId: 'w1',
    recordId: record,
    expiresAtMs: Date.now() + 60_000,
  });
  const credentials = { url: server.url, ca, bearer: issued.credential.reveal() };
  expect(JSON.parse((await supervisorGet(credentials, '/v1-k3s/config')).text)).toMatchObject({
    ClusterDomain: 'cluster.local',
  });
  expect((await supervisorGet(credentials, '/v1-k3s/server-ca.crt')).text).toBe(ca);
  expect((await supervisorGet(credentials, '/v1-k3s/readyz')).text).toBe('ok');
  expect(JSON.parse((await supervisorGet(credentials, '/v1-k3s/apiservers')).text)).toEqual([
    new URL(server.url).host,
  ]);

  const node = { name: 'w1', password: 'first' };
  const serving = await requestCertificate(credentials, '/v1-k3s/serving-kubelet.crt', node);
  const kubelet = await requestCertificate(credentials, '/v1-k3s/client-kubelet.crt', node);
  const proxy = await requestCertificate(credentials, '/v1-k3s/client-kube-proxy.crt');
  expect([serving.status, kubelet.status, proxy.status]).toEqual([200, 200, 200]);
  if (!kubelet.pair) throw new Error('no certificate');

  const created = await send({
    url: `${server.url}/api/v1/nodes`,
    method: 'POST',
    ca,
    client: kubelet.pair,
    body: JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'w1' } }),
  });
  expect(created.status).toBe(201);
  await using asWorker = openKubernetes({
    kubeconfig: { text: workerKubeconfig(server.url, ca, kubelet.pair) },
  });
  expect(await asWorker.node('w1')).toMatchObject({ name: 'w1', isReady: false });

  const stranger = await requestCertificate(credentials, '/v1-k3s/client-kubelet.crt', {
    name: 'w1',
    password: 'second',
  });
  expect(stranger.status).toBe(403);
  expect(stranger.text).toContain('unable to verify password for node w1: hash does not match');

  // Deleted Node: its certificate, presented beside a good credential, is refused before the credential is looked at.
  await cluster.deleteNode({ nodeId: 'w1' });
  const again = await requestCertificate(
    { ...credentials, client: kubelet.pair },
    '/v1-k3s/client-kubelet.crt',
    node,
  );
  expect(again.status).toBe(401);
  expect(again.text).toContain('unable to verify node identity: nodes \\"w1\\" not found');
  const fresh = await requestCertificate(credentials, '/v1-k3s/client-kubelet.crt', node);
  expect(fresh.status).toBe(200);

  await cluster.revokeJoinCredential(issued.id);
  const revoked = await supervisorGet(credentials, '/v1-k3s/config');
  expect(revoked.status).toBe(401);
  expect(revoked.text).toContain('not authorized');
});

test('a name that the gateway reserved admits the holder of its password alone', async () => {
  await setupCluster({ kubeconfig: { path: server.adminKubeconfigPath } });
  await using cluster = openAdmin();
  const { credential } = await cluster.createJoinCredential({
    nodeId: 'w2',
    recordId: record,
    expiresAtMs: Date.now() + 60_000,
  });
  await cluster.reserveNodePassword({ nodeId: 'w2', recordId: record, hash: await hashNodePassword('mine') });
  const credentials = { url: server.url, ca, bearer: credential.reveal() };
  const ask = (password: string) =>
    requestCertificate(credentials, '/v1-k3s/client-kubelet.crt', { name: 'w2', password });
  expect((await ask('theirs')).status).toBe(403);
  expect((await ask('mine')).status).toBe(200);
});

test('nobody without a credential gets past the open paths', async () => {
  for (const path of ['/v1-k3s/config', '/v1-k3s/client-ca.crt', '/api/v1/nodes', '/readyz'])
    expect((await send({ url: server.url + path, ca })).status, path).toBe(401);
  const bearer = 'abcdef.0123456789abcdef';
  expect((await supervisorGet({ url: server.url, ca, bearer }, '/v1-k3s/config')).status).toBe(401);
});

test('the operator’s static token admits as a Basic password of user node', async () => {
  const password = server.staticToken.split(':').at(-1);
  const authorization = `Basic ${Buffer.from(`node:${password}`).toString('base64')}`;
  const answer = await send({ url: `${server.url}/v1-k3s/config`, ca, headers: { authorization } });
  expect(answer.status).toBe(200);
});
