import { describe, expect, test } from 'vitest';
import { suiteWorld } from '../suite-world.ts';
import {
  callerOf,
  jsonPatch,
  merge,
  nodeBody,
  readyStatus,
  strategic,
  systemSecrets,
  uniqueName,
  useKubernetes,
} from './kubernetes-calls.ts';
import { at } from './server/objects.ts';

/**
 * The behaviour of the Kubernetes API that the gateway and the agents rely on. It runs on the stand-in and on a real
 * kube-apiserver with kube-controller-manager: where they differ, the stand-in is wrong.
 */
describe.skipIf(suiteWorld.isMissing)(`objects in the Kubernetes API of ${suiteWorld.name}`, () => {
  const { world, admin, gone } = useKubernetes();

  describe('objects', () => {
    test('a created object has an identity of its own, and a second one of its name is refused', async () => {
      const node = uniqueName('object');
      const made = await admin('POST', '/api/v1/nodes', nodeBody(node));
      expect(made).toMatchObject({
        status: 201,
        object: { kind: 'Node', apiVersion: 'v1', metadata: { name: node } },
      });
      expect(made.object.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
      expect(made.object.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(made.object.metadata.resourceVersion).toMatch(/^\d+$/);
      const second = await admin('POST', '/api/v1/nodes', nodeBody(node));
      expect(second).toMatchObject({
        status: 409,
        object: { kind: 'Status', reason: 'AlreadyExists', message: `nodes "${node}" already exists` },
      });
      // A new Node is tainted until it reports ready.
      expect(made.object.spec).toMatchObject({
        taints: [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }],
      });
    });

    test('what does not exist is named', async () => {
      expect(await admin('GET', '/api/v1/nodes/nobody')).toMatchObject({
        status: 404,
        object: { reason: 'NotFound', message: 'nodes "nobody" not found', code: 404 },
      });
      expect((await admin('GET', '/api/v1/nothings')).status).toBe(404);
      expect((await admin('DELETE', '/api/v1/nodes/nobody')).status).toBe(404);
      expect((await admin('PATCH', '/api/v1/nodes/nobody', {}, merge)).status).toBe(404);
    });

    test('a name that cannot be one, and a body that is no object, are refused', async () => {
      expect(await admin('POST', '/api/v1/nodes', nodeBody('Not_A_Name'))).toMatchObject({
        status: 422,
        object: { reason: 'Invalid' },
      });
      expect((await admin('POST', '/api/v1/nodes', '{ no json')).status).toBe(400);
      expect(
        (await admin('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Pod', metadata: {} })).status,
      ).toBe(400);
    });

    test('a list has a version, and its items can be selected by label and field', async () => {
      const [one, two] = [uniqueName('listed'), uniqueName('listed')];
      const label = uniqueName('label');
      for (const [node, value] of [
        [one, 'a'],
        [two, 'b'],
      ] as const)
        await admin(
          'POST',
          '/api/v1/nodes',
          nodeBody(node, { metadata: { name: node, labels: { [label]: value } } }),
        );
      const names = async (query: string) =>
        ((await admin('GET', `/api/v1/nodes?${query}`)).object.items ?? []).map(
          ({ metadata }) => metadata.name,
        );
      const all = await admin('GET', '/api/v1/nodes');
      expect(all.object).toMatchObject({
        kind: 'NodeList',
        metadata: { resourceVersion: expect.stringMatching(/^\d+$/) },
      });
      expect(await names(`labelSelector=${label}`)).toEqual([one, two].sort());
      expect(await names(`labelSelector=${label}%3Da`)).toEqual([one]);
      expect(await names(`labelSelector=${label}%20in%20(b,c)`)).toEqual([two]);
      expect(await names(`labelSelector=${label},${label}!%3Da`)).toEqual([two]);
      expect(await names(`fieldSelector=metadata.name%3D${one}`)).toEqual([one]);
      expect((await admin('GET', '/api/v1/nodes?fieldSelector=spec.nothing%3D1')).status).toBe(400);
    });

    test('a stale version is refused with 409 in update and in patch', async () => {
      const node = uniqueName('stale');
      const { object } = await admin('POST', '/api/v1/nodes', nodeBody(node));
      await admin('PATCH', `/api/v1/nodes/${node}`, { metadata: { labels: { a: '1' } } }, merge);
      const stale = { ...object, metadata: { ...object.metadata, labels: { a: '2' } } };
      expect(await admin('PUT', `/api/v1/nodes/${node}`, stale)).toMatchObject({
        status: 409,
        object: { reason: 'Conflict', message: expect.stringContaining('the object has been modified') },
      });
      const { resourceVersion } = object.metadata;
      const patch = { metadata: { resourceVersion, labels: { a: '3' } } };
      expect((await admin('PATCH', `/api/v1/nodes/${node}`, patch, merge)).status).toBe(409);
      const now = await admin('GET', `/api/v1/nodes/${node}`);
      expect(now.object.metadata.labels).toMatchObject({ a: '1' });
    });

    test('a write that changes nothing makes no new version', async () => {
      const node = uniqueName('same');
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      const patch = { metadata: { labels: { a: '1' } } };
      const first = await admin('PATCH', `/api/v1/nodes/${node}`, patch, merge);
      const second = await admin('PATCH', `/api/v1/nodes/${node}`, patch, merge);
      expect(second.object.metadata.resourceVersion).toBe(first.object.metadata.resourceVersion);
    });

    test('a merge patch sets one key and removes one by null', async () => {
      const map = uniqueName('map');
      const path = `/api/v1/namespaces/kube-system/configmaps/${map}`;
      const data = { one: '1', two: '2' };
      await admin('POST', '/api/v1/namespaces/kube-system/configmaps', { metadata: { name: map }, data });
      const patched = await admin('PATCH', path, { data: { two: null, three: '3' } }, merge);
      expect(patched).toMatchObject({ status: 200, object: { data: { one: '1', three: '3' } } });
      expect(Object.keys(patched.object.data as object)).not.toContain('two');
    });

    test('a JSON patch whose test fails changes nothing', async () => {
      const node = uniqueName('tested');
      await admin('POST', '/api/v1/nodes', nodeBody(node, { metadata: { name: node, labels: { a: '1' } } }));
      const steps = (value: string) => [
        { op: 'test', path: '/metadata/labels/a', value },
        { op: 'replace', path: '/metadata/labels/a', value: '2' },
      ];
      const refused = await admin('PATCH', `/api/v1/nodes/${node}`, steps('9'), jsonPatch);
      expect(refused.status).toBe(422);
      const passed = await admin('PATCH', `/api/v1/nodes/${node}`, steps('1'), jsonPatch);
      expect(passed).toMatchObject({ status: 200, object: { metadata: { labels: { a: '2' } } } });
      expect((await admin('PATCH', `/api/v1/nodes/${node}`, {}, 'text/plain')).status).toBe(415);
    });

    test('a strategic merge patch of the status merges conditions by type; taints are replaced as a whole', async () => {
      const node = uniqueName('merged');
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      const pressure = {
        type: 'MemoryPressure',
        status: 'False',
        lastHeartbeatTime: '2026-01-01T00:00:00Z',
      };
      await admin('PATCH', `/api/v1/nodes/${node}/status`, { status: { conditions: [pressure] } }, strategic);
      const patched = await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
      const types = (at(patched.object, 'status.conditions') as Array<{ type: string }>).map(
        ({ type }) => type,
      );
      expect(types.sort()).toEqual(['MemoryPressure', 'Ready']);
      const tainted = await admin(
        'PATCH',
        `/api/v1/nodes/${node}`,
        { spec: { taints: [{ key: 'example.com/only', effect: 'NoSchedule' }] } },
        strategic,
      );
      expect(at(tainted.object, 'spec.taints')).toEqual([{ key: 'example.com/only', effect: 'NoSchedule' }]);
    });

    test('the status subresource changes labels and status, never the spec; the object itself never the status', async () => {
      const node = uniqueName('status');
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      const viaStatus = await admin(
        'PATCH',
        `/api/v1/nodes/${node}/status`,
        {
          metadata: { labels: { via: 'status' } },
          spec: { unschedulable: true },
          status: { phase: 'Running' },
        },
        merge,
      );
      expect(viaStatus.object.metadata.labels).toMatchObject({ via: 'status' });
      expect(at(viaStatus.object, 'spec.unschedulable')).toBeUndefined();
      expect(at(viaStatus.object, 'status.phase')).toBe('Running');
      const viaObject = await admin(
        'PATCH',
        `/api/v1/nodes/${node}`,
        { status: { phase: 'Pending' } },
        merge,
      );
      expect(at(viaObject.object, 'status.phase')).toBe('Running');
    });

    test('a deletion with the uid of another object is refused, with its own it succeeds', async () => {
      const node = uniqueName('deleted');
      const { object } = await admin('POST', '/api/v1/nodes', nodeBody(node));
      const path = `/api/v1/nodes/${node}`;
      const other = { preconditions: { uid: '00000000-0000-0000-0000-000000000000' } };
      expect(await admin('DELETE', path, other)).toMatchObject({
        status: 409,
        object: { reason: 'Conflict' },
      });
      const own = { preconditions: { uid: object.metadata.uid } };
      expect((await admin('DELETE', path, own)).status).toBe(200);
      await gone(path);
      const again = await admin('POST', '/api/v1/nodes', nodeBody(node));
      expect(again.object.metadata.uid).not.toBe(object.metadata.uid);
    });

    test('an object with a finalizer is only marked when it is deleted, and goes with its last finalizer', async () => {
      const node = uniqueName('held');
      const path = `/api/v1/nodes/${node}`;
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      const hold = (finalizers: readonly string[]) =>
        admin('PATCH', path, { metadata: { finalizers } }, merge);
      await hold(['example.com/held']);
      const deleted = await admin('DELETE', path);
      expect(deleted).toMatchObject({ status: 200, object: { kind: 'Node', metadata: { name: node } } });
      expect(deleted.object.metadata.deletionTimestamp).toBeDefined();
      expect((await admin('GET', path)).status).toBe(200);
      expect((await admin('POST', '/api/v1/nodes', nodeBody(node))).status).toBe(409);
      await hold([]);
      await gone(path);
    });

    test('a Secret’s text becomes base64; an immutable one changes no more and can be deleted', async () => {
      const secret = uniqueName('secret');
      const made = await admin('POST', systemSecrets, {
        metadata: { name: secret },
        type: 'k3s.cattle.io/node-password',
        immutable: true,
        stringData: { hash: 'text' },
      });
      expect(made.object).toMatchObject({ data: { hash: 'dGV4dA==' } });
      expect(made.object.stringData).toBeUndefined();
      const path = `${systemSecrets}/${secret}`;
      const change = await admin('PATCH', path, { stringData: { hash: 'other' } }, merge);
      expect(change).toMatchObject({ status: 422, object: { reason: 'Invalid' } });
      expect((await admin('PATCH', path, { type: 'Opaque' }, merge)).status).toBe(422);
      expect((await admin('PATCH', path, { metadata: { labels: { a: '1' } } }, merge)).status).toBe(200);
      const byType = await admin('GET', `${systemSecrets}?fieldSelector=type%3Dk3s.cattle.io/node-password`);
      expect(byType.object.items?.map(({ metadata }) => metadata.name)).toContain(secret);
      expect((await admin('DELETE', path)).status).toBe(200);
    });

    test('a dry run creates nothing, and an administrator may ask as somebody else', async () => {
      const node = uniqueName('dry');
      expect((await admin('POST', '/api/v1/nodes?dryRun=All', nodeBody(node))).status).toBe(201);
      expect((await admin('GET', `/api/v1/nodes/${node}`)).status).toBe(404);
      const client = await world().clientCertificate('tester', ['system:masters']);
      const headers = { 'impersonate-user': 'somebody', 'impersonate-group': 'some-group' };
      expect(await callerOf(world(), client, headers)('GET', '/api/v1/nodes')).toMatchObject({
        status: 403,
        object: { message: expect.stringContaining('User "somebody" cannot list resource "nodes"') },
      });
      const nobody = await world().clientCertificate('nobody');
      expect((await callerOf(world(), nobody, headers)('GET', '/api/v1/nodes')).status).toBe(403);
    });
  });
});
