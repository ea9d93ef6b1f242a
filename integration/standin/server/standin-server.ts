import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { hostPort, Lifetime } from '#base';
import { type Authority, caHash, type KeyPair, openAuthority } from './authority.ts';
import {
  type ControllerMemory,
  type ControllerPace,
  holdNode,
  realisticPace,
  releaseNode,
  runControllers,
} from './controllers.ts';
import { bearerToken, type SecretData } from './credentials.ts';
import { sendFailure } from './http.ts';
import type { Identity } from './identity.ts';
import { createKubernetesApi } from './kubernetes-api.ts';
import { isRecord, type KubeObject, resourceNamed } from './objects.ts';
import { Refusal } from './status.ts';
import { createStore, named, type Store, timestamp } from './store.ts';
import { createSupervisor } from './supervisor.ts';
import type { SupervisorCluster } from './supervisor-options.ts';

export interface StandinServerOptions {
  /** k3s' `--data-dir`: CAs, tokens and kubeconfigs lie where k3s puts them. */
  readonly dataDir: string;
  /** 0, the default, takes a free one. */
  readonly port?: number;
  readonly host?: string;
  /** Kubernetes' version, as `/version` tells it. */
  readonly gitVersion?: string;
  readonly pace?: Partial<ControllerPace>;
  /** The operator's static token (k3s' `--token`), without the CA hash; drawn unless given. */
  readonly token?: string;
  /** Name of the server's own Node, which is there from the start; none unless given (k3s' `--disable-agent`). */
  readonly serverNode?: string;
}

export interface StandinServer extends AsyncDisposable {
  readonly url: string;
  readonly dataDir: string;
  /** `<data-dir>/server/tls/server-ca.crt`, the file whose hash is in a join credential. */
  readonly serverCaPath: string;
  readonly caHash: string;
  /** Kubeconfig of a cluster administrator (group `system:masters`), 0600. */
  readonly adminKubeconfigPath: string;
  /** The operator's static token, as in `<data-dir>/server/token`; admits any node, as with k3s. */
  readonly staticToken: string;
  readonly clientCa: Authority;
  readonly serverCa: Authority;
  /** What the API holds, for tests that look past the API. */
  readonly store: Store;
  /** Kubeconfig text for a client certificate of this user and these groups. */
  kubeconfigFor(username: string, groups?: readonly string[]): Promise<string>;
  close(): Promise<void>;
}

/** Starts the stand-in for `k3s server`: supervisor and Kubernetes API on one TLS port. */
export async function startStandinServer(options: StandinServerOptions): Promise<StandinServer> {
  const { dataDir, port = 0, host = '127.0.0.1', gitVersion = 'v1.36.2+k3s-standin', serverNode } = options;
  const pace = { ...realisticPace, ...options.pace };
  const nowMs = () => Date.now();
  const lifetime = new Lifetime();
  const tls = join(dataDir, 'server', 'tls');
  const [serverCa, clientCa] = [await openAuthority(tls, 'server-ca'), await openAuthority(tls, 'client-ca')];
  const store = createStore(nowMs);
  furnish(store, nowMs(), serverNode);

  const staticPassword = options.token ?? randomBytes(16).toString('hex');
  const serving = await serverCa.issue({
    commonName: 'k3s',
    organizations: ['k3s'],
    usage: 'server',
    names: ['localhost', 'kubernetes', 'kubernetes.default', '127.0.0.1', '::1', host],
  });
  let address = '';
  const supervisor = createSupervisor({
    cluster: clusterOf(store),
    serverCa,
    clientCa,
    staticPassword,
    dataDir,
    apiServers: () => [address],
    nowMs,
  });
  const api = createKubernetesApi({ store, nowMs, gitVersion });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'https://k3s').pathname;
    if (supervisor.isPath(path)) return supervisor.handle(request, response);
    const identity = serviceAccountOf(store, bearerToken(request)) ?? (await supervisor.identify(request));
    return api.handle(request, response, identity);
  }

  const server = createServer(
    {
      cert: serving.certificate,
      key: serving.key,
      ca: clientCa.certificate,
      requestCert: true,
      // Who comes without a certificate may still have a token; who comes with a foreign one is nobody.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      // Watches stay open and quiet.
      requestTimeout: 0,
    },
    (request, response) => {
      answer(request, response).catch((error: unknown) => sendFailure(response, error));
    },
  );
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  lifetime.defer('server', () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    return closed;
  });
  const bound = server.address() as AddressInfo;
  address = hostPort(host, bound.port);
  const url = `https://${address}`;

  runControllersOf(store, nowMs, pace, lifetime);
  holdNodes(store, lifetime);

  const hash = caHash(serverCa.certificate);
  const staticToken = `K10${hash}::server:${staticPassword}`;
  const kubeconfigFor = async (username: string, groups: readonly string[] = []) =>
    kubeconfigText(
      url,
      serverCa.certificate,
      await clientCa.issue({ commonName: username, organizations: groups, usage: 'client' }),
    );
  const adminKubeconfigPath = join(dataDir, 'server', 'cred', 'admin.kubeconfig');
  await mkdir(join(dataDir, 'server', 'cred'), { recursive: true, mode: 0o700 });
  await writeFile(adminKubeconfigPath, await kubeconfigFor('system:admin', ['system:masters']), {
    mode: 0o600,
  });
  await writeFile(join(dataDir, 'server', 'token'), `${staticToken}\n`, { mode: 0o600 });

  return {
    url,
    dataDir,
    serverCaPath: join(tls, 'server-ca.crt'),
    caHash: hash,
    adminKubeconfigPath,
    staticToken,
    clientCa,
    serverCa,
    store,
    kubeconfigFor,
    close: () => lifetime.close(),
    [Symbol.asyncDispose]: () => lifetime.close(),
  };
}

