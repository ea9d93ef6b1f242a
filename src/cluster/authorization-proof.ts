import { createHash, randomBytes } from 'node:crypto';
import { request } from 'node:https';
import { isIP } from 'node:net';
import { text } from 'node:stream/consumers';
import { hostPort, messageOf } from '#base';
import { AUTHORIZER } from './authorization-configuration.ts';
import { absentIsFine, type KubeApi } from './kube-api.ts';
import type { SetupContext } from './setup.ts';

/** What one API server says of the authorization configuration that it runs. */
export interface ServerAuthorization {
  /** `192.0.2.1:6443` */
  readonly server: string;
  /**
   * `ours`: it runs the file of this machine. `another`: it runs a file that is not this machine's, and asks an authorizer of
   * ours. `none`: it does not ask ours. `unread`: it could not be asked.
   */
  readonly state: 'ours' | 'another' | 'none' | 'unread';
  /** Whether the webhook answered a question of this moment. */
  readonly isAnswered: boolean;
  /** Whether the answer was a refusal: it enforces. */
  readonly isEnforced: boolean;
  readonly detail: string;
}

/** The name that the question is about: no Node has it, and no stake can take it. */
const CANARY = 'k3s-daas-canary';
const withinMs = 5_000;

/**
 * Asks each API server of the cluster which authorization file it runs (the metric
 * `apiserver_authorization_config_controller_last_config_info` has the SHA-256 of its bytes), and asks it a question that
 * its authorizer must see: whether a node with a certificate for which nobody vouches may read a Node.
 * `file`: the bytes of this machine's file, if it is a server.
 */
export async function proveAuthorization(
  { api, signal }: Pick<SetupContext, 'api' | 'signal'>,
  file: string | undefined,
): Promise<readonly ServerAuthorization[]> {
  const wanted = file === undefined ? undefined : createHash('sha256').update(file).digest('hex');
  const servers = await apiServers(api, signal);
  return Promise.all(servers.map((server) => askServer({ api, signal, server, wanted })));
}

interface Question {
  readonly api: KubeApi;
  readonly signal: AbortSignal | undefined;
  readonly server: ApiServer;
  readonly wanted: string | undefined;
}

async function askServer(question: Question): Promise<ServerAuthorization> {
  const { server, wanted } = question;
  const name = hostPort(server.host, server.port);
  try {
    const before = readMetrics(await send(question, 'GET', '/metrics'));
    const isEnforced = isRefusal(await send(question, 'POST', reviews, reviewOfCanary()));
    const after = readMetrics(await send(question, 'GET', '/metrics'));
    const isAnswered = after.answers > before.answers;
    return { server: name, isAnswered, isEnforced, ...judge(after, wanted, isAnswered) };
  } catch (error) {
    return { server: name, state: 'unread', isAnswered: false, isEnforced: false, detail: messageOf(error) };
  }
}

function judge(
  { hash, failedReloads }: Metrics,
  wanted: string | undefined,
  isAnswered: boolean,
): Pick<ServerAuthorization, 'state' | 'detail'> {
  if (hash === undefined)
    return { state: 'none', detail: 'it runs no AuthorizationConfiguration (authorization-config)' };
  const reloads = failedReloads > 0 ? `; it could not read ${failedReloads} changes of its file` : '';
  if (hash === wanted)
    return { state: 'ours', detail: `it runs this machine's file${answered(isAnswered)}${reloads}` };
  if (isAnswered)
    return { state: 'another', detail: `it runs another file, and our webhook answers${reloads}` };
  return { state: 'none', detail: `it runs another file (sha256:${hash})${answered(isAnswered)}${reloads}` };
}

const answered = (isAnswered: boolean) =>
  isAnswered ? ', and the webhook answers' : '; no webhook of ours answered';

interface Metrics {
  readonly hash: string | undefined;
  readonly answers: number;
  readonly failedReloads: number;
}

