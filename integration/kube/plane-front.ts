import { randomBytes } from 'node:crypto';
import { type SupervisorFront, startSupervisorFront } from '../standin/server/supervisor-front.ts';
import type { ControlPlane } from './control-plane.ts';

/** The stand-in's supervisor in front of a real control plane, on one port. */
export async function startFrontOf(
  plane: ControlPlane,
  listen: { readonly host?: string; readonly port?: number } = {},
): Promise<SupervisorFront> {
  return startSupervisorFront({
    apiUrl: plane.url,
    serverCa: plane.serverCa,
    clientCa: plane.clientCa,
    frontProxy: plane.frontProxy,
    admin: await plane.clientCertificate('system:k3s-supervisor', ['system:masters']),
    dataDir: plane.directory,
    staticPassword: randomBytes(16).toString('hex'),
    ...listen,
  });
}
