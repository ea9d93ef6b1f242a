import type { IncomingMessage } from 'node:http';
import { type Identity, nodeNameOf } from './identity.ts';
import { hashNodePassword, isNodePassword } from './node-password.ts';
import { badRequest, forbidden, unauthorized } from './status.ts';
import type { SupervisorCluster } from './supervisor-options.ts';

/** Decides who may have a certificate of the node name in the request; returns the name, throws a `Refusal`. */
export async function verifyNode(
  cluster: SupervisorCluster,
  request: IncomingMessage,
  identity: Identity,
): Promise<string> {
  const name = String(request.headers['k3s-node-name'] ?? '').toLowerCase();
  const password = String(request.headers['k3s-node-password'] ?? '');
  if (name === '') throw badRequest('node name not set');
  const own = nodeNameOf(identity);
  if (own !== undefined) {
    if (own !== name) throw badRequest('header node name does not match auth node name');
    // A kubelet certificate whose Node is gone is worth nothing here.
    if (!(await cluster.nodeExists(name)))
      throw unauthorized(`unable to verify node identity: nodes "${name}" not found`);
  }
  if (password === '') throw badRequest('node password not set');
  await verifyPassword(cluster, name, password);
  return name;
}

/** The first request with a name sets its password; every later one must know it. */
async function verifyPassword(cluster: SupervisorCluster, name: string, password: string): Promise<void> {
  const secretName = `${name}.node-password.k3s`;
  const secret = await cluster.secret(secretName);
  if (!secret) {
    if (await cluster.createNodePassword(secretName, await hashNodePassword(password))) return;
    // Another request was faster: its password counts.
    return verifyPassword(cluster, name, password);
  }
  if (!(await isNodePassword(password, secret.data.hash ?? '')))
    throw forbidden(`unable to verify password for node ${name}: hash does not match`);
}
