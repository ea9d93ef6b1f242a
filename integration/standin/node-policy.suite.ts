import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Kubernetes, NODE_MARK, namespaceOfName, openKubernetes, setupCluster } from '#cluster';
import { suiteWorld } from '../suite-world.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import {
  type Answer,
  type Caller,
  callerOf,
  eventually,
  merge,
  nodeBody,
  readyStatus,
  strategic,
  uniqueName,
} from './kubernetes-calls.ts';
import { at } from './server/objects.ts';

const recordId = `0x${'5a'.repeat(32)}`;
const tainted = (tier: string, effect = 'NoSchedule') => ({
  spec: { taints: [{ key: 'k3s-daas.io/staked', value: tier, effect }] },
});

/** Which Nodes the policies let through: with the real API server this is the proof of the CEL expressions. */
describe.skipIf(suiteWorld.isMissing)(`the node policies on ${suiteWorld.name}`, () => {
  let world: KubernetesWorld;
  let admin: Caller;
  let cluster: Kubernetes;
  const asNode = async (node: string) =>
    callerOf(world, await world.clientCertificate(`system:node:${node}`, ['system:nodes']));
  const create = (caller: Caller, node: string, more: object = {}) =>
    caller('POST', '/api/v1/nodes', nodeBody(node, more));
  const createAs = async (node: string, more: object = {}) => create(await asNode(node), node, more);
  async function mayMakeNodes(user: string): Promise<void> {
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const rules = [{ apiGroups: [''], resources: ['nodes'], verbs: ['create'] }];
    await admin('POST', `${rbac}/clusterroles`, { metadata: { name: user }, rules });
    await admin('POST', `${rbac}/clusterrolebindings`, {
      metadata: { name: user },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: user },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }],
    });
  }
  /** The API server learns of a changed list by a watch: a moment later. */
  const becomes = (status: number, ask: () => Promise<Answer>) =>
    eventually(`status ${status}`, 10_000, ask, (answer) => answer.status === status);
  const deniedBy = (policy: string, sentence: string) => ({
    status: 403,
    object: {
      reason: 'Forbidden',
      message: expect.stringMatching(new RegExp(`ValidatingAdmissionPolicy '${policy}'.*${sentence}`)),
    },
  });

  beforeAll(async () => {
    world = await suiteWorld.startKubernetes();
    admin = callerOf(world, await world.clientCertificate('tester', ['system:masters']));
    await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
    cluster = openKubernetes({ kubeconfig: { path: world.adminKubeconfigPath } });
    // What k3s lets the identity do that all its agents share; the stand-in has these from the start.
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const shared = { name: 'system:k3s-controller' };
    await admin('POST', `${rbac}/clusterroles`, {
      metadata: shared,
      rules: [
        { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch'] },
        { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
      ],
    });
    await admin('POST', `${rbac}/clusterrolebindings`, {
      metadata: shared,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', ...shared },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', ...shared }],
    });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  test('a kubelet certificate alone makes no Node', async () => {
    const node = uniqueName('stolen');
    const refused = await create(await asNode(node), node, tainted('basic'));
    expect(refused).toMatchObject(deniedBy('k3s-daas-node-names', `the node name ${node} is not admitted`));
    expect((await admin('GET', `/api/v1/nodes/${node}`)).status).toBe(404);
  });

  test('an admitted name makes its Node with the taint of its tier, and with nothing less', async () => {
    const node = uniqueName('staked');
    const kubelet = await asNode(node);
    await cluster.admitName({ nodeId: node, tier: 'premium' });
    const wrong = [
      {},
      { spec: { taints: [] } },
      tainted('basic'),
      tainted('premium', 'NoExecute'),
      { spec: { taints: [{ key: 'k3s-daas.io/staked', effect: 'NoSchedule' }] } },
      { spec: { taints: [{ key: 'example.com/staked', value: 'premium', effect: 'NoSchedule' }] } },
    ];
    const sentence = `the staked node ${node} must register with the taint k3s-daas.io/staked=TIER:NoSchedule`;
    await eventually(
      'the name counts',
      10_000,
      () => create(kubelet, node),
      ({ object }) => object.message?.includes(sentence) ?? false,
    );
    for (const more of wrong)
      expect(await create(kubelet, node, more), JSON.stringify(more)).toMatchObject(
        deniedBy('k3s-daas-node-names', sentence),
      );
    const made = await create(kubelet, node, tainted('premium'));
    expect(made.status).toBe(201);
    expect(at(made.object, 'spec.taints')).toContainEqual({
      key: 'k3s-daas.io/staked',
      value: 'premium',
      effect: 'NoSchedule',
    });
    await cluster.removeName(node);
  });

  test('an ordinary name asks for no taint, and lets nobody in when it is reserved', async () => {
    const node = uniqueName('ordinary');
    await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath }, ordinaryNames: [node] });
    const kubelet = await asNode(node);
    await becomes(201, () => create(kubelet, node));
    expect(await cluster.relistName({ name: node, from: 'expected', to: 'reserved' })).toBe(true);
    expect((await admin('DELETE', `/api/v1/nodes/${node}`)).status).toBe(200);
    await becomes(403, () => create(kubelet, node));
    for (const more of [{}, tainted('basic'), tainted('reserved')])
      expect(await create(kubelet, node, more)).toMatchObject(
        deniedBy('k3s-daas-node-names', `the node name ${node} is reserved by the operator`),
      );
  });

  test('a staked name of a gateway that does not taint asks for no taint, and can be taken back', async () => {
    const node = uniqueName('untainted');
    const kubelet = await asNode(node);
    await cluster.admitName({ nodeId: node, tier: 'untainted' });
    await becomes(201, () => create(kubelet, node));
    await cluster.removeName(node);
    expect((await cluster.admittedNames()).has(node)).toBe(false);
  });

  test('the admitted name of somebody else is refused', async () => {
    const [own, other] = [uniqueName('own'), uniqueName('other')];
    await cluster.admitName({ nodeId: other, tier: 'basic' });
    const thief = await create(await asNode(own), other, tainted('basic'));
    expect(thief).toMatchObject({
      status: 403,
      object: {
        message: expect.stringContaining(`node "${own}" is not allowed to modify node "${other}"`),
      },
    });
    expect((await admin('GET', `/api/v1/nodes/${other}`)).status).toBe(404);
    await cluster.removeName(other);
  });

  test('a join credential makes no Node, admitted or not', async () => {
    const node = uniqueName('joiner');
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    const { credential, id } = await cluster.createJoinCredential({
      nodeId: node,
      recordId,
      expiresAtMs: Date.now() + 60_000,
    });
    const joiner = callerOf(world, undefined, { authorization: `Bearer ${credential.reveal()}` });
    await becomes(403, () => create(joiner, node, tainted('basic')));
    expect((await admin('GET', `/api/v1/nodes/${node}`)).status).toBe(404);
    await cluster.revokeJoinCredential(id);
    await cluster.removeName(node);
  });

  test('another identity with a role that makes Nodes makes none, listed or not', async () => {
    const [user, node] = [uniqueName('virtual'), uniqueName('virtual-node')];
    await mayMakeNodes(user);
    const caller = callerOf(world, await world.clientCertificate(user));
    const isRefused = ({ object }: Answer) => object.message?.includes('k3s-daas-node-names') ?? false;
    await eventually('the role counts', 10_000, () => create(caller, node, tainted('basic')), isRefused);
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    await becomes(201, () => createAs(node, tainted('basic')));
    await cluster.deleteNode({ nodeId: node });
    expect(await create(caller, node, tainted('basic'))).toMatchObject(
      deniedBy('k3s-daas-node-names', 'is not admitted'),
    );
    await cluster.removeName(node);
  });

  test('nobody brings the gateway’s mark along', async () => {
    const node = uniqueName('marked');
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    const kubelet = await asNode(node);
    const marked = { ...tainted('basic'), metadata: { name: node, labels: { [NODE_MARK]: 'x' } } };
    expect((await create(kubelet, node, marked)).status).toBe(403);
    expect((await admin('GET', `/api/v1/nodes/${node}`)).status).toBe(404);
    await cluster.removeName(node);
  });

  test('after a slash the node’s own certificate cannot bring its Node back', async () => {
    const node = uniqueName('slashed');
    const kubelet = await asNode(node);
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    await becomes(201, () => create(kubelet, node, tainted('basic')));
    // The gateway's order of removal: the name first, the Node last.
    await cluster.removeName(node);
    const before = performance.now();
    await eventually(
      'the list is in force',
      10_000,
      () => create(kubelet, node, tainted('basic')),
      ({ object }) => object.message?.includes('is not admitted') ?? false,
    );
    console.log(
      `the removed name was refused ${Math.round(performance.now() - before)} ms after the list was written`,
    );
    await cluster.deleteNode({ nodeId: node });
    for (const more of [tainted('basic'), {}])
      expect(await create(kubelet, node, more)).toMatchObject(
        deniedBy('k3s-daas-node-names', `the node name ${node} is not admitted`),
      );
    expect((await admin('GET', `/api/v1/nodes/${node}`)).status).toBe(404);
  });

  test('no identity that workers hold changes our mark or our taints', async () => {
    const node = uniqueName('kept');
    const kubelet = await asNode(node);
    const shared = callerOf(world, await world.clientCertificate('system:k3s-controller'));
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    await becomes(201, () => create(kubelet, node, tainted('basic')));
    await cluster.markNode({ nodeId: node, recordId, tier: 'basic' });
    const path = `/api/v1/nodes/${node}/status`;
    const label = (value: string | null) => ({ metadata: { labels: { [NODE_MARK]: value } } });
    // Two policies refuse this identity; which of them is named is the API server's choice.
    for (const value of [null, 'another', ''])
      expect(await shared('PATCH', path, label(value), merge), String(value)).toMatchObject(
        deniedBy('k3s-daas-(node-marks|shared-identities)', '(set by the gateway alone|no label of a Node)'),
      );
    expect((await kubelet('PATCH', path, label(null), merge)).status).toBe(403);
    expect((await kubelet('PATCH', path, readyStatus('True'), strategic)).status).toBe(200);
    expect((await kubelet('PATCH', `/api/v1/nodes/${node}`, { spec: { taints: [] } }, merge)).status).toBe(
      403,
    );
    expect(await cluster.node(node)).toMatchObject({ stakeRecordId: recordId, isReady: true });
    await cluster.removeName(node);
    await cluster.deleteNode({ nodeId: node });
  });

  test('without its namespace a name makes no Node, and the others go on', async () => {
    const node = uniqueName('listless');
    const kubelet = await asNode(node);
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    await becomes(201, () => create(kubelet, node, tainted('basic')));
    await cluster.deleteNode({ nodeId: node });
    await admin('DELETE', `/api/v1/namespaces/${namespaceOfName(node)}`);
    await eventually(
      'the list is gone',
      60_000,
      async () => {
        const answer = await create(kubelet, node, tainted('basic'));
        if (answer.status === 201) await cluster.deleteNode({ nodeId: node });
        return answer;
      },
      ({ object }) => object.message?.includes('is not admitted') ?? false,
    );
    expect((await create(admin, uniqueName('by-admin'))).status).toBe(201);
    await eventually(
      'the namespace can be made again',
      60_000,
      () => setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } }).catch(() => undefined),
      (result) => result !== undefined,
    );
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    await becomes(201, () => create(kubelet, node, tainted('basic')));
    await cluster.removeName(node);
    await cluster.deleteNode({ nodeId: node });
  });

  test('a random kubelet that shares a prefix with an admitted name gets nothing', async () => {
    const node = uniqueName('prefix');
    await cluster.admitName({ nodeId: node, tier: 'basic' });
    for (const other of [
      `${node}-2`,
      node.slice(0, -1),
      `${node}.x`,
      `x.${node}`,
      randomBytes(4).toString('hex'),
    ])
      expect((await create(await asNode(other), other, tainted('basic'))).status, other).toBe(403);
    await cluster.removeName(node);
  });
});
