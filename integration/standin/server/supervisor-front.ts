import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, createServer, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Lifetime } from '#base';
import { type Authority, caHash, type KeyPair } from './authority.ts';
import { certificateIdentity, type SecretData } from './credentials.ts';
import { sendFailure } from './http.ts';
import { at, isRecord, type KubeObject } from './objects.ts';
import { Refusal } from './status.ts';
import { createSupervisor } from './supervisor.ts';
import type { SupervisorCluster } from './supervisor-options.ts';
import { send } from './worker.ts';

export interface SupervisorFrontOptions {
  /** The real API server. */
  readonly apiUrl: string;
  readonly serverCa: Authority;
  readonly clientCa: Authority;
  /** An administrator's client certificate: the supervisor's own identity. */
  readonly admin: KeyPair;
  /** A client certificate that the API server takes for an authenticating proxy's (`--requestheader-client-ca-file`). */
  readonly frontProxy: KeyPair;
  readonly dataDir: string;
  /** The operator's static token password. */
  readonly staticPassword: string;
  readonly host?: string;
  readonly port?: number;
  /** A password Secret without a Node is swept when it is older; k3s' 10 min unless given. */
  readonly passwordSweepMs?: number;
}

export interface SupervisorFront extends AsyncDisposable {
  /** Supervisor and Kubernetes API behind one address, as k3s has them. */
  readonly url: string;
  readonly caHash: string;
  close(): Promise<void>;
}

/**
 * The stand-in's supervisor in front of a real API server, on one port, as k3s serves both: a join runs end to end, and
 * what decides on the Node is the real thing. Requests to the API are passed on for the identity of the caller's client
 * certificate through the API server's own proxy headers (only the certificate's fingerprint gets lost on the way).
 */
export async function startSupervisorFront(options: SupervisorFrontOptions): Promise<SupervisorFront> {
  const { apiUrl, serverCa, clientCa, frontProxy, dataDir, staticPassword } = options;
  const { host = '127.0.0.1', port = 0, passwordSweepMs = 600_000 } = options;
  const lifetime = new Lifetime();
  const api = plainApi(options);
  const proxyAgent = new Agent({
    ca: serverCa.certificate,
    cert: frontProxy.certificate,
    key: frontProxy.key,
    keepAlive: true,
  });
  const bareAgent = new Agent({ ca: serverCa.certificate, keepAlive: true });
  lifetime.defer('connections', () => {
    proxyAgent.destroy();
    bareAgent.destroy();
  });
  let address = '';
  const supervisor = createSupervisor({
    cluster: clusterOf(api),
    serverCa,
    clientCa,
    staticPassword,
    dataDir,
    apiServers: () => [address],
    nowMs: () => Date.now(),
  });

  const serving = await serverCa.issue({
    commonName: 'k3s',
    usage: 'server',
    names: ['localhost', '127.0.0.1', 'kubernetes', host],
  });
  const server = createServer(
    {
      cert: serving.certificate,
      key: serving.key,
      ca: clientCa.certificate,
      requestCert: true,
      rejectUnauthorized: false,
      requestTimeout: 0,
    },
    (request, response) => {
      const path = new URL(request.url ?? '/', 'https://k3s').pathname;
      if (supervisor.isPath(path))
        supervisor.handle(request, response).catch((error: unknown) => sendFailure(response, error));
      else passOn(request, response);
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  lifetime.defer('server', () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    return closed;
  });
  address = `${host}:${(server.address() as AddressInfo).port}`;

  let round: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    round = round.then(() => tendNodePasswords(api, passwordSweepMs)).catch(() => undefined);
  }, 500);
  lifetime.defer('node passwords', () => {
    clearInterval(timer);
    return round;
  });

  function passOn(request: IncomingMessage, response: ServerResponse): void {
    const identity = certificateIdentity(request);
    const headers: Record<string, string | string[] | undefined> = {};
    // Whoever could send these himself would be anybody.
    for (const [name, value] of Object.entries(request.headers))
      if (!name.startsWith('x-remote-') && name !== 'host' && name !== 'connection') headers[name] = value;
    if (identity) {
      headers['x-remote-user'] = identity.username;
      headers['x-remote-group'] = identity.groups.filter((group) => group !== 'system:authenticated');
      delete headers.authorization;
    }
    const upstream = httpsRequest(
      new URL(request.url ?? '/', apiUrl),
      { method: request.method ?? 'GET', headers, agent: identity ? proxyAgent : bareAgent },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        response.flushHeaders();
        answer.pipe(response);
        answer.on('error', () => response.destroy());
      },
    );
    // Not `once`: what is piped after the first error brings a second one.
    upstream.on('error', (error) =>
      sendFailure(
        response,
        new Refusal(503, 'ServiceUnavailable', `the API server cannot be reached: ${error.message}`),
      ),
    );
    response.once('close', () => upstream.destroy());
    request.pipe(upstream);
  }

  return {
    url: `https://${address}`,
    caHash: caHash(serverCa.certificate),
    close: () => lifetime.close(),
    [Symbol.asyncDispose]: () => lifetime.close(),
  };
}