/** A kubeconfig with everything inside, as k3s writes its own. */
export function kubeconfigText(server: string, certificateAuthority: string, client: KeyPair): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'default',
    clusters: [
      { name: 'default', cluster: { server, 'certificate-authority-data': base64(certificateAuthority) } },
    ],
    contexts: [{ name: 'default', context: { cluster: 'default', user: 'default' } }],
    users: [
      {
        name: 'default',
        user: {
          'client-certificate-data': base64(client.certificate),
          'client-key-data': base64(client.key),
        },
      },
    ],
  });
}

/** Rounds of the controllers: on a timer, and soon after every change. */
function runControllersOf(store: Store, nowMs: () => number, pace: ControllerPace, lifetime: Lifetime): void {
  const memory: ControllerMemory = new Map();
  let isDue = false;
  const round = () => {
    isDue = false;
    tokensOfServiceAccounts(store);
    runControllers(store, nowMs(), pace, memory);
  };
  const timer = setInterval(round, pace.tickMs);
  const unsubscribe = store.subscribe(() => {
    if (isDue) return;
    isDue = true;
    setImmediate(() => {
      if (!lifetime.isClosed) round();
    });
  });
  lifetime.defer('controllers', () => {
    clearInterval(timer);
    unsubscribe();
  });
}

const releaseAfterMs = 15;

/** k3s' own controller of Nodes, which does not wait for a round. */
function holdNodes(store: Store, lifetime: Lifetime): void {
  const later = new Set<NodeJS.Timeout>();
  function soon(act: typeof holdNode, name: string | undefined, delayMs: number): void {
    const timer = setTimeout(() => {
      later.delete(timer);
      const node = store.get(named.node, '', name ?? '');
      if (node) act(store, node);
    }, delayMs);
    later.add(timer);
  }
  for (const node of store.list(named.node)) holdNode(store, node);
  const unsubscribe = store.subscribe(({ type, resource, object: { metadata } }) => {
    if (resource !== 'nodes' || type === 'DELETED') return;
    if (metadata.deletionTimestamp === undefined) soon(holdNode, metadata.name, 0);
    else soon(releaseNode, metadata.name, releaseAfterMs);
  });
  lifetime.defer('the hold on nodes', () => {
    unsubscribe();
    for (const timer of later) clearTimeout(timer);
  });
}

