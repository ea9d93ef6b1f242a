import { connect, createServer, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { openKubernetes } from '#cluster';
import type { NodeChange } from '#domain';
import { suiteWorld } from '../suite-world.ts';
import { admin, cluster, drawRecord, pods, setup, world } from './cluster-port-world.ts';
import {
  eventually,
  merge,
  nodeBody,
  podBody,
  readyStatus,
  strategic,
  uniqueName,
} from './kubernetes-calls.ts';
import { at } from './server/objects.ts';

/** Nodes, as the gateway reads and changes them with its own identity. */
describe.skipIf(suiteWorld.isMissing)(`Nodes by KubernetesPort on ${suiteWorld.name}`, () => {
  describe('nodes', () => {
    test('a Node is told with what the gateway decides on', async () => {
      const [node, recordId] = [uniqueName('facts'), drawRecord()];
      expect(await cluster.node(node)).toBeUndefined();
      const { object } = await admin('POST', '/api/v1/nodes', nodeBody(node));
      expect(await cluster.node(node)).toEqual({
        name: node,
        uid: object.metadata.uid,
        isReady: false,
        isKubeletSilent: false,
        stakeRecordId: undefined,
        createdAtMs: Date.parse(object.metadata.creationTimestamp ?? ''),
        readyChangedAtMs: undefined,
        isUnschedulable: false,
        cordonedFor: undefined,
        addresses: [],
      });
      await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
      await cluster.markNode({ nodeId: node, recordId, tier: 'basic' });
      await cluster.markNode({ nodeId: node, recordId, tier: 'basic' });
      const now = await cluster.node(node);
      expect(now).toMatchObject({ isReady: true, stakeRecordId: recordId });
      expect(now?.readyChangedAtMs).toBeGreaterThan(Date.now() - 60_000);
      expect((await cluster.nodes()).map((one) => one.name)).toContain(node);
      await cluster.markNode({ nodeId: 'nobody', recordId, tier: 'basic' });
    });

    test('the label of the evidence comes, changes and goes with what the gateway has judged', async () => {
      const [node, recordId] = [uniqueName('attested'), drawRecord()];
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      for (const attestation of ['tpm', 'none', undefined]) {
        await cluster.markNode({ nodeId: node, recordId, tier: 'basic', attestation });
        expect(await cluster.node(node)).toMatchObject({ attestation, stakeRecordId: recordId });
      }
    });

    test('cordon and taint keep the taints of others, also under contention', async () => {
      const node = uniqueName('cordoned');
      const taints = [{ key: 'example.com/keep', effect: 'NoSchedule' }];
      await admin('POST', '/api/v1/nodes', nodeBody(node, { spec: { taints } }));
      const others = Array.from({ length: 8 }, (_, index) =>
        admin('PATCH', `/api/v1/nodes/${node}`, { metadata: { labels: { [`l${index}`]: 'x' } } }, merge),
      );
      await Promise.all([cluster.cordonAndTaint({ nodeId: node, reason: 'slashed' }), ...others]);
      await cluster.cordonAndTaint({ nodeId: node, reason: 'slashed' });
      await cluster.cordonAndTaint({ nodeId: node, reason: 'banned' });
      const { object } = await admin('GET', `/api/v1/nodes/${node}`);
      const left = at(object, 'spec.taints') as Array<{ key: string; value?: string; effect: string }>;
      expect(left).toContainEqual({ key: 'example.com/keep', effect: 'NoSchedule' });
      expect(left.filter(({ key }) => key === 'k3s-daas.io/evicted')).toEqual([
        expect.objectContaining({ value: 'banned', effect: 'NoExecute' }),
      ]);
      expect((await cluster.node(node))?.isUnschedulable).toBe(true);
      expect(Object.keys(object.metadata.labels ?? {})).toEqual(expect.arrayContaining(['l0', 'l7']));
      await cluster.cordonAndTaint({ nodeId: 'nobody', reason: 'slashed' });
    });

    test('a held Node gets no new pods, keeps the taints of others, and is let go', async () => {
      const node = uniqueName('held');
      const taints = [{ key: 'example.com/keep', effect: 'NoSchedule' }];
      await admin('POST', '/api/v1/nodes', nodeBody(node, { spec: { taints } }));
      // Kubernetes' own taints come and go with what its controllers see of the Node, at any time.
      const taintsOf = async () => {
        const { object } = await admin('GET', `/api/v1/nodes/${node}`);
        const all = (at(object, 'spec.taints') ?? []) as Array<{ key: string }>;
        return all.filter(({ key }) => !key.startsWith('node.kubernetes.io/'));
      };
      await cluster.cordonNode({ nodeId: node, reason: 'slashed' });
      await cluster.cordonNode({ nodeId: node, reason: 'token_expired' });
      expect((await taintsOf()).filter(({ key }) => key.startsWith('k3s-daas.io/'))).toEqual([
        { key: 'k3s-daas.io/held', value: 'token_expired', effect: 'NoSchedule' },
      ]);
      expect(await cluster.node(node)).toMatchObject({
        cordonedFor: 'token_expired',
        isUnschedulable: false,
      });
      await cluster.uncordonNode(node);
      expect(await taintsOf()).toEqual(taints);
      await cluster.cordonNode({ nodeId: 'nobody', reason: 'slashed' });
    });

    test('pods are evicted, and what a budget or a dead kubelet holds back is deleted without grace', async () => {
      const [node, other] = [uniqueName('emptied'), uniqueName('other')];
      const [free, guarded, elsewhere] = [uniqueName('free'), uniqueName('guarded'), uniqueName('elsewhere')];
      for (const one of [node, other]) await admin('POST', '/api/v1/nodes', nodeBody(one));
      await admin('POST', pods, podBody(free, node));
      await admin('POST', pods, podBody(guarded, node, { app: guarded }));
      await admin('POST', pods, podBody(elsewhere, other));
      await admin('POST', '/apis/policy/v1/namespaces/default/poddisruptionbudgets', {
        metadata: { name: guarded },
        spec: { minAvailable: 1, selector: { matchLabels: { app: guarded } } },
      });
      expect(await cluster.removePods(node)).toBe(2);
      const { object } = await admin('GET', `/api/v1/pods?fieldSelector=spec.nodeName%3D${node}`);
      expect(object.items).toEqual([]);
      expect((await admin('GET', `${pods}/${elsewhere}`)).status).toBe(200);
      expect(await cluster.removePods(node)).toBe(0);
      await admin('DELETE', `${pods}/${elsewhere}`, { gracePeriodSeconds: 0 });
    });

    test('a Node is deleted once, and only if it is still the one that was meant', async () => {
      const node = uniqueName('deleted');
      const { object } = await admin('POST', '/api/v1/nodes', nodeBody(node));
      const { uid = '' } = object.metadata;
      await cluster.deleteNode({ nodeId: node, uid: '00000000-0000-0000-0000-000000000000' });
      expect((await cluster.node(node))?.uid).toBe(uid);
      await cluster.deleteNode({ nodeId: node, uid });
      expect(await cluster.node(node)).toBeUndefined();
      await cluster.deleteNode({ nodeId: node, uid });
      await cluster.deleteNode({ nodeId: node });
    });

    test('a Node that somebody holds by a finalizer is not said to be gone before it is', async () => {
      const node = uniqueName('held');
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      const hold = (finalizers: readonly string[]) =>
        admin('PATCH', `/api/v1/nodes/${node}`, { metadata: { finalizers } }, merge);
      expect((await hold(['wrangler.cattle.io/node'])).status).toBe(200);
      await using hasty = openKubernetes({
        kubeconfig: { path: world.adminKubeconfigPath },
        // k3s, where it runs, lets go within a moment.
        nodeGoneMs: 0,
      });
      await expect(hasty.deleteNode({ nodeId: node })).rejects.toMatchObject({
        code: 'DAAS_NODE_HELD',
        isRetryable: true,
      });
      const deleted = cluster.deleteNode({ nodeId: node });
      await hold([]);
      expect(await deleted).toEqual([]);
      expect(await cluster.node(node)).toBeUndefined();
    });

    test('finalizers that are not k3s’ own are taken off a Node that must go, and named', async () => {
      const node = uniqueName('clinging');
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      const finalizers = ['example.com/stay', 'wrangler.cattle.io/node-of-nobody'];
      expect(
        (await admin('PATCH', `/api/v1/nodes/${node}`, { metadata: { finalizers } }, merge)).status,
      ).toBe(200);
      expect(await cluster.deleteNode({ nodeId: node })).toEqual(finalizers);
      expect(await cluster.node(node)).toBeUndefined();
      expect(await cluster.deleteNode({ nodeId: node })).toEqual([]);
    });

    test('the watch tells the whole list, then every change, and ends with its signal', async () => {
      const [before, later] = [uniqueName('before'), uniqueName('later')];
      await admin('POST', '/api/v1/nodes', nodeBody(before));
      const changes: NodeChange[] = [];
      const stop = new AbortController();
      const watching = cluster.watchNodes((change) => changes.push(change), stop.signal);
      const seen = (kind: NodeChange['kind'], node: string) =>
        changes.some((change) =>
          change.kind === 'listed'
            ? kind === 'listed' && change.nodes.some((one) => one.name === node)
            : change.kind === kind && change.node.name === node,
        );
      const until = (kind: NodeChange['kind'], node: string) =>
        eventually(`${kind} ${node}`, 10_000, async () => seen(kind, node), Boolean);
      await until('listed', before);
      await admin('POST', '/api/v1/nodes', nodeBody(later));
      await until('added', later);
      await admin('PATCH', `/api/v1/nodes/${later}/status`, readyStatus('True'), strategic);
      // Controllers write to a new Node too: the change that makes it ready is one of several.
      await eventually(
        'the Node is told to be ready',
        10_000,
        async () => changes.filter(({ kind }) => kind === 'modified'),
        (told) => told.some((change) => change.kind === 'modified' && change.node.isReady),
      );
      await admin('DELETE', `/api/v1/nodes/${later}`);
      await until('deleted', later);
      stop.abort();
      await watching;
    });

    test('a watch whose connection breaks begins anew with the list', async () => {
      await using road = await openRoad(world.url);
      const kubeconfig = setup.kubeconfig?.reveal().replace(world.url, road.url) ?? '';
      await using far = openKubernetes({ kubeconfig: { text: kubeconfig }, callTimeoutMs: 2_000 });
      const changes: NodeChange[] = [];
      const stop = new AbortController();
      const watching = far.watchNodes((change) => changes.push(change), stop.signal);
      const lists = () => changes.filter(({ kind }) => kind === 'listed').length;
      await eventually(
        'the first list',
        10_000,
        async () => lists(),
        (count) => count === 1,
      );
      const missed = uniqueName('missed');
      road.block();
      await admin('POST', '/api/v1/nodes', nodeBody(missed));
      road.unblock();
      await eventually(
        'the second list',
        20_000,
        async () => lists(),
        (count) => count >= 2,
      );
      expect(changes.findLast(({ kind }) => kind === 'listed')).toMatchObject({
        nodes: expect.arrayContaining([expect.objectContaining({ name: missed })]),
      });
      stop.abort();
      await watching;
    });
  });
});

/** A TCP road to a server that can be blocked: connections on it break and new ones are refused. */
async function openRoad(target: string) {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let isBlocked = false;
  const server = createServer((near) => {
    if (isBlocked) {
      near.destroy();
      return;
    }
    const far = connect(Number(port), hostname);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `https://127.0.0.1:${(server.address() as { port: number }).port}`,
    block: () => {
      isBlocked = true;
      cut();
    },
    unblock: () => {
      isBlocked = false;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      cut();
      await closed;
    },
  };
}
