import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import {
  MOST_NEW_ADDRESSES,
  NODE_MARK,
  openKubernetes,
  type PolicyPair,
  setupCluster,
  sharedIdentitiesPolicy,
  workerNodesPolicy,
} from '#cluster';
import {
  type Answer,
  type Caller,
  callerOf,
  eventually,
  merge,
  nodeBody,
  strategic,
} from '../standin/kubernetes-calls.ts';
import { attacks, flannel, joined } from '../standin/shared-identity-writes.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import { startRealWorld } from './real-world.ts';

/** One attack for each rule, in the order of the rules: it is refused with the rule, and passes without it. */
const found = inject('controlPlane');

describe.skipIf(found.kind === 'missing')('every rule of the policies on writes to Nodes is needed', () => {
  let world: KubernetesWorld;
  let admin: Caller;
  let controller: Caller;
  let proxy: Caller;
  let kubelet: Caller;
  const url = '/api/v1/nodes/victim';
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
  const dryRun = 'dryRun=All';
  const operatorsAddress = '192.0.2.1';

  beforeAll(async () => {
    world = await startRealWorld();
    const as = async (user: string, groups: string[] = []) =>
      callerOf(world, await world.clientCertificate(user, groups));
    admin = await as('tester', ['system:masters']);
    controller = await as('system:k3s-controller');
    proxy = await as('system:kube-proxy');
    kubelet = await as('system:node:victim', ['system:nodes']);
    await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
    const wide = { name: 'writes-nodes' };
    const rules = [{ apiGroups: [''], resources: ['nodes', 'nodes/status'], verbs: ['*'] }];
    await admin('POST', `${rbac}/clusterroles`, { metadata: wide, rules });
    const apiGroup = 'rbac.authorization.k8s.io';
    await admin('POST', `${rbac}/clusterrolebindings`, {
      metadata: wide,
      roleRef: { apiGroup, kind: 'ClusterRole', ...wide },
      subjects: ['system:k3s-controller', 'system:kube-proxy'].map((name) => ({
        kind: 'User',
        apiGroup,
        name,
      })),
    });
    await admin('POST', '/api/v1/nodes', nodeBody('victim', joined.body('victim')));
    await admin('PATCH', `${url}/status`, joined.status, strategic);
    await admin('PATCH', `${url}/status`, flannel({}), strategic);
    // Of a name that is not listed: whose certificate writes here is nobody's word.
    await admin('POST', '/api/v1/nodes', nodeBody('foreign', joined.body('foreign')));
    await admin('PATCH', '/api/v1/nodes/foreign/status', joined.status, strategic);
    const held = { metadata: { labels: { [NODE_MARK]: 'x' } }, spec: { unschedulable: true } };
    await admin('PATCH', url, held, merge);
    await using cluster = openKubernetes({ kubeconfig: { path: world.adminKubeconfigPath } });
    await cluster.admitName({ nodeId: 'victim', tier: 'untainted' });
    await cluster.holdAddresses([operatorsAddress]);
    await eventually(
      'roles and names count',
      10_000,
      () => kubelet('POST', `/api/v1/nodes?${dryRun}`, nodeBody('victim')),
      // It is there already, and the list lets it pass.
      ({ status }) => status === 409,
    );
  });
  afterAll(() => world?.[Symbol.asyncDispose]());

  const attack = (what: string) => (): Promise<Answer> => {
    const one = attacks('victim').find((each) => each.what === what);
    if (!one) throw new Error(`there is no attack '${what}'`);
    const target = one.target === 'object' ? url : `${url}/status`;
    return controller('PATCH', `${target}?${dryRun}`, one.body, one.contentType ?? merge);
  };
  const ofShared: ReadonlyArray<() => Promise<Answer>> = [
    () => controller('DELETE', `${url}?${dryRun}`),
    () => proxy('PATCH', `${url}/status?${dryRun}`, flannel({}), strategic),
    () => controller('PATCH', `/api/v1/nodes/foreign/status?${dryRun}`, flannel({}), strategic),
    attack('a role'),
    attack('an annotation'),
    attack('a filled Node'),
    attack('a foreign public-ip'),
    attack('taints'),
    attack('addresses'),
    attack('NotReady'),
    attack('a finalizer'),
    attack('an owner'),
  ];
  const made = (more: object) => async (): Promise<Answer> => {
    // What passes admission is told that the Node is there already.
    const answer = await kubelet('POST', `/api/v1/nodes?${dryRun}`, { ...nodeBody('victim'), ...more });
    return answer.status === 409 ? { ...answer, status: 200 } : answer;
  };
  const owner = {
    apiVersion: 'v1',
    kind: 'Node',
    name: 'other',
    uid: '5a5a5a5a-0000-0000-0000-000000000000',
  };
  const ofWorkers: ReadonlyArray<() => Promise<Answer>> = [
    made({ metadata: { name: 'victim', finalizers: ['example.com/stay'] } }),
    made({ metadata: { name: 'victim', ownerReferences: [owner] } }),
    made({ spec: { podCIDR: '10.42.0.0/24', podCIDRs: ['10.42.0.0/24'] } }),
    () => kubelet('PATCH', `${url}?${dryRun}`, { spec: { unschedulable: null } }, merge),
    () =>
      reports(...Array.from({ length: MOST_NEW_ADDRESSES + 1 }, (_value, index) => `198.51.100.${index}`)),
    () => reports('::ffff:192.0.2.77'),
    ...Array.from(
      { length: MOST_NEW_ADDRESSES },
      (_value, place) => () =>
        reports(...Array.from({ length: place }, (_each, index) => `198.51.100.${index}`), operatorsAddress),
    ),
  ];
  const reports = (...texts: string[]) => {
    const addresses = texts.map((address) => ({ type: 'InternalIP', address }));
    return kubelet('PATCH', `${url}/status?${dryRun}`, { status: { addresses } }, merge);
  };

  async function holds({ policy }: PolicyPair, tries: ReadonlyArray<() => Promise<Answer>>): Promise<void> {
    const name = policy.metadata?.name ?? '';
    const rules = policy.spec?.validations ?? [];
    expect(tries.length).toBe(rules.length);
    // A patch: the type checker writes the status of a policy whenever its rules change.
    const write = async (validations: unknown[]) => {
      const answer = await admin('PATCH', `${policies}/${name}`, { spec: { validations } }, merge);
      expect(answer.status).toBe(200);
    };
    for (const [index, rule] of rules.entries()) {
      const ask = tries[index] ?? (() => Promise.reject(new Error('no attack')));
      const isRefused = ({ status, object }: Answer) =>
        status === 403 && (object.message?.includes(`'${name}'`) ?? false);
      await eventually(`refused: ${rule.message}`, 20_000, ask, isRefused);
      await write(rules.filter((one) => one !== rule));
      await eventually(`passes without: ${rule.message}`, 20_000, ask, ({ status }) => status === 200);
      await write(rules);
    }
  }

  test('of the identities that all agents share', { timeout: 240_000 }, () =>
    holds(sharedIdentitiesPolicy(), ofShared),
  );

  test('of kubelets', { timeout: 120_000 }, () => holds(workerNodesPolicy(), ofWorkers));

  // The last one: setup lists every Node that is there as the operator's.
  test('setup notices that the writes of an agent of the operator’s are refused, and names the policy and the answer', async () => {
    const kubeconfig = { path: world.adminKubeconfigPath };
    await admin('POST', '/api/v1/nodes', nodeBody('operators', joined.body('operators')));
    await setupCluster({ kubeconfig });
    const bindings = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings';
    const metadata = { name: 'foreign' };
    await admin('POST', policies, {
      metadata,
      spec: {
        matchConstraints: {
          resourceRules: [
            { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['nodes/status'] },
          ],
        },
        validations: [
          { expression: "request.userInfo.username != 'system:k3s-controller'", reason: 'Forbidden' },
        ],
      },
    });
    await admin('POST', bindings, { metadata, spec: { policyName: 'foreign', validationActions: ['Deny'] } });
    await eventually(
      'the foreign policy refuses',
      20_000,
      () => controller('PATCH', '/api/v1/nodes/operators/status', {}, merge),
      ({ status }) => status === 403,
    );
    await expect(setupCluster({ kubeconfig, check: true })).rejects.toMatchObject({
      code: 'DAAS_POLICY_NOT_IN_FORCE',
      message: expect.stringMatching(/k3s-daas-shared-identities.*must let pass.*'foreign'/s),
    });
    await admin('DELETE', `${bindings}/foreign`);
    await admin('DELETE', `${policies}/foreign`);
    await setupCluster({ kubeconfig });
  });
});
