import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Kubernetes, openKubernetes, removeSetup, setupCluster } from '#cluster';
import type { Vouch } from '#domain';
import { suiteWorld } from '../suite-world.ts';
import { fingerprintOf } from '../world/fingerprint.ts';
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

/** One holder of a name: a certificate of it, and what was shown of that. */
interface Holder {
  readonly call: Caller;
  readonly vouch: Vouch;
}

const rbac = '/apis/rbac.authorization.k8s.io/v1';
const configMaps = '/api/v1/namespaces/kube-system/configmaps';

/** A certificate counts only while a live stake vouches for it: in the policies, so that it holds while the gateway is away. */
describe.skipIf(suiteWorld.isMissing)(`vouched certificates on ${suiteWorld.name}`, () => {
  let world: KubernetesWorld;
  let admin: Caller;
  let cluster: Kubernetes;

  beforeAll(async () => {
    world = await suiteWorld.startKubernetes();
    admin = callerOf(world, await world.clientCertificate('tester', ['system:masters']));
    const { kubeconfig } = await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
    // With the gateway's own rights: what passes here passes with them.
    cluster = openKubernetes({ kubeconfig: { text: kubeconfig?.reveal() ?? '' } });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  async function holderOf(node: string): Promise<Holder> {
    const pair = await world.clientCertificate(`system:node:${node}`, ['system:nodes']);
    const fingerprint = fingerprintOf(pair.certificate);
    return {
      call: callerOf(world, pair),
      vouch: { nodeId: node, identity: 'kubelet', fingerprint, notAfterMs: Date.now() + 86_400_000 },
    };
  }
  const create = ({ call }: Holder, node: string) => call('POST', '/api/v1/nodes', nodeBody(node));
  const tend = ({ call }: Holder, node: string) =>
    call('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
  const list = (node: string, vouches: readonly Vouch[], isContested = false) =>
    cluster.admitName({ nodeId: node, tier: 'untainted', vouches, isContested });
  const becomes = (status: number, ask: () => Promise<Answer>) =>
    eventually(`status ${status}`, 10_000, ask, (answer) => answer.status === status);
  const notVouched = {
    status: 403,
    object: { reason: 'Forbidden', message: expect.stringContaining('k3s-daas/not-vouched') },
  };
  const refused = (ask: () => Promise<Answer>) =>
    eventually(
      'it is refused for want of a vouch',
      10_000,
      ask,
      ({ status, object }) => status === 403 && (object.message?.includes('k3s-daas/not-vouched') ?? false),
    );

  test('a Node is made with the certificate that its worker has shown, and with no other of that name', async () => {
    const node = uniqueName('shown');
    const [worker, other] = [await holderOf(node), await holderOf(node)];
    await list(node, []);
    await refused(() => create(worker, node));
    await list(node, [worker.vouch]);
    await becomes(201, () => create(worker, node));
    await cluster.deleteNode({ nodeId: node });
    expect(await create(other, node)).toMatchObject(notVouched);
    expect((await admin('GET', `/api/v1/nodes/${node}`)).status).toBe(404);
    await cluster.removeName(node);
  });

  test('a worker that starts anew while the gateway is away keeps its Node: certificate new, name not contested', async () => {
    const node = uniqueName('reboot');
    const [before, after] = [await holderOf(node), await holderOf(node)];
    await list(node, [before.vouch]);
    await becomes(201, () => create(before, node));
    // k3s makes new certificates at every start. The kubelet tries to make its Node, then finds that it is there.
    expect(await create(after, node)).toMatchObject(notVouched);
    expect((await after.call('GET', `/api/v1/nodes/${node}`)).status).toBe(200);
    expect((await tend(after, node)).status).toBe(200);
    const lease = { metadata: { name: node }, spec: { holderIdentity: node, leaseDurationSeconds: 40 } };
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    expect((await after.call('POST', leases, lease)).status).toBe(201);
    await cluster.removeName(node);
    await cluster.deleteNode({ nodeId: node });
  });

  test('on a contested name every write waits until the gateway has been shown the new certificate', async () => {
    const node = uniqueName('contested');
    const [before, after] = [await holderOf(node), await holderOf(node)];
    await list(node, [before.vouch], true);
    await becomes(201, () => create(before, node));
    expect((await tend(before, node)).status).toBe(200);
    await refused(() => tend(after, node));
    // The gateway is back, and is shown it.
    await list(node, [before.vouch, after.vouch], true);
    await becomes(200, () => tend(after, node));
    await list(node, [after.vouch], true);
    await refused(() => tend(before, node));
    await cluster.removeName(node);
    await cluster.deleteNode({ nodeId: node });
  });

  test('the certificate of an earlier holder takes the name over at no moment', async () => {
    const node = uniqueName('taken');
    const [earlier, next] = [await holderOf(node), await holderOf(node)];
    await list(node, [earlier.vouch]);
    await becomes(201, () => create(earlier, node));
    // It leaves, and keeps its certificate.
    await cluster.removeName(node);
    await refused(() => tend(earlier, node));
    await cluster.deleteNode({ nodeId: node });
    const makesNone = async (moment: string) => {
      const answer = await create(earlier, node);
      expect(answer.status, moment).toBe(403);
      expect((await admin('GET', `/api/v1/nodes/${node}`)).status, moment).toBe(404);
    };
    await makesNone('the name is free');
    // Nobody is asked from here on: whether the gateway runs makes no difference.
    await list(node, [], true);
    await refused(() => create(earlier, node));
    await makesNone('the next holder is admitted and has no certificate yet');
    await list(node, [next.vouch], true);
    await makesNone('the next holder has shown its certificate and no Node is there');
    await becomes(201, () => create(next, node));
    expect(await tend(earlier, node)).toMatchObject(notVouched);
    expect((await tend(next, node)).status).toBe(200);
    await cluster.deleteNode({ nodeId: node });
    await makesNone('the Node of the next holder is gone for a moment');
    await becomes(201, () => create(next, node));
    await cluster.removeName(node);
    await cluster.deleteNode({ nodeId: node });
  });

  test('a name that is not listed writes nothing, whatever certificate it has', async () => {
    const node = uniqueName('unlisted');
    await admin('POST', '/api/v1/nodes', nodeBody(node));
    const holder = await holderOf(node);
    expect(await tend(holder, node)).toMatchObject(notVouched);
    const event = {
      metadata: { name: node },
      involvedObject: { kind: 'Node', name: node },
      reason: 'Rebooted',
    };
    expect(await holder.call('POST', '/api/v1/namespaces/default/events', event)).toMatchObject(notVouched);
    await cluster.deleteNode({ nodeId: node });
  });

  test('whoever acts as a kubelet without its certificate writes nothing under a staked name', async () => {
    const node = uniqueName('acted');
    const worker = await holderOf(node);
    await list(node, [worker.vouch]);
    await becomes(201, () => create(worker, node));
    const client = await world.clientCertificate('tester', ['system:masters']);
    const headers = { 'impersonate-user': `system:node:${node}`, 'impersonate-group': 'system:nodes' };
    await refused(() => tend({ ...worker, call: callerOf(world, client, headers) }, node));
    await cluster.removeName(node);
    await cluster.deleteNode({ nodeId: node });
  });

  test('setup carries the names of the first version over, and removes its ConfigMap', async () => {
    const [staked, ordinary, reserved, kept] = ['staked', 'plain', 'closed', 'kept'].map(uniqueName) as [
      string,
      string,
      string,
      string,
    ];
    const worker = await holderOf(kept);
    await list(kept, [worker.vouch], true);
    await admin('POST', '/api/v1/nodes', nodeBody(staked));
    const data = { [staked]: 'basic', [ordinary]: 'expected', [reserved]: 'reserved', [kept]: 'basic' };
    await admin('POST', configMaps, { metadata: { name: 'k3s-daas-admitted' }, data });
    const kubeconfig = { path: world.adminKubeconfigPath };
    const planned = await setupCluster({ kubeconfig, check: true });
    expect((await cluster.admittedNames()).has(staked)).toBe(false);
    const { changes } = await setupCluster({ kubeconfig });
    expect(changes).toEqual(planned.changes);
    expect(changes).toContainEqual({
      action: 'list',
      what: `${staked} as basic`,
      why: 'carried over from the ConfigMap k3s-daas-admitted',
    });
    const names = await cluster.admittedNames();
    expect([staked, ordinary, reserved, kept].map((name) => names.get(name))).toEqual([
      'basic',
      'expected',
      'reserved',
      // Listed by this version already: what it says counts.
      'untainted',
    ]);
    expect((await admin('GET', `${configMaps}/k3s-daas-admitted`)).status).toBe(404);
    // Its Node goes on; another one is made only with a certificate that was shown.
    const holder = await holderOf(staked);
    await becomes(200, () => tend(holder, staked));
    await cluster.deleteNode({ nodeId: staked });
    expect((await create(holder, staked)).status).toBe(403);
    expect((await setupCluster({ kubeconfig })).changes).toEqual([]);
    for (const name of [ordinary, reserved])
      for (const { metadata } of (await admin('GET', `${rbac}/roles`)).object.items as Array<{
        metadata: { name: string; namespace: string };
      }>)
        if (metadata.name === name)
          await admin('DELETE', `${rbac}/namespaces/${metadata.namespace}/roles/${name}`);
  });

  test('setup leaves no name of its own behind when it has tried the policies out', async () => {
    await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath }, check: true });
    const names = await cluster.admittedNames();
    expect([...names.keys()].filter((name) => name.includes('canary'))).toEqual([]);
  });

  test('what setup has written is removed by name, and set up again nothing of the old list is in force', async () => {
    const kubeconfig = { path: world.adminKubeconfigPath };
    const node = uniqueName('removed');
    const worker = await holderOf(node);
    await list(node, [worker.vouch]);
    await becomes(201, () => create(worker, node));
    await cluster.deleteNode({ nodeId: node });
    const planned = await removeSetup({ kubeconfig, check: true });
    expect(planned.length).toBeGreaterThan(30);
    expect(await removeSetup({ kubeconfig })).toEqual(planned);
    expect(await removeSetup({ kubeconfig })).toEqual([]);
    const anybody = uniqueName('anybody');
    await becomes(201, async () => create(await holderOf(anybody), anybody));
    await admin('DELETE', `/api/v1/nodes/${anybody}`);
    await setupCluster({ kubeconfig });
    await eventually(
      'the name is not admitted',
      10_000,
      () => create(worker, node),
      ({ status, object }) => status === 403 && (object.message?.includes('is not admitted') ?? false),
    );
  });
});
