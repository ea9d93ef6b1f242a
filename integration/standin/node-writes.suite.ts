import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { drawCanary, type Kubernetes, openKubernetes, policyProbes, setupCluster } from '#cluster';
import { suiteWorld } from '../suite-world.ts';
import { fingerprintOf } from '../world/fingerprint.ts';
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
import { at, type KubeObject } from './server/objects.ts';
import { addresses, attacks, flannel, joined, legitimate, steps } from './shared-identity-writes.ts';

const sharedPolicy = 'k3s-daas-shared-identities';
const workerPolicy = 'k3s-daas-worker-nodes';
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const apply = 'application/apply-patch+yaml';

/** What workers may write to Nodes: with the real API server this is the proof of the CEL expressions. */
describe.skipIf(suiteWorld.isMissing)(`the policies on writes to Nodes on ${suiteWorld.name}`, () => {
  let world: KubernetesWorld;
  let admin: Caller;
  let controller: Caller;
  let proxy: Caller;
  let cluster: Kubernetes;
  const made: string[] = [];
  const asNode = async (node: string) =>
    callerOf(world, await world.clientCertificate(`system:node:${node}`, ['system:nodes']));
  const read = async (node: string) => (await admin('GET', `/api/v1/nodes/${node}`)).object;
  const deniedBy = (policy: string) => ({
    status: 403,
    object: {
      reason: 'Forbidden',
      message: expect.stringContaining(`ValidatingAdmissionPolicy '${policy}'`),
    },
  });
  /** A Node as its kubelet and k3s make it, before flannel has written anything. */
  async function fresh(prefix: string): Promise<{ node: string; path: string; kubelet: Caller }> {
    const node = uniqueName(prefix);
    made.push(node);
    const kubelet = await asNode(node);
    expect((await admin('POST', '/api/v1/nodes', nodeBody(node, joined.body(node)))).status).toBe(201);
    await cluster.admitName({ nodeId: node, tier: 'untainted' });
    const path = `/api/v1/nodes/${node}/status`;
    await eventually(
      'the name counts',
      10_000,
      () => kubelet('PATCH', path, joined.status, strategic),
      ({ status }) => status === 200,
    );
    return { node, path, kubelet };
  }
  /** The parts of a Node that no controller touches meanwhile. */
  const kept = (object: KubeObject) => ({
    labels: object.metadata.labels,
    annotations: object.metadata.annotations,
    finalizers: (object.metadata.finalizers ?? []).filter((one) => !one.startsWith('wrangler.')),
    owners: object.metadata.ownerReferences,
    unschedulable: at(object, 'spec.unschedulable'),
    addresses: at(object, 'status.addresses'),
    nodeInfo: at(object, 'status.nodeInfo'),
  });

  beforeAll(async () => {
    world = await suiteWorld.startKubernetes();
    admin = callerOf(world, await world.clientCertificate('tester', ['system:masters']));
    controller = callerOf(world, await world.clientCertificate('system:k3s-controller'));
    proxy = callerOf(world, await world.clientCertificate('system:kube-proxy'));
    await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
    cluster = openKubernetes({ kubeconfig: { path: world.adminKubeconfigPath } });
    // More than k3s gives these users, so that it is the policy that refuses.
    const wide = { name: uniqueName('k3s-daas-test') };
    await admin('POST', `${rbac}/clusterroles`, {
      metadata: wide,
      rules: [{ apiGroups: [''], resources: ['nodes', 'nodes/status'], verbs: ['*'] }],
    });
    await admin('POST', `${rbac}/clusterrolebindings`, {
      metadata: wide,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', ...wide },
      subjects: ['system:k3s-controller', 'system:kube-proxy'].map((user) => ({
        kind: 'User',
        apiGroup: 'rbac.authorization.k8s.io',
        name: user,
      })),
    });
    for (const caller of [controller, proxy])
      await eventually(
        'the role counts',
        10_000,
        () => caller('GET', '/api/v1/nodes'),
        ({ status }) => status === 200,
      );
  });
  afterAll(async () => {
    for (const node of made)
      await admin('PATCH', `/api/v1/nodes/${node}`, { metadata: { finalizers: null } }, merge)
        .then(() => admin('DELETE', `/api/v1/nodes/${node}`))
        .catch(() => undefined);
    await cluster?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  test('the identities that all agents share change nothing of a Node but what flannel writes', async () => {
    const { node, path } = await fresh('victim');
    expect((await controller('PATCH', path, flannel({}), strategic)).status).toBe(200);
    const before = kept(await read(node));
    for (const { what, body, contentType = merge, target = 'status' } of attacks(node)) {
      const url = target === 'status' ? path : `/api/v1/nodes/${node}`;
      const options = contentType === apply ? '?fieldManager=attacker&force=true' : '';
      const answer = await controller('PATCH', url + options, body, contentType);
      // The stand-in has no server-side apply.
      if (contentType === apply && answer.status === 415) continue;
      // A cluster that gives out ranges may have been faster; then nothing changes them, whatever the policies say.
      if (answer.status === 422 && /may not change podCIDR/.test(answer.object.message ?? '')) continue;
      expect(answer, what).toMatchObject(deniedBy(sharedPolicy));
    }
    expect(kept(await read(node))).toEqual(before);
  });

  test('they move no condition by its place in the list, and make and delete no Node', async () => {
    const { node, path } = await fresh('ordered');
    const now = await read(node);
    const conditions = [...(at(now, 'status.conditions') as object[])].reverse();
    const reordered = { ...now, status: { ...(now.status as object), conditions } };
    const { resourceVersion: _version, ...metadata } = now.metadata;
    expect(await controller('PUT', path, { ...reordered, metadata })).toMatchObject(deniedBy(sharedPolicy));
    expect(await controller('PUT', path, { ...now, metadata })).toMatchObject({ status: 200 });
    const other = uniqueName('conjured');
    await cluster.admitName({ nodeId: other, tier: 'untainted' });
    for (const caller of [controller, proxy]) {
      expect(await caller('POST', '/api/v1/nodes', nodeBody(other))).toMatchObject({ status: 403 });
      expect(await caller('DELETE', `/api/v1/nodes/${node}`)).toMatchObject(deniedBy(sharedPolicy));
    }
    expect((await admin('GET', `/api/v1/nodes/${other}`)).status).toBe(404);
    await cluster.removeName(other);
  });

  test('an agent writes flannel’s annotations of its own Node alone, with the certificate that it has shown', async () => {
    const own = await world.clientCertificate('system:k3s-controller');
    const { node, path } = await fresh('vouched');
    const { path: others, node: other } = await fresh('other');
    const vouch = {
      identity: 'k3s-controller',
      fingerprint: fingerprintOf(own.certificate),
      notAfterMs: 0,
    } as const;
    await cluster.admitName({
      nodeId: node,
      tier: 'untainted',
      vouches: [{ ...vouch, nodeId: node }],
    });
    const stranger = { ...vouch, fingerprint: 'ab'.repeat(32) };
    await cluster.admitName({ nodeId: other, tier: 'untainted', vouches: [{ ...stranger, nodeId: other }] });
    const agent = callerOf(world, own);
    await eventually(
      'the certificate counts',
      10_000,
      () => agent('PATCH', path, flannel({}), strategic),
      ({ status }) => status === 200,
    );
    const announce = (caller: Caller, url: string) => caller('PATCH', url, flannel({}), strategic);
    for (const [caller, url] of [
      [agent, others],
      [controller, path],
      [controller, others],
    ] as const)
      await eventually(
        'refused',
        10_000,
        () => announce(caller, url),
        ({ status, object }) => status === 403 && (object.message?.includes(sharedPolicy) ?? false),
      );
  });

  test('kube-proxy writes no Node, not even what flannel may', async () => {
    const { node, path } = await fresh('proxied');
    for (const body of [
      flannel({}),
      readyStatus('False'),
      { metadata: { labels: { 'example.com/x': 'y' } } },
    ])
      expect(await proxy('PATCH', path, body, strategic)).toMatchObject(deniedBy(sharedPolicy));
    expect(
      await proxy('PATCH', `/api/v1/nodes/${node}`, { spec: { unschedulable: true } }, merge),
    ).toMatchObject(deniedBy(sharedPolicy));
  });

  test('who holds them does not become the next hop of another Node’s pods', async () => {
    const { node, path } = await fresh('hop');
    const announce = (more: Record<string, string>) => controller('PATCH', path, flannel(more), strategic);
    const sentence = `flannel announces an address for the node ${node} that is none of its own`;
    const foreign = { [joined.publicIp]: '203.0.113.66' };
    // Before flannel has come, and afterwards.
    expect((await announce(foreign)).object.message).toContain(sentence);
    expect((await announce({})).status).toBe(200);
    for (const more of [
      foreign,
      { [joined.publicIpv6]: 'fd00:bad::1' },
      { [joined.publicIp]: '' },
      { [joined.publicIp]: `${addresses.internal},203.0.113.66` },
      // The name of the Node is one of its addresses too, but no address of a network.
      { [joined.publicIp]: node },
    ])
      expect((await announce(more)).object.message, JSON.stringify(more)).toContain(sentence);
    // Neither by naming the address in the same request.
    for (const naming of [
      { status: { addresses: [{ type: 'InternalIP', address: '203.0.113.66' }] } },
      { metadata: { annotations: { 'k3s.io/internal-ip': '203.0.113.66' } } },
      { metadata: { annotations: { [joined.overwrite]: '203.0.113.66' } } },
    ] as Array<{ status?: object; metadata?: { annotations: object } }>) {
      const body = {
        ...naming,
        metadata: { annotations: { ...naming.metadata?.annotations, ...foreign } },
      };
      expect(await controller('PATCH', path, body, strategic)).toMatchObject(deniedBy(sharedPolicy));
    }
    expect((await read(node)).metadata.annotations?.[joined.publicIp]).toBe(addresses.internal);
  });

  test('what flannel and k3s write themselves passes', async () => {
    const { node, path, kubelet } = await fresh('honest');
    for (const { what, by, body, target = 'status' } of legitimate) {
      const caller = by === 'flannel' ? controller : kubelet;
      const url = target === 'status' ? path : `/api/v1/nodes/${node}`;
      expect(await caller('PATCH', url, body, strategic), what).toMatchObject({ status: 200 });
    }
    const annotations = (await read(node)).metadata.annotations;
    expect(annotations).toMatchObject({ [joined.publicIp]: addresses.overwrite });
  });

  test('an agent that returns with a new address gets its network when its kubelet has named it', async () => {
    const { node, path, kubelet } = await fresh('moved');
    expect((await controller('PATCH', path, flannel({}), strategic)).status).toBe(200);
    const moved = flannel({ [joined.publicIp]: addresses.moved });
    expect(await controller('PATCH', path, moved, strategic)).toMatchObject(deniedBy(sharedPolicy));
    // k3s' own annotation, by the kubelet's certificate; status.addresses follow up to a minute later.
    const named = { metadata: { annotations: { 'k3s.io/internal-ip': addresses.moved } } };
    expect((await kubelet('PATCH', `/api/v1/nodes/${node}`, named, strategic)).status).toBe(200);
    expect((await controller('PATCH', path, moved, strategic)).status).toBe(200);
  });

  test('a Node of the operator’s own goes on working: kubelet, flannel, administrator', async () => {
    const { node, path, kubelet } = await fresh('server');
    await cluster.removeName(node);
    await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
    expect((await cluster.admittedNames()).get(node)).toBe('ordinary');
    expect((await controller('PATCH', path, flannel({}), strategic)).status).toBe(200);
    expect((await kubelet('PATCH', path, readyStatus('True'), strategic)).status).toBe(200);
    for (const [url, body] of steps(node))
      expect(await admin('PATCH', url, body, merge), JSON.stringify(body)).toMatchObject({ status: 200 });
    expect((await kubelet('PATCH', path, readyStatus('True'), strategic)).status).toBe(200);
    // Of a Node without a stake its own kubelet may end the cordon, as kubectl on that machine would.
    const uncordon = { spec: { unschedulable: null } };
    expect((await kubelet('PATCH', `/api/v1/nodes/${node}`, uncordon, merge)).status).toBe(200);
  });

  test('a kubelet makes its Node without finalizers, owners and pod addresses of its choice', async () => {
    const node = uniqueName('maker');
    const kubelet = await asNode(node);
    const { object: owner } = await admin('POST', '/api/v1/nodes', nodeBody(uniqueName('owner')));
    made.push(node, owner.metadata.name ?? '');
    await cluster.admitName({ nodeId: node, tier: 'untainted' });
    const create = (more: { metadata?: object; spec?: object }): Promise<Answer> =>
      kubelet('POST', '/api/v1/nodes', {
        ...nodeBody(node),
        metadata: { name: node, ...more.metadata },
        ...(more.spec ? { spec: more.spec } : {}),
      });
    const { name: ownerName, uid } = owner.metadata;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: ownerName, uid }];
    // Both policies refuse it until the list is in force; afterwards it is this one alone.
    await eventually(
      'the name counts',
      10_000,
      () => create({ metadata: { finalizers: ['example.com/stay'] } }),
      ({ object }) => object.message?.includes(workerPolicy) ?? false,
    );
    for (const more of [
      { metadata: { finalizers: ['example.com/stay'] } },
      { metadata: { finalizers: ['foregroundDeletion'] } },
      { metadata: { ownerReferences } },
      { spec: { podCIDR: '10.42.0.0/24' } },
      { spec: { podCIDR: '10.42.0.0/24', podCIDRs: ['10.42.0.0/24'] } },
      { spec: { podCIDRs: ['10.42.0.0/24', 'fd00:42::/64'], podCIDR: '10.42.0.0/24' } },
    ])
      expect(await create(more), JSON.stringify(more)).toMatchObject(deniedBy(workerPolicy));
    expect((await create({ spec: { providerID: `k3s://${node}` } })).status).toBe(201);
    await cluster.removeName(node);
  });

  test('a kubelet keeps its Node in the cluster by no finalizer and no owner, and takes none away', async () => {
    const { node, path, kubelet } = await fresh('stayer');
    const url = `/api/v1/nodes/${node}`;
    const finalizers = ['example.com/stay'];
    const { uid } = (await read(node)).metadata;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: node, uid }];
    for (const at of [url, path])
      for (const contentType of [merge, strategic])
        for (const metadata of [{ finalizers }, { ownerReferences }])
          expect((await kubelet('PATCH', at, { metadata }, contentType)).status, `${at} ${contentType}`).toBe(
            403,
          );
    expect(await kubelet('PATCH', path, { metadata: { finalizers } }, merge)).toMatchObject(
      deniedBy(workerPolicy),
    );
    // The operator's own stands, and disturbs no heartbeat.
    await admin('PATCH', url, { metadata: { finalizers: ['example.com/operator'] } }, strategic);
    expect((await kubelet('PATCH', path, readyStatus('True'), strategic)).status).toBe(200);
    for (const metadata of [
      { finalizers: null },
      { '$deleteFromPrimitiveList/finalizers': ['example.com/operator'] },
    ])
      expect(await kubelet('PATCH', path, { metadata }, strategic)).toMatchObject(deniedBy(workerPolicy));
    expect((await read(node)).metadata.finalizers).toContain('example.com/operator');
    const released = { metadata: { '$deleteFromPrimitiveList/finalizers': ['example.com/operator'] } };
    expect((await admin('PATCH', url, released, strategic)).status).toBe(200);
  });

  test('a kubelet takes no range of pod addresses, and does not end the cordon of a staked node', async () => {
    const { node, kubelet } = await fresh('taker');
    const url = `/api/v1/nodes/${node}`;
    const range = { spec: { podCIDR: '10.42.99.0/24', podCIDRs: ['10.42.99.0/24'] } };
    const taken = await kubelet('PATCH', url, range, strategic);
    // A cluster that gives out ranges may have been faster; then it cannot be changed.
    expect([403, 422]).toContain(taken.status);
    expect(at(await read(node), 'spec.podCIDR')).not.toBe('10.42.99.0/24');
    await cluster.markNode({ nodeId: node, recordId: `0x${'5a'.repeat(32)}`, tier: 'basic' });
    await admin('PATCH', url, { spec: { unschedulable: true } }, merge);
    for (const unschedulable of [null, false])
      expect(await kubelet('PATCH', url, { spec: { unschedulable } }, merge)).toMatchObject(
        deniedBy(workerPolicy),
      );
    expect(at(await read(node), 'spec.unschedulable')).toBe(true);
    expect((await admin('PATCH', url, { spec: { unschedulable: null } }, merge)).status).toBe(200);
  });

  describe('the addresses of a staked Node', () => {
    const internal = (address: string) => ({ status: { addresses: [{ type: 'InternalIP', address }] } });
    const external = (address: string) => ({ status: { addresses: [{ type: 'ExternalIP', address }] } });
    const named = (member: 'annotations' | 'labels', key: string, address: string) => ({
      metadata: { [member]: { [key]: address } },
    });
    const operators = ['192.0.2.1', '2001:db8::1'];

    async function besideOperators(prefix: string): Promise<{ url: string; path: string; kubelet: Caller }> {
      const { node, path, kubelet } = await fresh(prefix);
      await cluster.holdAddresses(operators);
      const report = () => kubelet('PATCH', path, internal('192.0.2.1'), strategic);
      await eventually('the list counts', 10_000, report, ({ status }) => status === 403);
      return { url: `/api/v1/nodes/${node}`, path, kubelet };
    }

    test('are none of the operator’s Nodes, wherever and however they are reported', async () => {
      const { url, path, kubelet } = await besideOperators('borrower');
      const before = at(await read(url.split('/').at(-1) ?? ''), 'status.addresses');
      const attempts: ReadonlyArray<readonly [target: string, body: object]> = [
        [path, internal('192.0.2.1')],
        [path, external('2001:db8::1')],
        [
          path,
          {
            status: {
              addresses: ['192.0.2.50', '192.0.2.51', '192.0.2.1'].map((address) => ({
                type: 'InternalIP',
                address,
              })),
            },
          },
        ],
        [url, named('annotations', 'k3s.io/internal-ip', '192.0.2.1')],
        [url, named('annotations', 'k3s.io/external-ip', '192.0.2.50, 192.0.2.1')],
        [url, named('annotations', 'alpha.kubernetes.io/provided-node-ip', '2001:db8::1')],
        [url, named('labels', 'k3s.io/internal-ip', '192.0.2.1')],
        [url, named('labels', 'k3s.io/external-ip', '192.0.2.1')],
      ];
      for (const [target, body] of attempts) {
        const answer = await kubelet('PATCH', target, body, merge);
        expect(answer, JSON.stringify(body)).toMatchObject(deniedBy(workerPolicy));
        expect(answer.object.message).toContain('which is the address of a Node of the operator’s');
      }
      expect(at(await read(url.split('/').at(-1) ?? ''), 'status.addresses')).toEqual(before);
    });

    test('have one text each, so that no other one stands for an address of the operator’s', async () => {
      const { path, kubelet } = await besideOperators('speller');
      const others = [
        '::ffff:192.0.2.1',
        '192.0.2.01',
        '192.0.2.1/32',
        '2001:DB8::1',
        '2001:db8:0::1',
        '2001:0db8::1',
        '2001:db8:0:0:0:0:0:1',
        '2001:db8:0:0::1',
        '2001:db8::0:1',
        '2001:db8::1%eth0',
        '2001:db8:1:1:1:1:1::',
        'server',
      ];
      for (const address of others) {
        const answer = await kubelet('PATCH', path, internal(address), strategic);
        expect(answer, address).toMatchObject(deniedBy(workerPolicy));
        expect(answer.object.message, address).toContain('an address is reported as');
      }
      const many = Array.from({ length: 7 }, (_value, index) => ({
        type: 'InternalIP',
        address: `192.0.2.${100 + index}`,
      }));
      expect((await kubelet('PATCH', path, { status: { addresses: many } }, merge)).object.message).toContain(
        'at most 6 new addresses',
      );
    });

    test('are free otherwise: another one, several, of both families, and the one that it has when the operator’s Node comes to it', async () => {
      const { url, path, kubelet } = await besideOperators('mover');
      for (const address of [
        '192.0.2.10',
        '10.0.0.1',
        'fd00:1:2:3:4:5:6:7',
        '2001:db8::2',
        'fe80::1',
        '2001:db8:0:1::1',
      ])
        expect(await kubelet('PATCH', path, internal(address), strategic), address).toMatchObject({
          status: 200,
        });
      const both = named('annotations', 'k3s.io/internal-ip', '192.0.2.11,fd00::10');
      expect((await kubelet('PATCH', url, both, strategic)).status).toBe(200);
      await cluster.holdAddresses([...operators, '192.0.2.11']);
      const other = await fresh('late');
      await eventually(
        'the longer list counts',
        10_000,
        () => other.kubelet('PATCH', other.path, internal('192.0.2.11'), strategic),
        ({ status }) => status === 403,
      );
      expect((await kubelet('PATCH', path, readyStatus('True'), strategic)).status).toBe(200);
      await cluster.holdAddresses([]);
      await eventually(
        'an empty list holds none',
        10_000,
        () => kubelet('PATCH', path, internal('192.0.2.1'), strategic),
        ({ status }) => status === 200,
      );
    });

    test('of the operator’s own Nodes are their kubelets’ to say', async () => {
      const { node, path, kubelet } = await fresh('owned');
      await cluster.removeName(node);
      await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
      await cluster.holdAddresses(operators);
      for (const address of ['192.0.2.1', '2001:DB8::1', 'server'])
        expect(await kubelet('PATCH', path, internal(address), strategic), address).toMatchObject({
          status: 200,
        });
    });

    test('are judged when it makes its Node, too', async () => {
      const node = uniqueName('newcomer');
      made.push(node);
      const kubelet = await asNode(node);
      await cluster.admitName({ nodeId: node, tier: 'untainted' });
      await cluster.holdAddresses(operators);
      const make = (body: object) => kubelet('POST', '/api/v1/nodes', { ...nodeBody(node), ...body });
      for (const body of [
        internal('192.0.2.1'),
        { metadata: { name: node, annotations: { 'k3s.io/internal-ip': '192.0.2.1' } } },
      ])
        await eventually(
          'it is refused',
          10_000,
          () => make(body),
          ({ object }) =>
            object.message?.includes('which is the address of a Node of the operator’s') ?? false,
        );
      expect((await make(internal('192.0.2.50'))).status).toBe(201);
    });
  });

  test('setup tries out each policy by a Node that this one alone refuses', async () => {
    const bindings = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings';
    const client = await world.clientCertificate('tester', ['system:masters']);
    for (const { policy, impersonate, metadata } of policyProbes(drawCanary())) {
      const headers = { 'impersonate-user': impersonate.user, 'impersonate-group': impersonate.group };
      const caller = callerOf(world, client, headers);
      const probe = () =>
        caller('POST', '/api/v1/nodes?dryRun=All', { ...nodeBody(metadata.name), metadata });
      expect(await probe(), policy).toMatchObject(deniedBy(policy));
      expect((await admin('DELETE', `${bindings}/${policy}`)).status).toBe(200);
      await eventually('it passes', 10_000, probe, ({ status }) => status === 201);
      expect(await cluster.policyState()).toMatchObject({
        problems: [`the ValidatingAdmissionPolicyBinding ${policy} is missing`],
      });
      await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
      expect(await probe(), policy).toMatchObject(deniedBy(policy));
    }
    expect(await cluster.policyState()).toEqual({ kind: 'in-place' });
  });

  test('Leases and mirror pods keep the owners and finalizers that a kubelet gives them', async () => {
    const { node, kubelet } = await fresh('owning');
    const { uid } = (await read(node)).metadata;
    const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: node, uid }];
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
    const lease = { metadata: { name: node, ownerReferences }, spec: { holderIdentity: node } };
    expect((await kubelet('POST', leases, lease)).status).toBe(201);
    const mirror = {
      metadata: {
        name: node,
        annotations: { 'kubernetes.io/config.mirror': 'a', 'kubernetes.io/config.source': 'file' },
        ownerReferences: ownerReferences.map((owner) => ({ ...owner, controller: true })),
      },
      spec: { nodeName: node, containers: [{ name: 'main', image: 'local/none' }] },
    };
    const pods = '/api/v1/namespaces/default/pods';
    expect((await kubelet('POST', pods, mirror)).status).toBe(201);
    await admin('DELETE', `${pods}/${node}`, { gracePeriodSeconds: 0 });
    await admin('DELETE', `${leases}/${node}`);
  });
});