/** What a fresh cluster holds. */
function furnish(store: Store, nowMs: number, serverNode: string | undefined): void {
  const make = (plural: string, object: KubeObject) => store.create(resourceNamed(plural), object);
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease'])
    make('namespaces', { metadata: { name }, status: { phase: 'Active' } });
  const role = (name: string, rules: unknown[], user: string) => {
    make('clusterroles', { metadata: { name }, rules });
    make('clusterrolebindings', {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: user }],
    });
  };
  const watching = ['get', 'list', 'watch'];
  // The identities that every k3s agent shares: kube-proxy's rules are Kubernetes' own, the other ones k3s'.
  role(
    'system:node-proxier',
    [
      { apiGroups: [''], resources: ['services', 'endpoints'], verbs: ['list', 'watch'] },
      { apiGroups: [''], resources: ['nodes'], verbs: watching },
    ],
    'system:kube-proxy',
  );
  role(
    'system:k3s-controller',
    [
      { apiGroups: [''], resources: ['pods', 'namespaces', 'endpoints', 'nodes'], verbs: watching },
      { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
    ],
    'system:k3s-controller',
  );
  if (serverNode !== undefined) {
    const at = timestamp(nowMs);
    make('nodes', {
      metadata: { name: serverNode, labels: { 'node-role.kubernetes.io/control-plane': 'true' } },
      spec: {},
      status: {
        conditions: [
          {
            type: 'Ready',
            status: 'True',
            reason: 'KubeletReady',
            lastHeartbeatTime: at,
            lastTransitionTime: at,
          },
        ],
      },
    });
    make('leases', {
      metadata: { name: serverNode, namespace: 'kube-node-lease' },
      // This Node has no kubelet that would renew it: it is given a long life instead.
      spec: { holderIdentity: serverNode, renewTime: timestamp(nowMs + 365 * 86_400_000) },
    });
  }
}

const decoded = (secret: KubeObject): Record<string, string> =>
  Object.fromEntries(
    Object.entries(isRecord(secret.data) ? secret.data : {}).map(([key, value]) => [
      key,
      Buffer.from(String(value), 'base64').toString('utf8'),
    ]),
  );

/** The supervisor's view of the API in this process. */
function clusterOf(store: Store): SupervisorCluster {
  const namespace = 'kube-system';
  return {
    async secret(name): Promise<SecretData | undefined> {
      const found = store.get(named.secret, namespace, name);
      return (
        found && {
          type: String(found.type),
          isBeingDeleted: found.metadata.deletionTimestamp !== undefined,
          data: decoded(found),
        }
      );
    },
    async createNodePassword(name, hash) {
      try {
        store.create(named.secret, {
          metadata: { name, namespace },
          type: 'k3s.cattle.io/node-password',
          immutable: true,
          data: { hash: Buffer.from(hash).toString('base64') },
        });
        return true;
      } catch (error) {
        if (error instanceof Refusal && error.code === 409) return false;
        throw error;
      }
    },
    nodeExists: async (name) => store.get(named.node, '', name) !== undefined,
  };
}

const accountTokenType = 'kubernetes.io/service-account-token';

/** The token controller: a Secret of this type gets a token for the account that its annotation names. */
function tokensOfServiceAccounts(store: Store): void {
  for (const secret of store.list(named.secret)) {
    if (secret.type !== accountTokenType || isRecord(secret.data)) continue;
    const account = secret.metadata.annotations?.['kubernetes.io/service-account.name'] ?? '';
    const { namespace = '' } = secret.metadata;
    if (!store.get(resourceNamed('serviceaccounts'), namespace, account)) continue;
    const data = { token: `standin.${randomBytes(24).toString('base64url')}`, namespace };
    store.replace(named.secret, {
      ...secret,
      data: Object.fromEntries(
        Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
      ),
    });
  }
}

function serviceAccountOf(store: Store, token: string | undefined): Identity | undefined {
  if (!token?.startsWith('standin.')) return undefined;
  const secret = store
    .list(named.secret)
    .find((one) => one.type === accountTokenType && decoded(one).token === token);
  if (!secret) return undefined;
  const { namespace = '', annotations } = secret.metadata;
  const account = annotations?.['kubernetes.io/service-account.name'] ?? '';
  return {
    username: `system:serviceaccount:${namespace}:${account}`,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  };
}
