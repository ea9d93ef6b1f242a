import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '#base';
import { nameNamespaces, nodePolicies, openKubernetes, setupCluster } from '#cluster';
import { type StandinServer, startStandinServer } from './standin-server.ts';
import { named } from './store.ts';
import { send } from './worker.ts';

let directory: string;
let server: StandinServer;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'standin-'));
  server = await startStandinServer({ dataDir: directory, serverNode: 'server-0' });
});
afterAll(async () => {
  await server.close();
  await rm(directory, { recursive: true });
});

test('setup prepares the stand-in, proves the policy, and finds nothing to do the second time', async () => {
  const kubeconfig = { path: server.adminKubeconfigPath };
  const planned = await setupCluster({ kubeconfig, check: true });
  const first = await setupCluster({ kubeconfig });
  expect(planned.changes).toEqual(first.changes);
  const second = await setupCluster({ kubeconfig });
  expect(second.changes).toEqual([]);
  await using gateway = openKubernetes({ kubeconfig: { text: first.kubeconfig?.reveal() ?? '' } });
  expect(await gateway.policyState()).toEqual({ kind: 'in-place' });
  expect([...(await gateway.admittedNames())]).toEqual([['server-0', 'ordinary']]);
});

test('a gateway with a certificate of its own gets the same rights, and no account', async () => {
  const gateway = { kind: 'user', name: 'k3s-daas-gateway' } as const;
  const planned = await setupCluster({
    kubeconfig: { path: server.adminKubeconfigPath },
    gateway,
    check: true,
  });
  const objects = planned.changes.map(({ action, what }) => `${action} ${what}`);
  // The account's bindings are there from the test before: they, and the policy that names the gateway, change hands.
  expect(objects).toEqual([
    'replace ValidatingAdmissionPolicy k3s-daas-gateway-secrets',
    'replace ClusterRoleBinding k3s-daas-gateway',
    'replace RoleBinding kube-system/k3s-daas-gateway',
    'replace RoleBinding kube-node-lease/k3s-daas-gateway',
    'replace RoleBinding k3s-daas-state/k3s-daas-gateway',
    ...nameNamespaces().map((namespace) => `replace RoleBinding ${namespace}/k3s-daas:gateway`),
  ]);
  const done = await setupCluster({ kubeconfig: { path: server.adminKubeconfigPath }, gateway });
  expect(done.kubeconfig).toBeUndefined();
  await using cluster = openKubernetes({
    kubeconfig: { text: await server.kubeconfigFor('k3s-daas-gateway') },
  });
  await cluster.admitName({ nodeId: 'w1', tier: 'basic' });
  expect((await cluster.admittedNames()).get('w1')).toBe('basic');
});

test('a cluster without policies is refused unless the operator accepts unbound names', async () => {
  const old = await startStandinServer({ dataDir: join(directory, 'old'), gitVersion: 'v1.29.15+k3s1' });
  onTestFinished(() => old.close());
  const kubeconfig = { path: old.adminKubeconfigPath };
  await expect(setupCluster({ kubeconfig })).rejects.toMatchObject({
    code: 'DAAS_KUBERNETES_TOO_OLD',
    exitCode: 78,
    message: expect.stringContaining('v1.29.15+k3s1'),
  });
  const accepted = await setupCluster({ kubeconfig, allowUnboundNames: true });
  expect(accepted.shortcomings).toEqual([expect.stringContaining('names are not bound')]);
  expect(accepted.changes.some(({ what }) => what.startsWith('ValidatingAdmissionPolicy'))).toBe(false);
  await using gateway = openKubernetes({ kubeconfig: { text: accepted.kubeconfig?.reveal() ?? '' } });
  expect((await gateway.policyState()).kind).toBe('not-in-place');
  await gateway.admitName({ nodeId: 'w1', tier: 'basic' });
});

test('setup does not end well while a policy is written that the API server does not carry out', async () => {
  let nowMs = 0;
  const sleep = async (delayMs: number) => {
    nowMs += delayMs;
  };
  const clock = { ...systemClock, monotonicMs: () => nowMs, sleep };
  const judged = nodePolicies()
    .map(({ policy }) => policy.metadata?.name ?? '')
    // This one is about updates alone.
    .filter((name) => name !== 'k3s-daas-node-marks');
  expect(judged).toHaveLength(4);
  for (const policy of judged) {
    const broken = await startStandinServer({ dataDir: join(directory, policy) });
    onTestFinished(() => broken.close());
    // Taken away as soon as it is there, by somebody or something.
    broken.store.subscribe(({ type, resource, object }) => {
      if (type === 'ADDED' && resource === named.binding.plural && object.metadata.name === policy)
        broken.store.remove(named.binding, '', policy);
    });
    await expect(
      setupCluster({ kubeconfig: { path: broken.adminKubeconfigPath }, clock }),
    ).rejects.toMatchObject({
      code: 'DAAS_POLICY_NOT_IN_FORCE',
      message: expect.stringContaining(`the policy ${policy} is written`),
    });
  }
});

test('the stand-in refuses a policy that it could not carry out', async () => {
  const client = await server.clientCa.issue({
    commonName: 'admin',
    organizations: ['system:masters'],
    usage: 'client',
  });
  const answer = await send({
    url: `${server.url}/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies`,
    method: 'POST',
    ca: server.serverCa.certificate,
    client,
    body: JSON.stringify({ metadata: { name: 'another' }, spec: { validations: [{ expression: 'false' }] } }),
  });
  expect(answer).toMatchObject({ status: 403, text: expect.stringContaining('a stand-in without CEL') });
});
