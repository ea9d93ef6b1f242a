import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inject } from 'vitest';
import type { Lifetime } from '#base';
import { KubernetesApi } from '../world/kubernetes.ts';
import { type K3s, standinMachines } from '../world/standin-k3s.ts';
import type { SuiteWorld } from '../world/suite-worlds.ts';
import type { ControlPlaneOptions } from './control-plane.ts';
import { startRealWorld } from './real-world.ts';

export const kube: SuiteWorld = {
  name: 'a real control plane',
  isMissing: inject('controlPlane').kind === 'missing',
  startKubernetes: () => startRealWorld(),
  k3s: { startK3s: (directory, life) => startKubeK3s(directory, life) },
};

/** A cluster whose Kubernetes API is the real one: only the supervisor in front of it, and the agents, are stand-ins. */
export async function startKubeK3s(
  directory: string,
  life: Lifetime,
  options: ControlPlaneOptions = {},
): Promise<K3s> {
  const world = life.use('the control plane', await startRealWorld(options));
  const serverCaFile = join(directory, 'server-ca.crt');
  await writeFile(serverCaFile, world.ca);
  // A server's own Node, there before the gateway is set up.
  using administrator = await KubernetesApi.fromKubeconfig(world.adminKubeconfigPath);
  await administrator.send('POST', '/api/v1/nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'server' },
  });
  return {
    server: world.supervisorUrl,
    serverCaFile,
    kubeconfig: world.adminKubeconfigPath,
    gatewayHost: '127.0.0.1',
    machine: standinMachines(life),
  };
}
