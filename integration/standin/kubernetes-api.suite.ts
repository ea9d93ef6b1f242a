import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KeyPair } from './server/authority.ts';
import { at, type KubeObject } from './server/objects.ts';
import { send } from './server/worker.ts';

/** A Kubernetes API to try: the stand-in, or a real control plane. */
export interface KubernetesWorld extends AsyncDisposable {
  readonly url: string;
  /** PEM of the CA that signed the server's certificate. */
  readonly ca: string;
  readonly adminKubeconfigPath: string;
  /** A client certificate of the cluster's client CA. */
  clientCertificate(username: string, groups?: readonly string[]): Promise<KeyPair>;
  /** Where k3s' supervisor answers, and the same API beside it. */
  readonly supervisorUrl: string;
  /** How long this world's controllers may take to collect, to taint, to notice: as slow as they really are. */
  readonly patienceMs: number;
}

/** One caller of the API. */
export type Caller = (method: string, path: string, body?: unknown, contentType?: string) => Promise<Answer>;
export interface Answer {
  readonly status: number;
  readonly object: KubeObject & {
    readonly items?: KubeObject[];
    readonly reason?: string;
    readonly message?: string;
  };
}

export const merge = 'application/merge-patch+json';
export const strategic = 'application/strategic-merge-patch+json';
const jsonPatch = 'application/json-patch+json';

export function callerOf(
  world: Pick<KubernetesWorld, 'url' | 'ca'>,
  client: KeyPair | undefined,
  headers: Record<string, string> = {},
): Caller {
  return async (method, path, body, contentType = 'application/json') => {
    const answer = await send({
      url: world.url + path,
      method,
      ca: world.ca,
      client,
      headers: { 'content-type': contentType, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: answer.status, object: parsed(answer.text) };
  };
}

function parsed(text: string): Answer['object'] {
  try {
    return JSON.parse(text) as Answer['object'];
  } catch {
    return { metadata: {}, message: text };
  }
}

/** Asks again until the answer is wanted; the last one is in the failure. */
export async function eventually<T>(
  what: string,
  withinMs: number,
  ask: () => Promise<T>,
  isWanted: (value: T) => boolean,
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  let last = await ask();
  while (!isWanted(last)) {
    if (performance.now() > deadlineMs)
      throw new Error(`${what} did not happen within ${withinMs} ms; last seen: ${JSON.stringify(last)}`);
    await sleep(100);
    last = await ask();
  }
  return last;
}

export const uniqueName = (prefix: string) => `${prefix}-${randomBytes(3).toString('hex')}`;
const systemSecrets = '/api/v1/namespaces/kube-system/secrets';
export const nodeBody = (name: string, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  ...more,
});
export const podBody = (name: string, nodeName: string, labels: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels },
  spec: {
    nodeName,
    containers: [{ name: 'main', image: 'local/none' }],
    automountServiceAccountToken: false,
  },
});
export const readyStatus = (status: string) => ({
  status: {
    conditions: [
      {
        type: 'Ready',
        status,
        reason: 'KubeletReady',
        message: 'kubelet is posting ready status',
        lastHeartbeatTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
        lastTransitionTime: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
      },
    ],
  },
});

/**
 * The behaviour of the Kubernetes API that the gateway and the agents rely on. It runs against the stand-in and against
 * a real kube-apiserver with kube-controller-manager: where they differ, the stand-in is wrong.
 */
