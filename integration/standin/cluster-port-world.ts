import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { type Kubernetes, openKubernetes, type SetupResult, setupCluster } from '#cluster';
import { suiteWorld } from '../suite-world.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import { type Caller, callerOf, nodeBody } from './kubernetes-calls.ts';

export const drawRecord = () => `0x${randomBytes(32).toString('hex')}`;
export const secrets = '/api/v1/namespaces/kube-system/secrets';
export const pods = '/api/v1/namespaces/default/pods';

export let world: KubernetesWorld;
export let admin: Caller;
export let setup: SetupResult;
export let cluster: Kubernetes;
beforeAll(async () => {
  world = await suiteWorld.startKubernetes();
  admin = callerOf(world, await world.clientCertificate('tester', ['system:masters']));
  await admin('POST', '/api/v1/nodes', nodeBody('was-here-before'));
  setup = await setupCluster({
    kubeconfig: { path: world.adminKubeconfigPath },
    ordinaryNames: ['coming-server'],
    reservedNames: ['absent-server'],
  });
  cluster = openKubernetes({ kubeconfig: { text: setup.kubeconfig?.reveal() ?? '' }, podGraceMs: 300 });
});
afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});
