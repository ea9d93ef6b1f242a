import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { join } from 'node:path';
import { hostPort, Lifetime } from '#base';
import { type Authority, caHash, openAuthority } from './authority.ts';
import { holdNodes, runControllersOf } from './controller-rounds.ts';
import { type ControllerPace, realisticPace } from './controllers.ts';
import { bearerToken } from './credentials.ts';
import { furnish } from './fresh-cluster.ts';
import { sendFailure } from './http.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { createKubernetesApi } from './kubernetes-api.ts';
import { listen } from './listening.ts';
import { serviceAccountOf } from './service-accounts.ts';
import { clusterOf } from './standin-cluster.ts';
import { createStore, type Store } from './store.ts';
import { createSupervisor } from './supervisor.ts';

export interface StandinServerOptions {
  /** k3s' `--data-dir`: CAs, tokens and kubeconfigs lie where k3s puts them. */
  readonly dataDir: string;
  /** 0, the default, takes a free one. */
  readonly port?: number;
  readonly host?: string;
  /** Kubernetes' version, as `/version` gives it. */
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
  const nowMs = () => Date.now();
  const lifetime = new Lifetime();
  const tls = join(dataDir, 'server', 'tls');
  const [serverCa, clientCa] = [await openAuthority(tls, 'server-ca'), await openAuthority(tls, 'client-ca')];
  const store = createStore(nowMs);
  furnish(store, nowMs(), { serverNode, clientCa: clientCa.certificate });

  const staticPassword = options.token ?? randomBytes(16).toString('hex');
  let address = '';
  const parts: ServingParts = {
    store,
    supervisor: createSupervisor({
      cluster: clusterOf(store),
      serverCa,
      clientCa,
      staticPassword,
      dataDir,
      apiServers: () => [address],
      nowMs,
    }),
    api: createKubernetesApi({ store, nowMs, gitVersion }),
  };
  const server = await openServer({ serverCa, clientCa, host }, (request, response) => {
    answer(parts, request, response).catch((error: unknown) => sendFailure(response, error));
  });
  address = hostPort(host, await listen(server, { host, port, lifetime }));
  const url = `https://${address}`;

  runControllersOf(store, nowMs, { ...realisticPace, ...options.pace }, lifetime);
  holdNodes(store, lifetime);

  const hash = caHash(serverCa.certificate);
  const staticToken = `K10${hash}::server:${staticPassword}`;
  const kubeconfigFor = async (username: string, groups: readonly string[] = []) =>
    kubeconfigText(
      url,
      serverCa.certificate,
      await clientCa.issue({ commonName: username, organizations: groups, usage: 'client' }),
    );
  const adminKubeconfig = await kubeconfigFor('system:admin', ['system:masters']);
  return {
    url,
    dataDir,
    serverCaPath: join(tls, 'server-ca.crt'),
    caHash: hash,
    adminKubeconfigPath: await writeOperatorFiles(dataDir, adminKubeconfig, staticToken),
    staticToken,
    clientCa,
    serverCa,
    store,
    kubeconfigFor,
    close: () => lifetime.close(),
    [Symbol.asyncDispose]: () => lifetime.close(),
  };
}

interface ServingParts {
  readonly store: Store;
  readonly supervisor: ReturnType<typeof createSupervisor>;
  readonly api: ReturnType<typeof createKubernetesApi>;
}

async function answer(
  { store, supervisor, api }: ServingParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = new URL(request.url ?? '/', 'https://k3s').pathname;
  if (supervisor.isPath(path)) return supervisor.handle(request, response);
  const identity = serviceAccountOf(store, bearerToken(request)) ?? (await supervisor.identify(request));
  return api.handle(request, response, identity);
}

interface ServerIdentity {
  readonly serverCa: Authority;
  readonly clientCa: Authority;
  readonly host: string;
}

/** A TLS server with a certificate of k3s' names, which does not listen yet. */
async function openServer(
  { serverCa, clientCa, host }: ServerIdentity,
  onRequest: RequestListener,
): Promise<Server> {
  const serving = await serverCa.issue({
    commonName: 'k3s',
    organizations: ['k3s'],
    usage: 'server',
    names: ['localhost', 'kubernetes', 'kubernetes.default', '127.0.0.1', '::1', host],
  });
  const server = createServer(
    {
      cert: serving.certificate,
      key: serving.key,
      ca: clientCa.certificate,
      requestCert: true,
      // A client without a certificate may still have a token. A certificate of another CA gives no identity.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      // Watches stay open and quiet.
      requestTimeout: 0,
    },
    onRequest,
  );
  server.keepAliveTimeout = 75_000;
  return server;
}

/** Writes the administrator's kubeconfig and the static token where k3s puts them; returns the kubeconfig's path. */
async function writeOperatorFiles(dataDir: string, kubeconfig: string, staticToken: string): Promise<string> {
  const directory = join(dataDir, 'server');
  const kubeconfigPath = join(directory, 'cred', 'admin.kubeconfig');
  await mkdir(join(directory, 'cred'), { recursive: true, mode: 0o700 });
  await writeFile(kubeconfigPath, kubeconfig, { mode: 0o600 });
  await writeFile(join(directory, 'token'), `${staticToken}\n`, { mode: 0o600 });
  return kubeconfigPath;
}
