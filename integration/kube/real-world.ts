import { inject } from 'vitest';
import type { KubernetesWorld } from '../standin/kubernetes-api.suite.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

/** Starts the control plane that the global setup found. */
export async function startRealPlane(): Promise<ControlPlane> {
  const found = inject('controlPlane');
  if (found.kind === 'missing') throw new Error(`there is no control plane: ${found.missing.join('; ')}`);
  return startControlPlane(found.binaries);
}

/** A real control plane as a world that the shared suites can be run against. */
export async function startRealWorld(): Promise<KubernetesWorld> {
  const plane = await startRealPlane();
  return {
    url: plane.url,
    ca: plane.serverCa.certificate,
    adminKubeconfigPath: plane.adminKubeconfigPath,
    clientCertificate: plane.clientCertificate,
    // Silent nodes are noticed after 40 to 50 s, pods without a node collected after 60 s at most.
    patienceMs: 90_000,
    [Symbol.asyncDispose]: () => plane.close(),
  };
}