/** Reads the metrics of an API server (Prometheus text format). Pure. */
export function readMetrics(metrics: string): Metrics {
  const hash =
    /^apiserver_authorization_config_controller_last_config_info\{[^}]*\bhash="sha256:([0-9a-f]{64})"[^}]*\} 1$/m;
  return {
    hash: hash.exec(metrics)?.[1],
    answers: sampleOf(metrics, 'apiserver_authorization_webhook_evaluations_total', [
      `name="${AUTHORIZER}"`,
      'result="success"',
    ]),
    failedReloads: sampleOf(metrics, 'apiserver_authorization_config_controller_automatic_reloads_total', [
      'status="failure"',
    ]),
  };
}

function sampleOf(metrics: string, name: string, labels: readonly string[]): number {
  for (const line of metrics.split('\n')) {
    const [, found = '', value = ''] = /^(\S+\{.*\}) (\S+)$/.exec(line) ?? [];
    if (found.startsWith(`${name}{`) && labels.every((label) => found.includes(label))) return Number(value);
  }
  return 0;
}

const reviews = '/apis/authorization.k8s.io/v1/subjectaccessreviews';

const reviewOfCanary = () => ({
  apiVersion: 'authorization.k8s.io/v1',
  kind: 'SubjectAccessReview',
  spec: {
    user: `system:node:${CANARY}`,
    groups: ['system:nodes', 'system:authenticated'],
    // Another one each time: an API server below 1.34 remembers an answer for a moment.
    extra: {
      'authentication.kubernetes.io/credential-id': [`X509SHA256=${randomBytes(32).toString('hex')}`],
    },
    resourceAttributes: { verb: 'get', version: 'v1', resource: 'nodes', name: CANARY },
  },
});

function isRefusal(body: string): boolean {
  const { status } = JSON.parse(body) as { status?: { denied?: boolean; reason?: string } };
  return status?.denied === true && status.reason?.startsWith('k3s-daas/') === true;
}

interface ApiServer {
  readonly host: string;
  readonly port: number;
  /** The name to expect in its certificate. */
  readonly name: string;
}

/** All API servers, by the endpoints of the Service `default/kubernetes`; the one of the kubeconfig where none is listed. */
async function apiServers(api: KubeApi, signal: AbortSignal | undefined): Promise<readonly ApiServer[]> {
  const own = new URL(api.config.getCurrentCluster()?.server ?? 'https://127.0.0.1:6443');
  const found = await absentIsFine(
    api.call(
      'read the endpoints of the API servers',
      (given) => api.core.readNamespacedEndpoints({ name: 'kubernetes', namespace: 'default' }, given),
      { signal },
    ),
  );
  const servers = (found?.subsets ?? []).flatMap(({ addresses = [], ports = [] }) =>
    addresses.flatMap(({ ip }) => ports.map(({ port }) => ({ host: ip, port, name: 'kubernetes' }))),
  );
  if (servers.length > 0) return servers;
  const host = own.hostname.replace(/^\[|\]$/g, '');
  return [{ host, port: Number(own.port || 443), name: isIP(host) ? 'kubernetes' : host }];
}

async function send(
  { api, signal, server }: Question,
  method: 'GET' | 'POST',
  path: string,
  body?: object,
): Promise<string> {
  const options = { method, host: server.host, port: server.port, servername: server.name, path };
  // Fills in the authorities and the credentials, and an agent that it makes for each request.
  await api.config.applyToHTTPSOptions(options);
  const deadline = AbortSignal.timeout(withinMs);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const outgoing = request(
    { ...options, agent: false, signal: signal ? AbortSignal.any([signal, deadline]) : deadline },
    (incoming) => {
      text(incoming).then((answer) => {
        const { statusCode = 0 } = incoming;
        if (statusCode < 300) resolve(answer);
        else reject(new Error(`${method} ${path} was answered with ${statusCode}`));
      }, reject);
    },
  );
  outgoing.once('error', reject);
  if (body) outgoing.setHeader('content-type', 'application/json');
  outgoing.end(body && JSON.stringify(body));
  return promise;
}