type PlainApi = (
  method: string,
  path: string,
  body?: unknown,
  contentType?: string,
) => Promise<{ status: number; object: KubeObject }>;

function plainApi({ apiUrl, serverCa, admin }: SupervisorFrontOptions): PlainApi {
  return async (method, path, body, contentType = 'application/json') => {
    const answer = await send({
      url: apiUrl + path,
      method,
      ca: serverCa.certificate,
      client: admin,
      headers: { 'content-type': contentType },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, object: JSON.parse(answer.text) as KubeObject };
  };
}

const secrets = '/api/v1/namespaces/kube-system/secrets';
const passwordType = 'k3s.cattle.io/node-password';
const passwordSuffix = '.node-password.k3s';

function clusterOf(api: PlainApi): SupervisorCluster {
  return {
    async secret(name): Promise<SecretData | undefined> {
      const { status, object } = await api('GET', `${secrets}/${name}`);
      if (status === 404) return undefined;
      if (status !== 200) throw unready(object);
      const data = Object.entries(isRecord(object.data) ? object.data : {});
      return {
        type: String(object.type),
        isBeingDeleted: object.metadata.deletionTimestamp !== undefined,
        data: Object.fromEntries(
          data.map(([key, value]) => [key, Buffer.from(String(value), 'base64').toString('utf8')]),
        ),
      };
    },
    async createNodePassword(name, hash) {
      const body = { metadata: { name }, type: passwordType, immutable: true, stringData: { hash } };
      const { status, object } = await api('POST', secrets, body);
      if (status !== 201 && status !== 409) throw unready(object);
      return status === 201;
    },
    async nodeExists(name) {
      const { status, object } = await api('GET', `/api/v1/nodes/${name}`);
      if (status !== 200 && status !== 404) throw unready(object);
      return status === 200;
    },
  };
}

const unready = (answer: KubeObject): Refusal =>
  new Refusal(503, 'ServiceUnavailable', `the API server did not answer as hoped: ${String(answer.message)}`);

/** k3s' own controller of password Secrets: owned by the Node once there is one, swept after long without. */
async function tendNodePasswords(api: PlainApi, sweepMs: number): Promise<void> {
  const listed = async (path: string) => ((await api('GET', path)).object.items ?? []) as KubeObject[];
  const passwords = await listed(`${secrets}?fieldSelector=type%3D${encodeURIComponent(passwordType)}`);
  if (passwords.length === 0) return;
  const nodes = new Map((await listed('/api/v1/nodes')).map((node) => [node.metadata.name, node]));
  for (const { metadata } of passwords) {
    const { name = '', uid, creationTimestamp = '', resourceVersion } = metadata;
    const node = nodes.get(name.slice(0, -passwordSuffix.length));
    const owner = node && {
      apiVersion: 'v1',
      kind: 'Node',
      name: node.metadata.name,
      uid: node.metadata.uid,
    };
    if (!owner) {
      const isOld = Date.now() - Date.parse(creationTimestamp) > sweepMs;
      if (isOld && !at(metadata, 'ownerReferences'))
        await api('DELETE', `${secrets}/${name}`, { preconditions: { uid } });
    } else if (!metadata.ownerReferences?.some((one) => one.uid === owner.uid)) {
      const patch = { metadata: { resourceVersion, ownerReferences: [owner] } };
      await api('PATCH', `${secrets}/${name}`, patch, 'application/merge-patch+json');
    }
  }
}
