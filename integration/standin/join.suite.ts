import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Kubernetes, openKubernetes, setupCluster } from '#cluster';
import { suiteWorld } from '../suite-world.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import {
  type Answer,
  type Caller,
  callerOf,
  eventually,
  nodeBody,
  readyStatus,
  strategic,
  uniqueName,
} from './kubernetes-calls.ts';
import { caHash, type KeyPair } from './server/authority.ts';
import { hashNodePassword } from './server/node-password.ts';
import { requestCertificate, send, supervisorGet } from './server/worker.ts';

const recordId = `0x${'a1'.repeat(32)}`;
const otherRecordId = `0x${'b2'.repeat(32)}`;
const taint = { spec: { taints: [{ key: 'k3s-daas.io/staked', value: 'basic', effect: 'NoSchedule' }] } };

/**
 * A join end to end: k3s' supervisor protocol, then the Node. On the real control plane the supervisor is the stand-in's
 * and what decides on the Node is real.
 */
describe.skipIf(suiteWorld.isMissing)(`joining ${suiteWorld.name}`, () => {
  let world: KubernetesWorld;
  let admin: Caller;
  let cluster: Kubernetes;
  beforeAll(async () => {
    world = await suiteWorld.startKubernetes();
    admin = callerOf(world, await world.clientCertificate('tester', ['system:masters']));
    await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
    cluster = openKubernetes({ kubeconfig: { path: world.adminKubeconfigPath } });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  const issue = async (nodeId: string, record = recordId) => {
    const { credential, id } = await cluster.createJoinCredential({
      nodeId,
      recordId: record,
      expiresAtMs: Date.now() + 120_000,
    });
    return { id, credentials: { url: world.supervisorUrl, ca: world.ca, bearer: credential.reveal() } };
  };
  const certificate = (
    credentials: Parameters<typeof requestCertificate>[0],
    node: string,
    password: string,
  ) => requestCertificate(credentials, '/v1-k3s/client-kubelet.crt', { name: node, password });
  /** As the agent talks to the API: through the supervisor's address. */
  const kubelet = (pair: KeyPair): Caller => callerOf({ ...world, url: world.supervisorUrl }, pair);
  const create = (pair: KeyPair, node: string) =>
    kubelet(pair)('POST', '/api/v1/nodes', nodeBody(node, taint));
  const becomes = (status: number, ask: () => Promise<Answer>) =>
    eventually(`status ${status}`, 10_000, ask, (answer) => answer.status === status);
  const taken = ({ pair }: { pair: KeyPair | undefined }): KeyPair => {
    if (!pair) throw new Error('no certificate was given out');
    return pair;
  };

  test('an admitted worker joins: CA, configuration, certificates, its Node, ready', async () => {
    const node = uniqueName('joined');
    await cluster.reserveNodePassword({ nodeId: node, recordId, hash: await hashNodePassword('mine') });
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    const { id, credentials } = await issue(node);
    const bundle = await send({ url: `${world.supervisorUrl}/cacerts` });
    expect(caHash(bundle.text)).toBe(caHash(world.ca));
    expect((await supervisorGet(credentials, '/v1-k3s/config')).status).toBe(200);
    expect((await supervisorGet(credentials, '/v1-k3s/client-ca.crt')).text).toContain('BEGIN CERTIFICATE');
    const serving = await requestCertificate(credentials, '/v1-k3s/serving-kubelet.crt', {
      name: node,
      password: 'mine',
    });
    expect(serving.status).toBe(200);
    const pair = taken(await certificate(credentials, node, 'mine'));
    await becomes(201, () => create(pair, node));
    await kubelet(pair)('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
    expect(await cluster.node(node)).toMatchObject({ isReady: true });

    // Its certificates are good for a restart after the credential is gone.
    await cluster.revokeJoinCredential(id);
    const restart = { url: world.supervisorUrl, ca: world.ca, client: pair };
    expect((await certificate(restart, node, 'mine')).status).toBe(200);
    expect((await certificate(restart, uniqueName('another'), 'mine')).status).toBe(400);
    await eventually(
      'the Node owns the password',
      10_000,
      () => admin('GET', `/api/v1/namespaces/kube-system/secrets/${node}.node-password.k3s`),
      ({ object }) => object.metadata.ownerReferences !== undefined,
    );
    // With its Node they lose their worth, and the password goes with the Node.
    await cluster.removeName(node);
    await cluster.deleteNode({ nodeId: node });
    expect((await certificate(restart, node, 'mine')).status).toBe(401);
    await eventually(
      'the password goes',
      20_000,
      () => cluster.nodePassword(node),
      (secret) => secret === undefined,
    );
    expect(await create(pair, node)).toMatchObject({
      status: 403,
      object: { message: expect.stringContaining('is not admitted') },
    });
  });

  test('a credential used for a name that is not admitted yields a certificate, as k3s gives it, and no Node', async () => {
    const [own, stranger] = [uniqueName('own'), uniqueName('stranger')];
    const { credentials } = await issue(own);
    const answer = await certificate(credentials, stranger, 'anything');
    expect(answer.status).toBe(200);
    expect(await create(taken(answer), stranger)).toMatchObject({
      status: 403,
      object: { message: expect.stringContaining(`the node name ${stranger} is not admitted`) },
    });
    expect((await admin('GET', `/api/v1/nodes/${stranger}`)).status).toBe(404);
  });

  test('a credential used for somebody else’s name is refused, or yields no Node, between any two steps of an admission', async () => {
    const [victim, thief] = [uniqueName('victim'), uniqueName('thief')];
    const { credentials } = await issue(thief, otherRecordId);
    const hash = await hashNodePassword('victims own');
    const attempt = () => certificate(credentials, victim, 'thiefs own');
    const yieldsNothing = async (pair: KeyPair) => {
      expect((await create(pair, victim)).status).toBe(403);
      expect((await admin('GET', `/api/v1/nodes/${victim}`)).status).toBe(404);
    };

    // Before the admission: k3s gives the name away, the policy does not.
    await yieldsNothing(taken(await attempt()));
    // Step 1, killed half-way: the old password is deleted, the new one is not written; the name is not admitted.
    await cluster.reserveNodePassword({ nodeId: victim, recordId, hash });
    await admin('DELETE', `/api/v1/namespaces/kube-system/secrets/${victim}.node-password.k3s`);
    await yieldsNothing(taken(await attempt()));
    // Step 1 done: the thief's own password Secret was replaced.
    await cluster.reserveNodePassword({ nodeId: victim, recordId, hash });
    expect((await attempt()).status).toBe(403);
    // Step 2 done.
    await cluster.admitName({ nodeId: victim, tier: 'basic' });
    expect((await attempt()).status).toBe(403);
    // Step 3 done: the victim's credential is there; it opens nothing for the thief.
    const { credentials: own } = await issue(victim);
    expect((await attempt()).status).toBe(403);
    // The victim joins; then its Node is there.
    const pair = taken(await certificate(own, victim, 'victims own'));
    await becomes(201, () => create(pair, victim));
    expect((await attempt()).status).toBe(403);

    // A second admission, killed at each step: the name comes off the list before the password is touched.
    await cluster.deleteNode({ nodeId: victim });
    await cluster.reserveNodePassword({ nodeId: victim, recordId, hash });
    expect((await cluster.admittedNames()).has(victim)).toBe(false);
    expect((await attempt()).status).toBe(403);
    await admin('DELETE', `/api/v1/namespaces/kube-system/secrets/${victim}.node-password.k3s`);
    const late = taken(await attempt());
    await eventually(
      'the list is in force',
      10_000,
      () => create(late, victim),
      ({ status }) => status === 403,
    );
    // Removal, in its own order: name, password, credential.
    await cluster.removeName(victim);
    await cluster.releaseNodePassword(victim);
  });

  test('old certificates beside a fresh credential are refused once the Node is gone', async () => {
    const node = uniqueName('rejoin');
    await cluster.reserveNodePassword({ nodeId: node, recordId, hash: await hashNodePassword('mine') });
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    const { credentials } = await issue(node);
    const old = taken(await certificate(credentials, node, 'mine'));
    const both = await certificate({ ...credentials, client: old }, node, 'mine');
    expect(both.status).toBe(401);
    expect(both.text).toContain(`unable to verify node identity: nodes \\"${node}\\" not found`);
    expect((await certificate(credentials, node, 'mine')).status).toBe(200);
    await cluster.removeName(node);
  });

  test('the identities that agents share are given to whoever may join, and make no Node', async () => {
    const { credentials } = await issue(uniqueName('sharing'));
    for (const path of ['/v1-k3s/client-kube-proxy.crt', '/v1-k3s/client-k3s-controller.crt']) {
      const pair = taken(await requestCertificate(credentials, path));
      expect((await create(pair, uniqueName('by-shared'))).status, path).toBe(403);
    }
  });

  test('the supervisor’s refusals have k3s’ codes and words', async () => {
    const stranger = { url: world.supervisorUrl, ca: world.ca, bearer: 'abcdef.0123456789abcdef' };
    expect(await supervisorGet(stranger, '/v1-k3s/config')).toMatchObject({
      status: 401,
      text: expect.stringContaining('not authorized'),
    });
    const outsider = {
      url: world.supervisorUrl,
      ca: world.ca,
      client: await world.clientCertificate('outsider'),
    };
    expect((await supervisorGet(outsider, '/v1-k3s/config')).status).toBe(403);
    const { credentials } = await issue(uniqueName('refused'));
    expect((await requestCertificate(credentials, '/v1-k3s/client-kubelet.crt')).status).toBe(400);
  });

  test('whoever sends no certificate request is given a key with the certificate, as agents of old were', async () => {
    const { credentials } = await issue(uniqueName('old'));
    const url = `${world.supervisorUrl}/v1-k3s/client-kube-proxy.crt`;
    const headers = { authorization: `Bearer ${credentials.bearer}` };
    for (const asked of [{ method: 'POST', body: 'no request' }, { method: 'GET' }]) {
      const { status, text } = await send({ url, ca: world.ca, headers, ...asked });
      expect(status).toBe(200);
      expect(text).toMatch(/BEGIN CERTIFICATE[\s\S]*BEGIN EC PRIVATE KEY/);
    }
  });
});