export function describeKubernetesApi(name: string, start: () => Promise<KubernetesWorld>): void {
  describe(`the Kubernetes API of ${name}`, () => {
    let world: KubernetesWorld;
    let admin: Caller;
    const asNode = async (node: string) =>
      callerOf(world, await world.clientCertificate(`system:node:${node}`, ['system:nodes']));
    beforeAll(async () => {
      world = await start();
      admin = callerOf(world, await world.clientCertificate('tester', ['system:masters']));
    });
    afterAll(() => world?.[Symbol.asyncDispose]());
    /** k3s holds a deleted Node for a moment. */
    const gone = (path: string) =>
      eventually(
        `${path} to be gone`,
        5_000,
        () => admin('GET', path),
        ({ status }) => status === 404,
      );

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
        await admin(
          'POST',
          '/api/v1/nodes',
          nodeBody(node, { metadata: { name: node, labels: { a: '1' } } }),
        );
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
        await admin(
          'PATCH',
          `/api/v1/nodes/${node}/status`,
          { status: { conditions: [pressure] } },
          strategic,
        );
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
        expect(at(tainted.object, 'spec.taints')).toEqual([
          { key: 'example.com/only', effect: 'NoSchedule' },
        ]);
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
        const byType = await admin(
          'GET',
          `${systemSecrets}?fieldSelector=type%3Dk3s.cattle.io/node-password`,
        );
        expect(byType.object.items?.map(({ metadata }) => metadata.name)).toContain(secret);
        expect((await admin('DELETE', path)).status).toBe(200);
      });

      test('a dry run creates nothing, and an administrator may ask as somebody else', async () => {
        const node = uniqueName('dry');
        expect((await admin('POST', '/api/v1/nodes?dryRun=All', nodeBody(node))).status).toBe(201);
        expect((await admin('GET', `/api/v1/nodes/${node}`)).status).toBe(404);
        const client = await world.clientCertificate('tester', ['system:masters']);
        const headers = { 'impersonate-user': 'somebody', 'impersonate-group': 'some-group' };
        expect(await callerOf(world, client, headers)('GET', '/api/v1/nodes')).toMatchObject({
          status: 403,
          object: { message: expect.stringContaining('User "somebody" cannot list resource "nodes"') },
        });
        const nobody = await world.clientCertificate('nobody');
        expect((await callerOf(world, nobody, headers)('GET', '/api/v1/nodes')).status).toBe(403);
      });
    });

    describe('watches', () => {
      test('a watch from the version of a list tells every later change in order', async () => {
        const [before, node] = [uniqueName('before'), uniqueName('watched')];
        await admin('POST', '/api/v1/nodes', nodeBody(before));
        const { object: list } = await admin('GET', '/api/v1/nodes');
        await using watch = await openWatch(
          `/api/v1/nodes?watch=true&resourceVersion=${list.metadata.resourceVersion}`,
        );
        await admin('POST', '/api/v1/nodes', nodeBody(node));
        await admin('PATCH', `/api/v1/nodes/${node}`, { metadata: { labels: { seen: 'yes' } } }, merge);
        await admin('DELETE', `/api/v1/nodes/${node}`);
        const seen = await watch.until(
          (event) => event.object.metadata.name === node && event.type === 'DELETED',
        );
        const own = seen.filter((event) => event.object.metadata.name === node).map(({ type }) => type);
        expect(own[0]).toBe('ADDED');
        expect(own).toContain('MODIFIED');
        expect(own.at(-1)).toBe('DELETED');
        expect(seen.some((event) => event.type === 'ADDED' && event.object.metadata.name === before)).toBe(
          false,
        );
      });

      test('a watch without a version begins with what is there; a selector hides the rest', async () => {
        const [seen, hidden] = [uniqueName('seen'), uniqueName('hidden')];
        for (const node of [seen, hidden]) await admin('POST', '/api/v1/nodes', nodeBody(node));
        await using watch = await openWatch(`/api/v1/nodes?watch=true&fieldSelector=metadata.name%3D${seen}`);
        await admin('PATCH', `/api/v1/nodes/${hidden}`, { metadata: { labels: { a: '1' } } }, merge);
        await admin('DELETE', `/api/v1/nodes/${seen}`);
        const events = await watch.until(({ type }) => type === 'DELETED');
        expect(events[0]).toMatchObject({ type: 'ADDED', object: { metadata: { name: seen } } });
        expect(events.some((event) => event.object.metadata.name === hidden)).toBe(false);
      });

      test('the server ends a watch after the time it was given', async () => {
        await using watch = await openWatch('/api/v1/nodes?watch=true&timeoutSeconds=1');
        await watch.ended;
      });

      test('what happens after the end of a watch does the server no harm, also when its reader lags behind', async () => {
        const maps = '/api/v1/namespaces/default/configmaps';
        const [label, busy] = [uniqueName('lagging'), uniqueName('busy')];
        const make = (name: string, data: object) =>
          admin('POST', maps, { metadata: { name, labels: { [label]: '' } }, data });
        const large = Array.from({ length: 8 }, (_, index) => `${label}-${index}`);
        // More than the buffers between server and reader hold: the watch is still being sent when it ends.
        for (const name of large) expect((await make(name, { rest: 'x'.repeat(900_000) })).status).toBe(201);
        await make(busy, {});
        let round = 0;
        const change = async () => {
          round += 1;
          const answer = await admin('PATCH', `${maps}/${busy}`, { data: { round: String(round) } }, merge);
          expect(answer.status).toBe(200);
        };
        const opened = (selected: string, isRead: boolean) =>
          openWatch(
            `${maps}?watch=true&labelSelector=${selected}&timeoutSeconds=1&allowWatchBookmarks=true`,
            { isRead },
          );
        await using lagging = await opened(label, false);
        await using quiet = await opened(uniqueName('quiet'), true);
        await quiet.ended;
        // Both had the same time: these come after the end of the one that is not read.
        for (let more = 0; more < 5; more += 1) await change();
        lagging.read();
        await lagging.ended;
        expect((await admin('GET', `${maps}/${busy}`)).object.data).toEqual({ round: String(round) });
        for (const name of [...large, busy]) await admin('DELETE', `${maps}/${name}`);
      });
    });

    describe('who may do what', () => {
      test('nobody is let in without credentials, and a stranger’s certificate may do nothing', async () => {
        const anonymous = callerOf(world, undefined);
        expect(await anonymous('GET', '/api/v1/nodes')).toMatchObject({
          status: 401,
          object: { reason: 'Unauthorized' },
        });
        const nobody = callerOf(world, await world.clientCertificate('nobody'));
        expect(await nobody('GET', '/api/v1/nodes')).toMatchObject({
          status: 403,
          object: {
            reason: 'Forbidden',
            message:
              'nodes is forbidden: User "nobody" cannot list resource "nodes" in API group "" at the cluster scope',
          },
        });
      });

      test('a kubelet makes and tends its own Node and Lease, and nobody else’s', async () => {
        const [own, other] = [uniqueName('own'), uniqueName('other')];
        const kubelet = await asNode(own);
        await admin('POST', '/api/v1/nodes', nodeBody(other));
        expect((await kubelet('POST', '/api/v1/nodes', nodeBody(own))).status).toBe(201);
        expect((await kubelet('GET', `/api/v1/nodes/${own}`)).status).toBe(200);
        expect(
          (await kubelet('PATCH', `/api/v1/nodes/${own}/status`, readyStatus('True'), strategic)).status,
        ).toBe(200);
        const lease = { metadata: { name: own }, spec: { holderIdentity: own, leaseDurationSeconds: 40 } };
        const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
        expect((await kubelet('POST', leases, lease)).status).toBe(201);
        expect((await kubelet('GET', `${leases}/${own}`)).status).toBe(200);

        const foreign = await kubelet('POST', '/api/v1/nodes', nodeBody(uniqueName('third')));
        expect(foreign).toMatchObject({
          status: 403,
          object: { message: expect.stringContaining(`node "${own}" is not allowed to modify node`) },
        });
        const patched = await kubelet(
          'PATCH',
          `/api/v1/nodes/${other}/status`,
          readyStatus('True'),
          strategic,
        );
        expect(patched.status).toBe(403);
        const refused: Array<[string, string, unknown?]> = [
          ['GET', `/api/v1/nodes/${other}`],
          ['GET', '/api/v1/nodes'],
          ['DELETE', `/api/v1/nodes/${own}`],
          ['GET', `${leases}/${other}`],
          ['POST', leases, { ...lease, metadata: { name: other } }],
          ['GET', systemSecrets],
          ['GET', `${systemSecrets}/any`],
          ['GET', '/api/v1/pods'],
          ['GET', '/api/v1/namespaces/kube-system/configmaps/k3s-daas-admitted'],
        ];
        for (const [method, path, body] of refused)
          expect((await kubelet(method, path, body)).status, `${method} ${path}`).toBe(403);
        expect((await kubelet('GET', `/api/v1/nodes?fieldSelector=metadata.name%3D${own}`)).status).toBe(200);
        expect((await kubelet('GET', `/api/v1/pods?fieldSelector=spec.nodeName%3D${own}`)).status).toBe(200);
      });

      test('a kubelet sets most labels on itself, but none of node-restriction, and no taints after its creation', async () => {
        const own = uniqueName('labels');
        const kubelet = await asNode(own);
        const label = (key: string) => ({ metadata: { labels: { [key]: 'x' } } });
        const restricted = 'k3s-daas.node-restriction.kubernetes.io/stake';
        const withLabel = nodeBody(own, { metadata: { name: own, labels: { [restricted]: 'x' } } });
        expect((await kubelet('POST', '/api/v1/nodes', withLabel)).status).toBe(403);
        const taints = [{ key: 'k3s-daas.io/staked', value: 'basic', effect: 'NoSchedule' }];
        expect((await kubelet('POST', '/api/v1/nodes', nodeBody(own, { spec: { taints } }))).status).toBe(
          201,
        );
        const path = `/api/v1/nodes/${own}`;
        expect((await kubelet('PATCH', path, label('k3s-daas.io/anything'), merge)).status).toBe(200);
        expect((await kubelet('PATCH', path, label('node.kubernetes.io/instance-type'), merge)).status).toBe(
          200,
        );
        for (const key of [
          restricted,
          'node-restriction.kubernetes.io/x',
          'kubernetes.io/x',
          'node-role.kubernetes.io/x',
        ])
          expect((await kubelet('PATCH', path, label(key), merge)).status, key).toBe(403);
        expect((await kubelet('PATCH', `${path}/status`, label(restricted), merge)).status).toBe(403);
        expect(await kubelet('PATCH', path, { spec: { taints: [] } }, merge)).toMatchObject({
          status: 403,
          object: { message: expect.stringContaining('is not allowed to modify taints') },
        });
        // The mark is the administrator's to set, and the kubelet cannot shed it.
        expect((await admin('PATCH', path, label(restricted), merge)).status).toBe(200);
        const shed = { metadata: { labels: { [restricted]: null } } };
        expect((await kubelet('PATCH', path, shed, merge)).status).toBe(403);
      });

      test('a kubelet makes mirror pods on itself alone, and reads only its own pods', async () => {
        const [own, other] = [uniqueName('mirror'), uniqueName('mirror')];
        for (const node of [own, other]) await admin('POST', '/api/v1/nodes', nodeBody(node));
        const kubelet = await asNode(own);
        const pods = '/api/v1/namespaces/default/pods';
        expect((await kubelet('POST', pods, podBody(uniqueName('pod'), own))).status).toBe(403);
        const foreign = uniqueName('pod');
        expect((await admin('POST', pods, podBody(foreign, other))).status).toBe(201);
        expect((await kubelet('GET', `${pods}/${foreign}`)).status).toBe(403);
        expect((await kubelet('DELETE', `${pods}/${foreign}`)).status).toBe(403);
        await admin('DELETE', `${pods}/${foreign}`, { gracePeriodSeconds: 0 });
      });

      test('a bootstrap token is an identity that may neither see nor make a Node', async () => {
        const [id, secret] = [randomBytes(3).toString('hex'), randomBytes(8).toString('hex')];
        const path = await bootstrapSecret({
          'token-id': id,
          'token-secret': secret,
          'usage-bootstrap-authentication': 'true',
        });
        const joiner = callerOf(world, undefined, { authorization: `Bearer ${id}.${secret}` });
        const refused = await eventually(
          'the token counts',
          10_000,
          () => joiner('POST', '/api/v1/nodes', nodeBody('by-token')),
          ({ status }) => status !== 401,
        );
        expect(refused).toMatchObject({
          status: 403,
          object: {
            message: expect.stringContaining(`User "system:bootstrap:${id}" cannot create resource "nodes"`),
          },
        });
        expect((await joiner('GET', '/api/v1/nodes')).status).toBe(403);
        await admin('DELETE', path);
        // The API server remembers a good token for ten seconds.
        await eventually(
          'the token is dead',
          15_000,
          () => joiner('GET', '/api/v1/nodes'),
          ({ status }) => status === 401,
        );
      });

      test('a bootstrap token without the right usage, with a wrong secret or past its time is nobody', async () => {
        const draw = () => ({ id: randomBytes(3).toString('hex'), secret: randomBytes(8).toString('hex') });
        const usage = { 'usage-bootstrap-authentication': 'true' };
        const cases = [
          { data: {}, wrong: false },
          { data: { 'usage-bootstrap-authentication': 'yes' }, wrong: false },
          { data: { ...usage, expiration: 'soon' }, wrong: false },
          { data: { ...usage, 'auth-extra-groups': 'system:masters' }, wrong: false },
          { data: usage, wrong: true },
        ];
        for (const { data, wrong } of cases) {
          const { id, secret } = draw();
          await bootstrapSecret({ 'token-id': id, 'token-secret': secret, ...data });
          const bearer = `Bearer ${id}.${wrong ? '0'.repeat(16) : secret}`;
          const joiner = callerOf(world, undefined, { authorization: bearer });
          expect((await joiner('GET', '/api/v1/nodes')).status, JSON.stringify(data)).toBe(401);
        }
      });

      test('roles give what they say and no more, to users and to ServiceAccounts', async () => {
        const role = uniqueName('role');
        const rbac = '/apis/rbac.authorization.k8s.io/v1';
        const rules = [
          {
            apiGroups: [''],
            resources: ['configmaps'],
            resourceNames: ['only-this'],
            verbs: ['get', 'patch'],
          },
          { apiGroups: [''], resources: ['secrets'], verbs: ['list'] },
        ];
        await admin('POST', `${rbac}/namespaces/kube-system/roles`, { metadata: { name: role }, rules });
        const account = uniqueName('account');
        await admin('POST', '/api/v1/namespaces/kube-system/serviceaccounts', {
          metadata: { name: account },
        });
        await admin('POST', `${rbac}/namespaces/kube-system/rolebindings`, {
          metadata: { name: role },
          roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: role },
          subjects: [
            { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'reader' },
            { kind: 'ServiceAccount', name: account, namespace: 'kube-system' },
          ],
        });
        const token = uniqueName('token');
        await admin('POST', systemSecrets, {
          metadata: { name: token, annotations: { 'kubernetes.io/service-account.name': account } },
          type: 'kubernetes.io/service-account-token',
        });
        const { object } = await eventually(
          'the account gets its token',
          10_000,
          () => admin('GET', `${systemSecrets}/${token}`),
          (answer) => at(answer.object, 'data.token') !== undefined,
        );
        const bearer = Buffer.from(String(at(object, 'data.token')), 'base64').toString();
        const callers = {
          user: callerOf(world, await world.clientCertificate('reader')),
          account: callerOf(world, undefined, { authorization: `Bearer ${bearer}` }),
        };
        for (const [who, call] of Object.entries(callers)) {
          const list = () => call('GET', systemSecrets);
          await eventually(`${who} may list`, 10_000, list, ({ status }) => status === 200);
          const maps = '/api/v1/namespaces/kube-system/configmaps';
          expect((await call('GET', `${maps}/only-this`)).status, who).toBe(404);
          expect((await call('GET', `${maps}/another`)).status, who).toBe(403);
          expect((await call('GET', maps)).status, who).toBe(403);
          expect((await call('GET', `${systemSecrets}/any`)).status, who).toBe(403);
          expect((await call('GET', '/api/v1/namespaces/default/secrets')).status, who).toBe(403);
          expect((await call('DELETE', `${systemSecrets}/any`)).status, who).toBe(403);
        }
      });

      async function bootstrapSecret(data: Record<string, string>): Promise<string> {
        const secret = `bootstrap-token-${data['token-id']}`;
        const body = { metadata: { name: secret }, type: 'bootstrap.kubernetes.io/token', stringData: data };
        expect((await admin('POST', systemSecrets, body)).status).toBe(201);
        return `${systemSecrets}/${secret}`;
      }
    });

    describe('pods', () => {
      const pods = '/api/v1/namespaces/default/pods';

      test('a deleted pod waits for its kubelet, unless it is deleted without grace', async () => {
        const [node, pod] = [uniqueName('node'), uniqueName('pod')];
        await admin('POST', '/api/v1/nodes', nodeBody(node));
        await admin('POST', pods, podBody(pod, node));
        expect((await admin('DELETE', `${pods}/${pod}`)).status).toBe(200);
        const waiting = await admin('GET', `${pods}/${pod}`);
        expect(waiting.object.metadata.deletionTimestamp).toBeDefined();
        const other = {
          gracePeriodSeconds: 0,
          preconditions: { uid: '00000000-0000-0000-0000-000000000000' },
        };
        expect((await admin('DELETE', `${pods}/${pod}`, other)).status).toBe(409);
        expect((await admin('DELETE', `${pods}/${pod}`, { gracePeriodSeconds: 0 })).status).toBe(200);
        expect((await admin('GET', `${pods}/${pod}`)).status).toBe(404);
      });

      test('an eviction deletes a pod, but not one that a disruption budget guards', async () => {
        const [node, free, guarded] = [uniqueName('node'), uniqueName('free'), uniqueName('guarded')];
        await admin('POST', '/api/v1/nodes', nodeBody(node));
        await admin('POST', pods, podBody(free, node));
        await admin('POST', pods, podBody(guarded, node, { app: guarded }));
        for (const pod of [free, guarded])
          await admin(
            'PATCH',
            `${pods}/${pod}/status`,
            { status: { phase: 'Running', ...readyStatus('True').status } },
            strategic,
          );
        await admin('POST', '/apis/policy/v1/namespaces/default/poddisruptionbudgets', {
          metadata: { name: guarded },
          spec: { minAvailable: 1, selector: { matchLabels: { app: guarded } } },
        });
        const evict = (pod: string, more: object = {}) =>
          admin('POST', `${pods}/${pod}/eviction`, {
            apiVersion: 'policy/v1',
            kind: 'Eviction',
            metadata: { name: pod, namespace: 'default' },
            ...more,
          });
        const wrong = { deleteOptions: { preconditions: { uid: '00000000-0000-0000-0000-000000000000' } } };
        expect((await evict(free, wrong)).status).toBe(409);
        expect((await evict(free)).status).toBe(201);
        expect((await admin('GET', `${pods}/${free}`)).object.metadata.deletionTimestamp).toBeDefined();
        const refused = await evict(guarded);
        expect(refused).toMatchObject({
          status: 429,
          object: { reason: 'TooManyRequests', details: { causes: [{ reason: 'DisruptionBudget' }] } },
        });
        expect((await admin('GET', `${pods}/${guarded}`)).object.metadata.deletionTimestamp).toBeUndefined();
        expect((await evict(uniqueName('gone'))).status).toBe(404);
        for (const pod of [free, guarded]) await admin('DELETE', `${pods}/${pod}`, { gracePeriodSeconds: 0 });
      });
    });

    // Concurrently, because a real cluster makes each of them wait for most of a minute.
    describe('controllers', { concurrent: true }, () => {
      const pods = '/api/v1/namespaces/default/pods';

      test('a token past its time is deleted', async () => {
        const id = randomBytes(3).toString('hex');
        const name = `bootstrap-token-${id}`;
        await admin('POST', systemSecrets, {
          metadata: { name },
          type: 'bootstrap.kubernetes.io/token',
          stringData: {
            'token-id': id,
            'token-secret': randomBytes(8).toString('hex'),
            expiration: '2026-01-01T00:00:00Z',
          },
        });
        await eventually(
          'the token is cleaned',
          20_000,
          () => admin('GET', `${systemSecrets}/${name}`),
          ({ status }) => status === 404,
        );
      });

      test('a Node that reports ready loses its taint, and a cordoned one gets one', async () => {
        const node = uniqueName('tainted');
        const keysOf = ({ object }: Answer) =>
          ((at(object, 'spec.taints') ?? []) as Array<{ key: string }>).map(({ key }) => key);
        // In the reply: the controller, which takes a Node without a condition for one without trouble, may be quick.
        const made = await admin('POST', '/api/v1/nodes', nodeBody(node));
        expect(keysOf(made)).toContain('node.kubernetes.io/not-ready');
        const taints = async () => keysOf(await admin('GET', `/api/v1/nodes/${node}`));
        await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
        await eventually('the taint goes', 20_000, taints, (keys) => keys.length === 0);
        await admin('PATCH', `/api/v1/nodes/${node}`, { spec: { unschedulable: true } }, merge);
        await eventually('the cordon is a taint', 20_000, taints, (keys) =>
          keys.includes('node.kubernetes.io/unschedulable'),
        );
      });

      test('a taint with NoExecute deletes the pods that do not tolerate it', async () => {
        const [node, pod] = [uniqueName('noexecute'), uniqueName('pod')];
        await admin('POST', '/api/v1/nodes', nodeBody(node));
        await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
        await admin('POST', pods, podBody(pod, node));
        const taints = [{ key: 'k3s-daas.io/evicted', value: 'slashed', effect: 'NoExecute' }];
        await admin('PATCH', `/api/v1/nodes/${node}`, { spec: { taints } }, merge);
        await eventually(
          'the pod is deleted',
          20_000,
          () => admin('GET', `${pods}/${pod}`),
          ({ status, object }) => status === 404 || object.metadata.deletionTimestamp !== undefined,
        );
        await admin('DELETE', `${pods}/${pod}`, { gracePeriodSeconds: 0 });
      });

      test('what a Node owns goes with it, and its pods a while later', async () => {
        const [node, pod, secret] = [uniqueName('owner'), uniqueName('pod'), uniqueName('owned')];
        const { object } = await admin('POST', '/api/v1/nodes', nodeBody(node));
        await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
        const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: node, uid: object.metadata.uid }];
        await admin('POST', systemSecrets, { metadata: { name: secret, ownerReferences } });
        await admin('POST', pods, podBody(pod, node));
        // The collector of garbage must have seen the owner before it goes.
        await sleep(Math.min(1_000, world.patienceMs));
        await admin('DELETE', `/api/v1/nodes/${node}`);
        const gone = ({ status }: Answer) => status === 404;
        expect((await admin('GET', `${pods}/${pod}`)).status).toBe(200);
        await eventually('the Secret goes', 20_000, () => admin('GET', `${systemSecrets}/${secret}`), gone);
        await eventually('the pod goes', world.patienceMs, () => admin('GET', `${pods}/${pod}`), gone);
      });

      test('a Node that falls silent becomes Unknown and is tainted', async () => {
        const node = uniqueName('silent');
        await admin('POST', '/api/v1/nodes', nodeBody(node));
        await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
        const readyOf = async () => {
          const { object: now } = await admin('GET', `/api/v1/nodes/${node}`);
          const conditions = at(now, 'status.conditions') as Array<{ type: string; status: string }>;
          return {
            ready: conditions.find(({ type }) => type === 'Ready')?.status,
            taints: ((at(now, 'spec.taints') ?? []) as Array<{ key: string }>).map(({ key }) => key),
          };
        };
        await eventually(
          'the Node is Unknown',
          world.patienceMs,
          readyOf,
          ({ ready, taints }) => ready === 'Unknown' && taints.includes('node.kubernetes.io/unreachable'),
        );
      });
    });

    interface WatchEvent {
      readonly type: string;
      readonly object: KubeObject;
    }

    async function openWatch(path: string, { isRead = true } = {}) {
      const client = await world.clientCertificate('tester', ['system:masters']);
      const events: WatchEvent[] = [];
      let wake = Promise.withResolvers<void>();
      const ended = Promise.withResolvers<void>();
      const request = httpsRequest(world.url + path, {
        ca: world.ca,
        cert: client.certificate,
        key: client.key,
        agent: false,
      });
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        request.once('error', reject);
        request.once('response', resolve);
        request.end();
      });
      response.once('close', () => ended.resolve());
      response.on('error', () => ended.resolve());
      function read(): void {
        const lines = createInterface(response);
        // Closing a watch is an error to the reader of its lines.
        lines.on('error', () => ended.resolve());
        lines.on('line', (line) => {
          events.push(JSON.parse(line) as WatchEvent);
          wake.resolve();
          wake = Promise.withResolvers<void>();
        });
      }
      if (isRead) read();
      return {
        read,
        ended: ended.promise,
        /** Every event so far, once one is as wanted. */
        async until(isWanted: (event: WatchEvent) => boolean): Promise<readonly WatchEvent[]> {
          const deadline = AbortSignal.timeout(20_000);
          const tooLate = new Promise<never>((_, reject) =>
            deadline.addEventListener('abort', () =>
              reject(new Error(`not seen in ${JSON.stringify(events)}`)),
            ),
          );
          tooLate.catch(() => undefined);
          while (!events.some(isWanted)) await Promise.race([wake.promise, tooLate]);
          return events;
        },
        [Symbol.asyncDispose]: async () => {
          request.destroy();
        },
      };
    }
  });
}
