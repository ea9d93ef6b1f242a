import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { startSupervisorFront } from '../standin/server/supervisor-front.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from './control-plane.ts';

/** Starts the control plane that the global setup found. */
async function startRealPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const found = inject('controlPlane');
  if (found.kind === 'missing') throw new Error(`there is no control plane: ${found.missing.join('; ')}`);
  return startControlPlane(found.binaries, options);
}

/** A real control plane, with the stand-in's supervisor in front, as a world that the shared suites can be run against. */
export async function startRealWorld(options: ControlPlaneOptions = {}): Promise<KubernetesWorld> {
  const plane = await startRealPlane(options);
  const front = await startSupervisorFront({
    apiUrl: plane.url,
    serverCa: plane.serverCa,
    clientCa: plane.clientCa,
    frontProxy: plane.frontProxy,
    admin: await plane.clientCertificate('system:k3s-supervisor', ['system:masters']),
    dataDir: plane.directory,
    staticPassword: randomBytes(16).toString('hex'),
  });
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
