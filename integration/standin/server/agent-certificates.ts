import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Authority, publicKeyOfRequest } from './authority.ts';
import { readBody, sendText } from './http.ts';
import type { Identity } from './identity.ts';
import { verifyNode } from './node-verification.ts';
import type { SupervisorOptions } from './supervisor-options.ts';

type CertificateSubject = Parameters<Authority['issue']>[0];

interface CertificateOrder {
  readonly authority: Authority;
  readonly subject: CertificateSubject;
}

/** The certificate behind this path, or undefined when there is none; throws a `Refusal` for another identity's node. */
export async function certificateOrder(
  { cluster, serverCa, clientCa }: SupervisorOptions,
  path: string,
  request: IncomingMessage,
  identity: Identity,
): Promise<CertificateOrder | undefined> {
  switch (path) {
    case '/v1-k3s/serving-kubelet.crt':
      return {
        authority: serverCa,
        subject: servingSubject(await verifyNode(cluster, request, identity), request),
      };
    case '/v1-k3s/client-kubelet.crt':
      return {
        authority: clientCa,
        subject: kubeletSubject(await verifyNode(cluster, request, identity)),
      };
    case '/v1-k3s/client-kube-proxy.crt':
      return { authority: clientCa, subject: { commonName: 'system:kube-proxy', usage: 'client' } };
    case '/v1-k3s/client-k3s-controller.crt':
      return { authority: clientCa, subject: { commonName: 'system:k3s-controller', usage: 'client' } };
    default:
      return undefined;
  }
}

function servingSubject(name: string, request: IncomingMessage): CertificateSubject {
  const addresses = String(request.headers['k3s-node-ip'] ?? '')
    .split(',')
    .filter((address) => address !== '');
  return {
    commonName: name,
    usage: 'server',
    names: [...new Set([name, 'localhost', '127.0.0.1', ...addresses])],
  };
}

const kubeletSubject = (name: string): CertificateSubject => ({
  commonName: `system:node:${name}`,
  organizations: ['system:nodes'],
  usage: 'client',
});

/** Answers with the certificate in PEM: for the key of the request's own CSR, else with a key of its own. */
export async function sendCertificate(
  { authority, subject }: CertificateOrder,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request);
  const publicKey = request.method === 'POST' ? publicKeyOfRequest(body) : undefined;
  if (publicKey)
    return sendText(response, 200, await authority.sign({ publicKey, ...subject }), 'text/plain');
  // Old agents send no certificate request and get the key too. k3s gives all of them the same key.
  const { certificate, key } = await authority.issue(subject);
  sendText(response, 200, certificate + key, 'text/plain');
}
