import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import {
  type KubeconfigSource,
  openTenants,
  roleOfPermission,
  setupCluster,
  type TenantOptions,
} from '#cluster';
import { namespaceOfWallet, ownGroup, type Tenant } from '#domain';
import { type Answer, type Caller, callerOf, eventually, merge } from '../standin/kubernetes-calls.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import { startRealWorld } from './real-world.ts';

const found = inject('controlPlane');
const wallet = `0x${'71'.repeat(32)}`;
const other = `0x${'72'.repeat(32)}`;
const recordId = `0x${'b1'.repeat(32)}`;
const namespace = namespaceOfWallet(wallet);
const inNamespace = `/api/v1/namespaces/${namespace}`;
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const networks = `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;
const bindings = `${rbac}/namespaces/${namespace}/rolebindings`;
const apiGroup = 'rbac.authorization.k8s.io';
const quota = { pods: '20', 'requests.cpu': '4', configmaps: '2' };
const tenant: Tenant = {
  wallet,
  recordId,
  tier: 'standard',
  roles: [
    { permission: '*:*', role: 'admin' },
    { permission: 'services:write', role: 'k3s-daas:services:write' },
  ],
};

describe.skipIf(found.kind === 'missing')('the namespaces of people on a real kube-apiserver', () => {
  let world: KubernetesWorld;
  let admin: Caller;
  let keeper: Caller;
  let owner: Caller;
  let kubeconfig: KubeconfigSource;

  const open = (change: Partial<TenantOptions> = {}) =>
    openTenants({
      kubeconfig,
      placement: 'staked',
      podSecurity: 'restricted',
      quota: { basic: quota, standard: quota, premium: quota },
      roleOf: roleOfPermission,
      ...change,
    });
  async function setUp(tenants?: Parameters<typeof setupCluster>[0]['tenants']): Promise<string> {
    const done = await setupCluster({
      kubeconfig: { path: world.adminKubeconfigPath },
      ...(tenants && { tenants }),
    });
    return done.keeperKubeconfig?.reveal() ?? '';
  }
  const refused = (answer: Answer, sentence: string) => {
    expect(answer.object.message).toContain(sentence);
    expect(answer.status).toBe(403);
  };
  const binding = (name: string, role: string, subject: object) => ({
    metadata: { name },
    roleRef: { apiGroup, kind: 'ClusterRole', name: role },
    subjects: [{ apiGroup, kind: 'Group', ...subject }],
  });

  beforeAll(async () => {
    world = await startRealWorld();
    const as = async (user: string, groups: string[] = []) =>
      callerOf(world, await world.clientCertificate(user, groups));
    admin = await as('tester', ['system:masters']);
    owner = await as(
      `seal:${wallet}`,
      tenant.roles.map(({ permission }) => ownGroup(wallet, permission)),
    );
    const text = await setUp();
    kubeconfig = { text };
    const token = /token: (\S+)/.exec(text)?.[1] ?? '';
    keeper = callerOf(world, undefined, { authorization: `Bearer ${token}` });
    await using tenants = open();
    expect(await tenants.ensure(tenant)).toHaveLength(7);
    await eventually(
      'policies and roles count',
      20_000,
      () => owner('POST', `${inNamespace}/services?dryRun=All`, service({ type: 'NodePort' })),
      ({ object }) => object.message?.includes('k3s-daas-tenant-services') ?? false,
    );
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  const service = (spec: object) => ({
    metadata: { name: 'mine' },
    spec: { ports: [{ port: 80 }], ...spec },
  });

  test('the keeper binds nobody but the owner of a namespace, and no role that is not shipped', async () => {
    const own = ownGroup(wallet, 'pods:read');
    const bind = (role: string, subject: object, where = bindings) =>
      keeper('POST', where, binding('k3s-daas:x', role, subject));
    const whose = 'to the groups of the wallet whose namespace it is';
    for (const subject of [
      { name: 'system:authenticated' },
      { name: 'seal:perm:pods:read' },
      { name: ownGroup(other, 'pods:read') },
      { name: `${own}\nx` },
      { kind: 'User', name: own },
      { kind: 'User', name: 'system:serviceaccount:kube-system:k3s-daas-tenants' },
    ])
      refused(await bind('admin', subject), whose);
    refused(
      await bind('admin', { name: own }, `${rbac}/namespaces/kube-system/rolebindings`),
      'only namespaces with the label',
    );
    // What an administrator lets it bind, the policy does not.
    const rules = [{ apiGroups: [apiGroup], resources: ['clusterroles'], verbs: ['bind'] }];
    await admin('POST', `${rbac}/clusterroles`, { metadata: { name: 'binds-all' }, rules });
    await admin('POST', `${rbac}/clusterrolebindings`, {
      metadata: { name: 'binds-all' },
      roleRef: { apiGroup, kind: 'ClusterRole', name: 'binds-all' },
      subjects: [{ kind: 'ServiceAccount', name: 'k3s-daas-tenants', namespace: 'kube-system' }],
    });
    const answer = await eventually(
      'the right to bind counts',
      10_000,
      () => bind('cluster-admin', { name: own }),
      ({ object }) => !object.message?.includes('attempting to grant'),
    );
    refused(answer, 'this account binds the shipped roles');
    refused(await keeper('POST', bindings, binding('mine', 'admin', { name: own })), 'of its own names');
    const theirs = binding('theirs', 'view', { kind: 'User', name: 'friend' });
    expect((await owner('POST', bindings, theirs)).status).toBe(201);
    refused(await keeper('DELETE', `${bindings}/theirs`), 'deletes its own role bindings');
  });

  test('the keeper takes no namespace that is not a wallet’s, and weakens none', async () => {
    const label = 'k3s-daas.io/owner';
    const change = async (name: string, labels: object) => {
      const { object } = await admin('GET', `/api/v1/namespaces/${name}`);
      const all = Object.entries({ ...object.metadata.labels, ...labels });
      const left = Object.fromEntries(all.filter(([, value]) => value !== undefined));
      const metadata = { ...object.metadata, labels: left };
      return keeper('PUT', `/api/v1/namespaces/${name}`, { ...object, metadata });
    };
    refused(await change('kube-system', { [label]: 'x' }), 'only namespaces with the label');
    await admin('POST', '/api/v1/namespaces', { metadata: { name: `seal-${'9'.repeat(40)}` } });
    refused(await change(`seal-${'9'.repeat(40)}`, { [label]: 'x' }), 'only namespaces with the label');
    refused(await change(namespace, { [label]: 'x' }), 'only namespaces with the label');
    const enforce = 'pod-security.kubernetes.io/enforce';
    for (const labels of [
      { [enforce]: 'privileged' },
      { [enforce]: undefined },
      { [`${enforce}-version`]: 'v1.0' },
    ])
      refused(await change(namespace, labels), 'Pod Security of these namespaces is at least restricted');
    for (const placement of ['any', 'else', undefined])
      refused(
        await change(namespace, { 'k3s-daas.io/placement': placement }),
        'placement of these namespaces is at least staked',
      );
    const bare = { metadata: { name: namespaceOfWallet(other), labels: { [label]: 'x' } } };
    refused(await keeper('POST', '/api/v1/namespaces', bare), 'Pod Security');
    expect((await keeper('DELETE', inNamespace)).status).toBe(403);
    const open = { metadata: { name: 'open' }, spec: { podSelector: {}, ingress: [{}] } };
    refused(await keeper('POST', networks, open), 'of its own names');
  });

  test('an owner opens no port of the nodes and takes no address, whatever they may do in their namespace', async () => {
    const post = (spec: object) => owner('POST', `${inNamespace}/services`, service(spec));
    for (const spec of [
      { type: 'NodePort' },
      { type: 'LoadBalancer' },
      { type: 'ExternalName', externalName: 'x.y' },
    ])
      refused(await post(spec), 'are of type ClusterIP');
    refused(await post({ externalIPs: ['203.0.113.1'] }), 'have no externalIPs');
    expect((await post({})).status).toBe(201);
    refused(
      await owner('PATCH', `${inNamespace}/services/mine`, { spec: { externalIPs: ['203.0.113.1'] } }, merge),
      'have no externalIPs',
    );
    refused(
      await owner('PATCH', `${inNamespace}/services/mine`, { spec: { type: 'NodePort' } }, merge),
      'are of type ClusterIP',
    );
    // The operator makes what is to be reached from outside, and its owner can still work on the rest of it.
    const made = await admin('PATCH', `${inNamespace}/services/mine`, { spec: { type: 'NodePort' } }, merge);
    expect(made.status).toBe(200);
    const labels = { metadata: { labels: { a: 'b' } } };
    expect((await owner('PATCH', `${inNamespace}/services/mine`, labels, merge)).status).toBe(200);
  });

  test('an owner takes no host of an ingress that is not of their namespace', async () => {
    const ingresses = `/apis/networking.k8s.io/v1/namespaces/${namespace}/ingresses`;
    const http = {
      paths: [
        { path: '/', pathType: 'Prefix', backend: { service: { name: 'mine', port: { number: 80 } } } },
      ],
    };
    const ingress = (spec: object) => ({ metadata: { name: 'mine' }, spec });
    const post = (spec: object) => owner('POST', ingresses, ingress(spec));
    const mine = `app.${namespace}.example.com`;
    const sentence = 'has the name of the namespace as one of its labels';
    for (const host of ['api.example.com', `${namespace}x.example.com`, '*.example.com', undefined])
      refused(await post({ rules: [{ host, http }] }), sentence);
    refused(await post({ rules: [{ host: mine, http }, { http }] }), sentence);
    refused(await post({ rules: [{ host: mine, http }], tls: [{ hosts: ['api.example.com'] }] }), sentence);
    const defaultBackend = { service: { name: 'mine', port: { number: 80 } } };
    refused(await post({ rules: [{ host: mine, http }], defaultBackend }), 'has no default backend');
    expect((await post({ rules: [{ host: mine, http }], tls: [{ hosts: [mine] }] })).status).toBe(201);
    const rules = (host: string) => ({ spec: { rules: [{ host, http }] } });
    refused(await owner('PATCH', `${ingresses}/mine`, rules('api.example.com'), merge), sentence);
    // The operator gives the host, and its owner can still work on the rest of it.
    expect((await admin('PATCH', `${ingresses}/mine`, rules('shop.example.com'), merge)).status).toBe(200);
    const labels = { metadata: { labels: { a: 'b' } } };
    expect((await owner('PATCH', `${ingresses}/mine`, labels, merge)).status).toBe(200);
  });

  test('an owner takes off none of their limits, and opens their network to nobody outside', async () => {
    const kept = 'is kept by the gateway';
    refused(await owner('DELETE', `${networks}/k3s-daas-deny`), kept);
    refused(await owner('DELETE', networks), kept);
    // Nothing but its name forbids this change: of two policies that refuse, either may answer.
    const note = { metadata: { annotations: { note: 'mine' } } };
    refused(await owner('PATCH', `${networks}/k3s-daas-deny`, note, merge), kept);
    const open = { spec: { egress: [{}] } };
    expect((await owner('PATCH', `${networks}/k3s-daas-within`, open, merge)).status).toBe(403);
    refused(await owner('DELETE', `${bindings}/k3s-daas:*:*:admin`), kept);
    const policy = (name: string, spec: object) => ({
      metadata: { name },
      spec: { podSelector: {}, ...spec },
    });
    refused(await owner('POST', networks, policy('k3s-daas-mine', {})), kept);
    for (const spec of [
      { ingress: [{}] },
      { ingress: [{ from: [] }] },
      { ingress: [{ from: [{ namespaceSelector: {} }] }] },
      { policyTypes: ['Egress'], egress: [{}] },
      { policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] },
    ])
      refused(await owner('POST', networks, policy('open', spec)), 'pods of that namespace alone');
    const within = policy('within', { ingress: [{ from: [{ podSelector: { matchLabels: { a: 'b' } } }] }] });
    expect((await owner('POST', networks, within)).status).toBe(201);
    expect((await owner('DELETE', `${inNamespace}/resourcequotas/k3s-daas-tier`)).status).toBe(403);
  });

  test('what an administrator has deleted or changed is restored, without a login', async () => {
    await admin('DELETE', `${networks}/k3s-daas-deny`);
    await admin('PATCH', `${networks}/k3s-daas-within`, { spec: { egress: [{}] } }, merge);
    await admin('DELETE', `${inNamespace}/limitranges/k3s-daas-defaults`);
    await admin(
      'PATCH',
      `${inNamespace}/resourcequotas/k3s-daas-tier`,
      { spec: { hard: { pods: '99' } } },
      merge,
    );
    await using tenants = open();
    const { changes, namespaces } = await tenants.refresh();
    expect(namespaces).toMatchObject([{ wallet, namespace, recordIds: [recordId], endedAtMs: undefined }]);
    expect(changes.map((change) => change.replace(`${namespace}: `, '')).sort()).toEqual([
      `changed NetworkPolicy ${namespace}/k3s-daas-within`,
      `changed ResourceQuota ${namespace}/k3s-daas-tier`,
      `made LimitRange ${namespace}/k3s-daas-defaults`,
      `made NetworkPolicy ${namespace}/k3s-daas-deny`,
    ]);
    expect(await tenants.refresh()).toMatchObject({ changes: [] });
    expect(await tenants.ensure(tenant)).toEqual([]);
  });

  test('a quota that is written in another way is the same', async () => {
    await using tenants = open({
      quota: { basic: quota, standard: { ...quota, 'requests.cpu': '4000m' }, premium: quota },
    });
    expect(await tenants.ensure(tenant)).toEqual([]);
  });

  test('another role of a permission, or none, takes back what namespaces have', async () => {
    const roleOf = (permission: string) => {
      if (permission === '*:*') return 'edit';
      return permission === 'services:write' ? undefined : roleOfPermission(permission);
    };
    const names = async () =>
      (await admin('GET', bindings)).object.items?.map(({ metadata }) => metadata.name).sort();
    expect(await names()).toEqual([
      'k3s-daas:*:*:admin',
      'k3s-daas:services:write:k3s-daas:services:write',
      'theirs',
    ]);
    await using tenants = open({ roleOf });
    expect((await tenants.refresh()).changes).toHaveLength(2);
    expect(await names()).toEqual(['theirs']);
    expect((await owner('GET', `${inNamespace}/services`)).status).toBe(403);
    // The role is the operator's own choice: `gateway setup` has to see it first.
    const roles = [{ permission: '*:*', role: 'edit' }];
    await expect(tenants.ensure({ ...tenant, roles })).rejects.toMatchObject({
      message: expect.stringContaining('the shipped roles, and those of gateway.tenants.roles') as string,
    });
    const terms = { placement: 'staked', podSecurity: 'restricted', removesNamespaces: false } as const;
    await setUp({ ...terms, ownRoles: ['edit'] });
    await eventually(
      'the new policy counts',
      20_000,
      () => tenants.ensure({ ...tenant, roles }).catch((error: unknown) => error),
      Array.isArray,
    );
    expect(await names()).toEqual(['k3s-daas:*:*:edit', 'theirs']);
  });

  test('another placement and level of Pod Security reach the namespaces that are there', async () => {
    await setUp({ placement: 'any', podSecurity: 'baseline', removesNamespaces: false, ownRoles: [] });
    await using tenants = open({ placement: 'any', podSecurity: 'baseline' });
    await eventually(
      'the new policy counts',
      20_000,
      () => tenants.refresh().catch((error: unknown) => error as { changes?: unknown }),
      ({ changes }) => Array.isArray(changes),
    );
    const { object } = await admin('GET', inNamespace);
    expect(object.metadata.labels).toMatchObject({
      'k3s-daas.io/placement': 'any',
      'pod-security.kubernetes.io/enforce': 'baseline',
    });
    await using stricter = open({ placement: 'own' });
    expect((await stricter.refresh()).changes).toHaveLength(1);
    const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
    const pod = {
      metadata: { name: 'p' },
      spec: {
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [{ name: 'c', image: 'i', securityContext }],
      },
    };
    const marked = object.metadata.labels?.['k3s-daas.io/owner'] ?? '';
    const selected = (value: string) => ({
      ...pod,
      spec: { ...pod.spec, nodeSelector: { 'k3s-daas.node-restriction.kubernetes.io/owner': value } },
    });
    const post = (body: object) => admin('POST', `${inNamespace}/pods?dryRun=All`, body);
    refused(await post(pod), `k3s-daas.node-restriction.kubernetes.io/owner=${marked}`);
    refused(await post(selected('somebody')), 'on the staked nodes of its own wallet');
    const allowed = await post(selected(marked));
    expect(allowed.object.message ?? '').not.toContain('k3s-daas');
  });

  test('the end of a stake is written in the namespace; it is removed only if the operator says so', async () => {
    const end = {
      wallet,
      endedAtMs: Date.parse('2026-11-29T12:00:00Z'),
      keptUntilMs: Date.parse('2026-12-06T12:00:00Z'),
    };
    await using tenants = open({ placement: 'own' });
    await tenants.announceEnd({ ...end, isRemoved: true });
    await tenants.announceEnd({ ...end, isRemoved: true });
    const { namespaces } = await tenants.refresh();
    expect(namespaces).toMatchObject([{ endedAtMs: end.endedAtMs, keptUntilMs: end.keptUntilMs }]);
    const { items = [] } = (await admin('GET', `${inNamespace}/events`)).object;
    expect(items.map(({ reason, message }) => [reason, message])).toEqual([
      ['StakeEnded', expect.stringContaining('kept until 2026-12-06T12:00:00.000Z, and removed after that')],
    ]);
    await expect(tenants.remove(wallet)).rejects.toMatchObject({ code: 'DAAS_CLUSTER_FORBIDDEN' });
    // A login ends the countdown.
    await tenants.ensure({ ...tenant, roles: [] });
    expect((await tenants.refresh()).namespaces).toMatchObject([{ endedAtMs: undefined }]);
    expect(await tenants.remove(wallet)).toBe(false);

    await setUp({ placement: 'own', podSecurity: 'restricted', removesNamespaces: true, ownRoles: [] });
    refused(
      await eventually(
        'the right to delete counts',
        20_000,
        () => keeper('DELETE', inNamespace),
        ({ object }) => object.message?.includes('deletes its own role bindings') ?? false,
      ),
      'namespaces whose stake has ended',
    );
    await tenants.announceEnd({ ...end, isRemoved: true });
    await eventually(
      'the namespace to go',
      20_000,
      () => tenants.remove(wallet).catch(() => false),
      (isRemoved) => isRemoved,
    );
    expect((await admin('GET', inNamespace)).object.metadata.deletionTimestamp ?? 'gone').toBeTruthy();
  });
});
