import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Authority, publicKeyOfRequest } from './authority.ts';
import {
  basicCredentials,
  bearerToken,
  bootstrapIdentity,
  certificateIdentity,
  parseBootstrapToken,
  type SecretData,
} from './credentials.ts';
import { readBody, sendJson, sendText } from './http.ts';
import { type Identity, nodeNameOf } from './identity.ts';
import { hashNodePassword, isNodePassword } from './node-password.ts';
import { badRequest, forbidden, Refusal, unauthorized } from './status.ts';

/**
 * What k3s' supervisor asks of Kubernetes. It does not matter where that lives: in this process, or in a real API
 * server that the supervisor stands in front of.
 */
export interface SupervisorCluster {
  /** A Secret of kube-system, decoded. */
  secret(name: string): Promise<SecretData | undefined>;
  /** Creates the password Secret of a node as k3s does: own type, immutable. Resolves false when it was there already. */
  createNodePassword(secretName: string, hash: string): Promise<boolean>;
  nodeExists(name: string): Promise<boolean>;
}

export interface SupervisorOptions {
  readonly cluster: SupervisorCluster;
  readonly serverCa: Authority;
  readonly clientCa: Authority;
  /** The operator's static token: the password of the users `node` and `server`, as long as no agent token is set. */
  readonly staticPassword: string;
  readonly dataDir: string;
  /** `host:port` of the API servers, as agents are to reach them. */
  readonly apiServers: () => readonly string[];
  readonly nowMs: () => number;
}

/** k3s' supervisor endpoints; facts measured on v1.36.2 (join, node password, group checks, words of the refusals). */
export function createSupervisor(options: SupervisorOptions) {
  const { cluster, serverCa, clientCa, staticPassword, dataDir, apiServers, nowMs } = options;
  return { isPath, handle, identify };

  function isPath(path: string): boolean {
    return path === '/cacerts' || path === '/ping' || path.startsWith('/v1-k3s/');
  }

  /** Basic, then the client certificate, then a bootstrap token: a bad token does not spoil a good certificate. */
  async function identify(request: IncomingMessage): Promise<Identity | undefined> {
    const basic = basicCredentials(request);
    if (basic?.user === 'node' && basic.password === staticPassword)
      return { username: 'node', groups: ['k3s:agent', 'system:authenticated'] };
    if (basic?.user === 'server' && basic.password === staticPassword)
      return { username: 'server', groups: ['k3s:server', 'system:authenticated'] };
    const certificate = certificateIdentity(request);
    if (certificate) return certificate;
    const token = parseBootstrapToken(bearerToken(request) ?? '');
    return token && bootstrapIdentity(token, await cluster.secret(`bootstrap-token-${token.id}`), nowMs());
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'https://supervisor').pathname;
    if (path === '/cacerts') return sendText(response, 200, serverCa.certificate, 'text/plain');
    if (path === '/ping') return sendText(response, 200, 'pong');

    const identity = await identify(request);
    if (!identity) throw unauthorized('not authorized');
    const mayJoin = ['k3s:agent', 'system:nodes', 'system:bootstrappers'].some((group) =>
      identity.groups.includes(group),
    );
    if (!mayJoin) throw forbidden('forbidden');
    switch (path) {
      case '/v1-k3s/readyz':
        return sendText(response, 200, 'ok');
      case '/v1-k3s/config':
        return sendJson(response, 200, agentConfiguration(dataDir));
      case '/v1-k3s/apiservers':
        return sendJson(response, 200, apiServers());
      case '/v1-k3s/client-ca.crt':
        return sendText(response, 200, clientCa.certificate);
      case '/v1-k3s/server-ca.crt':
        return sendText(response, 200, serverCa.certificate);
      case '/v1-k3s/serving-kubelet.crt': {
        const name = await verifyNode(request, identity);
        const addresses = String(request.headers['k3s-node-ip'] ?? '')
          .split(',')
          .filter((address) => address !== '');
        return sign(request, response, serverCa, {
          commonName: name,
          usage: 'server',
          names: [...new Set([name, 'localhost', '127.0.0.1', ...addresses])],
        });
      }
      case '/v1-k3s/client-kubelet.crt': {
        const name = await verifyNode(request, identity);
        return sign(request, response, clientCa, {
          commonName: `system:node:${name}`,
          organizations: ['system:nodes'],
          usage: 'client',
        });
      }
      case '/v1-k3s/client-kube-proxy.crt':
        return sign(request, response, clientCa, { commonName: 'system:kube-proxy', usage: 'client' });
      case '/v1-k3s/client-k3s-controller.crt':
        return sign(request, response, clientCa, { commonName: 'system:k3s-controller', usage: 'client' });
      case '/v1-k3s/connect':
        throw new Refusal(501, 'NotImplemented', 'this supervisor is a stand-in: it has no tunnel');
      default:
        throw new Refusal(404, 'NotFound', '404 page not found');
    }
  }

  /** Who may have a certificate of this node name; returns the name. */
  async function verifyNode(request: IncomingMessage, identity: Identity): Promise<string> {
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
    await verifyPassword(name, password);
    return name;
  }

  /** The first to come with a name sets its password; everybody after that must know it. */
  async function verifyPassword(name: string, password: string): Promise<void> {
    const secretName = `${name}.node-password.k3s`;
    const secret = await cluster.secret(secretName);
    if (!secret) {
      if (await cluster.createNodePassword(secretName, await hashNodePassword(password))) return;
      return verifyPassword(name, password);
    }
    if (!(await isNodePassword(password, secret.data.hash ?? '')))
      throw forbidden(`unable to verify password for node ${name}: hash does not match`);
  }

  async function sign(
    request: IncomingMessage,
    response: ServerResponse,
    authority: Authority,
    subject: Parameters<Authority['issue']>[0],
  ): Promise<void> {
    const body = await readBody(request);
    const publicKey = request.method === 'POST' ? publicKeyOfRequest(body) : undefined;
    if (publicKey)
      return sendText(response, 200, await authority.sign({ publicKey, ...subject }), 'text/plain');
    // For agents of old: whoever sends no certificate request gets the key too. k3s gives all of them the same one.
    const { certificate, key } = await authority.issue(subject);
    sendText(response, 200, certificate + key, 'text/plain');
  }
}

/** The members of k3s' `config.Control` that an agent reads; no passwords are among them in current k3s. */
function agentConfiguration(dataDir: string): Record<string, unknown> {
  return {
    ClusterDomain: 'cluster.local',
    ClusterDNS: '10.43.0.10',
    ClusterDNSs: ['10.43.0.10'],
    ClusterIPRange: { IP: '10.42.0.0', Mask: '//8AAA==' },
    ClusterIPRanges: [{ IP: '10.42.0.0', Mask: '//8AAA==' }],
    ServiceIPRange: { IP: '10.43.0.0', Mask: '//8AAA==' },
    ServiceIPRanges: [{ IP: '10.43.0.0', Mask: '//8AAA==' }],
    DataDir: dataDir,
    DisableKubeProxy: false,
    DisableNPC: false,
    EgressSelectorMode: 'agent',
    ExtraAPIArgs: null,
    FlannelBackend: 'vxlan',
    HTTPSPort: 6443,
    IPSECPSK: '',
    SupervisorPort: 6443,
    SupervisorMetrics: false,
  };
}
