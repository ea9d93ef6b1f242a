import type { IncomingMessage, ServerResponse } from 'node:http';
import { certificateOrder, sendCertificate } from './agent-certificates.ts';
import {
  basicCredentials,
  bearerToken,
  bootstrapIdentity,
  certificateIdentity,
  parseBootstrapToken,
} from './credentials.ts';
import { sendJson, sendText } from './http.ts';
import type { Identity } from './identity.ts';
import { forbidden, Refusal, unauthorized } from './status.ts';
import type { SupervisorOptions } from './supervisor-options.ts';

/** k3s' supervisor endpoints; facts measured on v1.36.2 (join, node password, group checks, words of the refusals). */
export function createSupervisor(options: SupervisorOptions) {
  return {
    isPath,
    /** Answers one request; throws a `Refusal`. */
    handle: (request: IncomingMessage, response: ServerResponse) => handle(options, request, response),
    /** The identity behind the credentials of a request, or undefined when none of them is valid. */
    identify: (request: IncomingMessage) => identify(options, request),
  };
}

function isPath(path: string): boolean {
  return path === '/cacerts' || path === '/ping' || path.startsWith('/v1-k3s/');
}

/** Basic, then the client certificate, then a bootstrap token: a bad token does not spoil a good certificate. */
async function identify(
  { cluster, staticPassword, nowMs }: SupervisorOptions,
  request: IncomingMessage,
): Promise<Identity | undefined> {
  const basic = basicCredentials(request);
  if (basic?.user === 'node' && basic.password === staticPassword)
    return { username: 'node', groups: ['k3s:agent', 'system:authenticated'] };
  if (basic?.user === 'server' && basic.password === staticPassword)
    return { username: 'server', groups: ['k3s:server', 'system:authenticated'] };
  const certificate = certificateIdentity(request);
  if (certificate) return certificate;
  const bearer = bearerToken(request) ?? '';
  const token = parseBootstrapToken(bearer);
  if (!token) return undefined;
  const secret = await cluster.secret(`bootstrap-token-${token.id}`);
  return secret ? bootstrapIdentity(token, secret, nowMs()) : cluster.review?.(bearer);
}

async function handle(
  options: SupervisorOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = new URL(request.url ?? '/', 'https://supervisor').pathname;
  if (path === '/cacerts') return sendText(response, 200, options.serverCa.certificate, 'text/plain');
  if (path === '/ping') return sendText(response, 200, 'pong');

  const identity = await identify(options, request);
  if (!identity) throw unauthorized('not authorized');
  if (!mayJoin(identity)) throw forbidden('forbidden');
  const order = await certificateOrder(options, path, request, identity);
  if (order) return sendCertificate(order, request, response);
  switch (path) {
    case '/v1-k3s/readyz':
      return sendText(response, 200, 'ok');
    case '/v1-k3s/config':
      return sendJson(response, 200, agentConfiguration(options.dataDir));
    case '/v1-k3s/apiservers':
      return sendJson(response, 200, options.apiServers());
    case '/v1-k3s/client-ca.crt':
      return sendText(response, 200, options.clientCa.certificate);
    case '/v1-k3s/server-ca.crt':
      return sendText(response, 200, options.serverCa.certificate);
    case '/v1-k3s/connect':
      throw new Refusal(501, 'NotImplemented', 'this supervisor is a stand-in: it has no tunnel');
    default:
      throw new Refusal(404, 'NotFound', '404 page not found');
  }
}

const joiningGroups = ['k3s:agent', 'system:nodes', 'system:bootstrappers'];

const mayJoin = ({ groups }: Identity): boolean => joiningGroups.some((group) => groups.includes(group));

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
