import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type Kubernetes, nodePolicies, openKubernetes, setupCluster } from '#cluster';
import {
  type Answer,
  type Caller,
  callerOf,
  eventually,
  nodeBody,
  strategic,
} from '../standin/kubernetes-calls.ts';
import { fingerprintOf } from '../world/fingerprint.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import { startRealWorld } from './real-world.ts';

const found = inject('controlPlane');
const names = 5_000;
const atOnce = 8;
const rounds = 3;
const perRound = 150;
const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
const bindings = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings';

/**
 * What the list of names costs at 5 000 of them, beside the ConfigMap that the first version made the parameter of its
 * policy. It prints figures and asserts none: they are this machine's.
 */
describe.skipIf(found.kind === 'missing')('the list of names at 5 000 names', () => {
  let world: KubernetesWorld;
  let admin: Caller;
  let cluster: Kubernetes;
  let kubelet: Caller;
  let fingerprint: string;
  const nameOf = (index: number) => `worker-${index}`;
  const vouchOf = (nodeId: string, print: string) => ({
    nodeId,
    identity: 'kubelet' as const,
    fingerprint: print,
    notAfterMs: 0,
  });

  beforeAll(async () => {
    world = await startRealWorld();
    admin = callerOf(world, await world.clientCertificate('tester', ['system:masters']));
    const { kubeconfig } = await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
    cluster = openKubernetes({ kubeconfig: { text: kubeconfig?.reveal() ?? '' } });
    const pair = await world.clientCertificate(`system:node:${nameOf(0)}`, ['system:nodes']);
    kubelet = callerOf(world, pair);
    fingerprint = fingerprintOf(pair.certificate);
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  const create = () => kubelet('POST', '/api/v1/nodes?dryRun=All', nodeBody(nameOf(0)));
  async function listAll(): Promise<number> {
    const beganAt = performance.now();
    for (let start = 0; start < names; start += atOnce)
      await Promise.all(
        Array.from({ length: Math.min(atOnce, names - start) }, (_value, index) => {
          const nodeId = nameOf(start + index);
          const print = start + index === 0 ? fingerprint : (start + index).toString(16).padStart(64, '0');
          return cluster.admitName({ nodeId, tier: 'untainted', vouches: [vouchOf(nodeId, print)] });
        }),
      );
    return performance.now() - beganAt;
  }

  async function timesOf(ask: () => Promise<Answer>): Promise<number[]> {
    const times: number[] = [];
    for (let count = 0; count < perRound; count += 1) {
      const beganAt = performance.now();
      const { status } = await ask();
      times.push(performance.now() - beganAt);
      expect([200, 201]).toContain(status);
    }
    return times;
  }
  const figures = (times: readonly number[]): string => {
    const sorted = [...times].sort((one, other) => one - other);
    const at = (share: number) => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(2);
    return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
  };

  /** The first version's policy, as far as it reads the list. */
  async function putConfigMapPolicy(): Promise<void> {
    const data = Object.fromEntries(
      Array.from({ length: names }, (_value, index) => [nameOf(index), 'untainted']),
    );
    await admin('POST', '/api/v1/namespaces/kube-system/configmaps', {
      metadata: { name: 'the-names' },
      data,
    });
    await admin('POST', policies, {
      metadata: { name: 'by-config-map' },
      spec: {
        failurePolicy: 'Fail',
        paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
        matchConstraints: {
          resourceRules: [
            { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['nodes'] },
          ],
        },
        validations: [{ expression: 'object.metadata.name in params.data', reason: 'Forbidden' }],
      },
    });
    await admin('POST', bindings, {
      metadata: { name: 'by-config-map' },
      spec: {
        policyName: 'by-config-map',
        validationActions: ['Deny'],
        paramRef: { name: 'the-names', namespace: 'kube-system', parameterNotFoundAction: 'Deny' },
      },
    });
    console.log(
      `the ConfigMap: ${Math.round(JSON.stringify(data).length / 1024)} KiB without any fingerprint`,
    );
  }

  const pairs = nodePolicies();
  const unbind = async (bound: readonly string[]) => {
    for (const name of bound) await admin('DELETE', `${bindings}/${name}`);
    // A binding acts for about a second longer.
    await sleep(2_500);
  };
  const ours = pairs.map(({ policy }) => policy.metadata?.name ?? '');
  const bindOurs = async () => {
    for (const { binding } of pairs) await admin('POST', bindings, binding);
    await sleep(2_500);
  };

  test('size, and what a write of a kubelet costs', { timeout: 600_000 }, async () => {
    const few = { create: [] as number[], tend: [] as number[] };
    await cluster.admitName({
      nodeId: nameOf(0),
      tier: 'untainted',
      vouches: [vouchOf(nameOf(0), fingerprint)],
    });
    await eventually('the name counts', 10_000, create, ({ status }) => status === 201);
    few.create.push(...(await timesOf(create)));
    console.log(`written in ${((await listAll()) / 1_000).toFixed(1)} s, ${atOnce} at a time`);
    const role = await admin(
      'GET',
      '/apis/rbac.authorization.k8s.io/v1/roles?labelSelector=app.kubernetes.io/managed-by=k3s-daas',
    );
    const kib = Math.round(JSON.stringify(role.object).length / 1024);
    console.log(
      `the Roles: ${kib} KiB as JSON, ${Math.round((kib * 1024) / names)} bytes a name with one fingerprint`,
    );
    const beganAt = performance.now();
    expect((await cluster.admittedNames()).size).toBe(names);
    console.log(`read as a whole in ${Math.round(performance.now() - beganAt)} ms`);
    await admin('POST', '/api/v1/nodes', nodeBody(nameOf(1)));
    // Of the second name too: what is measured is a Node that is there.
    const pair = await world.clientCertificate(`system:node:${nameOf(1)}`, ['system:nodes']);
    const second = callerOf(world, pair);
    const tendSecond = () =>
      second('PATCH', `/api/v1/nodes/${nameOf(1)}/status?dryRun=All`, { metadata: {} }, strategic);
    const on = { create: [] as number[], tend: [] as number[] };
    const off = { create: [] as number[], tend: [] as number[] };
    const byMap: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      on.create.push(...(await timesOf(create)));
      on.tend.push(...(await timesOf(tendSecond)));
      await unbind(ours);
      off.create.push(...(await timesOf(create)));
      off.tend.push(...(await timesOf(tendSecond)));
      if (round === 0) await putConfigMapPolicy();
      else await bindMap();
      await sleep(2_500);
      byMap.push(...(await timesOf(create)));
      await unbind(['by-config-map']);
      await bindOurs();
    }
    console.log(`Node CREATE, ours, 1 name: ${figures(few.create)}`);
    console.log(`Node CREATE, no policy: ${figures(off.create)}`);
    console.log(`Node CREATE, ours, ${names} names: ${figures(on.create)}`);
    console.log(`Node CREATE, ConfigMap of ${names} names: ${figures(byMap)}`);
    console.log(`Node status PATCH, no policy: ${figures(off.tend)}`);
    console.log(`Node status PATCH, ours, ${names} names: ${figures(on.tend)}`);
  });

  async function bindMap(): Promise<void> {
    await admin('POST', bindings, {
      metadata: { name: 'by-config-map' },
      spec: {
        policyName: 'by-config-map',
        validationActions: ['Deny'],
        paramRef: { name: 'the-names', namespace: 'kube-system', parameterNotFoundAction: 'Deny' },
      },
    });
  }
});
