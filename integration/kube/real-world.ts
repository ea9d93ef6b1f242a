import { inject } from 'vitest';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from './control-plane.ts';
import { startFrontOf } from './plane-front.ts';

/** Starts the control plane that the global setup found. */
async function startRealPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const found = inject('controlPlane');
  if (found.kind === 'missing') throw new Error(`there is no control plane: ${found.missing.join('; ')}`);
  return startControlPlane(found.binaries, options);
}

/** A real control plane, with the stand-in's supervisor in front, as a world that the shared suites can be run against. */
export async function startRealWorld(options: ControlPlaneOptions = {}): Promise<KubernetesWorld> {
  const plane = await startRealPlane(options);
  const front = await startFrontOf(plane);
  return {
    url: plane.url,
    supervisorUrl: front.url,
    ca: plane.serverCa.certificate,
    adminKubeconfigPath: plane.adminKubeconfigPath,
    clientCertificate: plane.clientCertificate,
    // Silent nodes are noticed after 40 to 50 s, pods without a node collected after 60 s at most.
    patienceMs: 90_000,
    async [Symbol.asyncDispose]() {
      await front.close();
      await plane.close();
    },
  };
}
