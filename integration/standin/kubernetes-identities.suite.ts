import { randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { suiteWorld } from '../suite-world.ts';
import {
  callerOf,
  eventually,
  merge,
  nodeBody,
  podBody,
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
describe.skipIf(suiteWorld.isMissing)(`identities in the Kubernetes API of ${suiteWorld.name}`, () => {
  const { world, admin, asNode } = useKubernetes();

  describe('who may do what', () => {
    test('nobody is let in without credentials, and a stranger’s certificate may do nothing', async () => {
      const anonymous = callerOf(world(), undefined);
      expect(await anonymous('GET', '/api/v1/nodes')).toMatchObject({
        status: 401,
        object: { reason: 'Unauthorized' },
      });
      const nobody = callerOf(world(), await world().clientCertificate('nobody'));
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
      const patched = await kubelet('PATCH', `/api/v1/nodes/${other}/status`, readyStatus('True'), strategic);
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
      expect((await kubelet('POST', '/api/v1/nodes', nodeBody(own, { spec: { taints } }))).status).toBe(201);
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
      const joiner = callerOf(world(), undefined, { authorization: `Bearer ${id}.${secret}` });
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
        const joiner = callerOf(world(), undefined, { authorization: bearer });
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
        user: callerOf(world(), await world().clientCertificate('reader')),
        account: callerOf(world(), undefined, { authorization: `Bearer ${bearer}` }),
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
});
