import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lifetime } from '#base';
import { type Authority, type KeyPair, openAuthority } from '../standin/server/authority.ts';
import { kubeconfigText } from '../standin/server/kubeconfig.ts';
import { send } from '../standin/server/worker.ts';
import { etcdFlags } from '../state/etcd-server.ts';
import type { ControlPlaneBinaries } from './binaries.ts';

/** A running etcd, kube-apiserver and kube-controller-manager on loopback, with CAs of their own. */
export interface ControlPlane extends AsyncDisposable {
  readonly url: string;
  readonly directory: string;
  readonly serverCa: Authority;
  readonly clientCa: Authority;
  /** Client certificate of the API server's front proxy: it may act as any user (`X-Remote-User`). */
  readonly frontProxy: KeyPair;
  readonly adminKubeconfigPath: string;
  /** Issues a certificate signed by the client CA, as k3s does. */
  readonly clientCertificate: (username: string, groups?: readonly string[]) => Promise<KeyPair>;
  kubeconfigFor(username: string, groups?: readonly string[]): Promise<string>;
  /** The kubeconfig of `system:node:<name>` in `system:nodes`. */
  nodeKubeconfig(name: string): Promise<string>;
  /** Starts one more API server on the same etcd, with the same keys; resolves with its URL. */
  anotherApiServer(options?: ControlPlaneOptions): Promise<string>;
  close(): Promise<void>;
}

export interface ControlPlaneOptions {
  /** An AuthorizationConfiguration in place of Node and RBAC. */
  readonly authorizationConfigFile?: string;
  /** Further flags of the API server. */
  readonly apiServerFlags?: readonly string[];
  /** Further flags of the controller manager. */
  readonly controllerFlags?: readonly string[];
}

const readyWithinMs = 90_000;

/**
 * Starts a control plane with the flags that decide here as k3s sets them: Node and RBAC authorization, NodeRestriction,
 * bootstrap tokens, no anonymous requests, the token cleaner. Ready within 90 s or an error with the end of the log.
 */
export async function startControlPlane(
  binaries: ControlPlaneBinaries,
  options: ControlPlaneOptions = {},
): Promise<ControlPlane> {
  const lifetime = new Lifetime();
  try {
    return await start(binaries, lifetime, options);
  } catch (error) {
    await lifetime.close();
    throw error;
  }
}

async function start(
  binaries: ControlPlaneBinaries,
  lifetime: Lifetime,
  options: ControlPlaneOptions,
): Promise<ControlPlane> {
  const site = await openSite(binaries, lifetime);
  const { url, directory, serverCa, clientCa } = site;
  await startEtcd(site);
  const admin = await clientCa.issue({
    commonName: 'system:admin',
    organizations: ['system:masters'],
    usage: 'client',
  });
  await startApiServer(site, admin, options);
  await mkdir(join(directory, 'cred'), { mode: 0o700 });
  const adminKubeconfigPath = await writeKubeconfig(site, 'admin.kubeconfig', admin);
  await startControllers(site, admin, options);

  const clientCertificate = (username: string, groups: readonly string[] = []) =>
    clientCa.issue({ commonName: username, organizations: groups, usage: 'client' });
  const kubeconfigFor = async (username: string, groups: readonly string[] = []) =>
    kubeconfigText(url, serverCa.certificate, await clientCertificate(username, groups));
  return {
    url,
    directory,
    serverCa,
    clientCa,
    frontProxy: await site.proxyCa.issue({ commonName: 'system:auth-proxy', usage: 'client' }),
    adminKubeconfigPath,
    clientCertificate,
    kubeconfigFor,
    nodeKubeconfig: (name) => kubeconfigFor(`system:node:${name}`, ['system:nodes']),
    async anotherApiServer(others = {}) {
      const [apiPort = 0] = await freePorts(1);
      const beside = { ...site, apiPort, url: `https://127.0.0.1:${apiPort}` };
      await startApiServer(beside, admin, others);
      return beside.url;
    },
    close: () => lifetime.close(),
    [Symbol.asyncDispose]: () => lifetime.close(),
  };
}

/** What the programs of one control plane share. */
interface Site {
  readonly binaries: ControlPlaneBinaries;
  readonly lifetime: Lifetime;
  readonly directory: string;
  /** The folder of the keys and certificates. */
  readonly tls: string;
  readonly serverCa: Authority;
  readonly clientCa: Authority;
  readonly proxyCa: Authority;
  readonly etcdUrl: string;
  readonly peerPort: number;
  /** Of the API server. */
  readonly url: string;
  readonly apiPort: number;
  readonly managerPort: number;
}

async function openSite(binaries: ControlPlaneBinaries, lifetime: Lifetime): Promise<Site> {
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-kube-'));
  lifetime.defer('directory', () => rm(directory, { recursive: true, force: true }));
  const tls = join(directory, 'tls');
  const serverCa = await openAuthority(tls, 'server-ca');
  const clientCa = await openAuthority(tls, 'client-ca');
  const proxyCa = await openAuthority(tls, 'request-header-ca');
  await writeServerKeys(tls, serverCa);
  const [etcdPort = 0, peerPort = 0, apiPort = 0, managerPort = 0] = await freePorts(4);
  return {
    binaries,
    lifetime,
    directory,
    tls,
    serverCa,
    clientCa,
    proxyCa,
    etcdUrl: `http://127.0.0.1:${etcdPort}`,
    peerPort,
    url: `https://127.0.0.1:${apiPort}`,
    apiPort,
    managerPort,
  };
}

/** The API server's certificate, and the key pair that signs the tokens of service accounts. */
async function writeServerKeys(tls: string, serverCa: Authority): Promise<void> {
  const serving = await serverCa.issue({
    commonName: 'kube-apiserver',
    usage: 'server',
    names: ['localhost', '127.0.0.1', 'kubernetes', 'kubernetes.default', '10.43.0.1'],
  });
  const accounts = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const files = {
    'serving.crt': serving.certificate,
    'serving.key': serving.key,
    'service.key': accounts.privateKey.export({ format: 'pem', type: 'pkcs1' }),
    'service.pub': accounts.publicKey.export({ format: 'pem', type: 'spki' }),
  };
  for (const [name, content] of Object.entries(files))
    await writeFile(join(tls, name), content, { mode: 0o600 });
}

async function startEtcd(site: Site): Promise<void> {
  const { binaries, directory, etcdUrl, peerPort } = site;
  const flags = etcdFlags(join(directory, 'etcd'), etcdUrl, peerPort);
  const etcd = launch(site, 'etcd', binaries.etcd, flags);
  await until(
    'etcd',
    etcd,
    async () => (await fetch(`${etcdUrl}/health`, { signal: AbortSignal.timeout(2_000) })).ok,
  );
}

async function startApiServer(
  site: Site,
  admin: KeyPair,
  { authorizationConfigFile, apiServerFlags = [] }: ControlPlaneOptions,
): Promise<void> {
  const { binaries, tls, serverCa, etcdUrl, url, apiPort } = site;
  const apiServer = launch(site, `kube-apiserver-${apiPort}`, binaries.apiServer, [
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${apiPort}`,
    `--tls-cert-file=${join(tls, 'serving.crt')}`,
    `--tls-private-key-file=${join(tls, 'serving.key')}`,
    `--client-ca-file=${join(tls, 'client-ca.crt')}`,
    `--requestheader-client-ca-file=${join(tls, 'request-header-ca.crt')}`,
    '--requestheader-allowed-names=system:auth-proxy',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${join(tls, 'service.pub')}`,
    `--service-account-signing-key-file=${join(tls, 'service.key')}`,
    '--service-cluster-ip-range=10.43.0.0/16',
    authorizationConfigFile === undefined
      ? '--authorization-mode=Node,RBAC'
      : `--authorization-config=${authorizationConfigFile}`,
    '--enable-admission-plugins=NodeRestriction',
    '--enable-bootstrap-token-auth=true',
    '--anonymous-auth=false',
    '--allow-privileged=true',
    ...apiServerFlags,
  ]);
  await until('kube-apiserver', apiServer, async () => {
    const answer = await send({ url: `${url}/readyz`, ca: serverCa.certificate, client: admin });
    return answer.status === 200;
  });
}

async function startControllers(
  site: Site,
  admin: KeyPair,
  { controllerFlags = [] }: ControlPlaneOptions,
): Promise<void> {
  const { binaries, tls, serverCa, clientCa, url, managerPort } = site;
  const manager = await clientCa.issue({ commonName: 'system:kube-controller-manager', usage: 'client' });
  const kubeconfig = await writeKubeconfig(site, 'controller.kubeconfig', manager);
  const controllers = launch(site, 'kube-controller-manager', binaries.controllerManager, [
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${managerPort}`,
    `--service-account-private-key-file=${join(tls, 'service.key')}`,
    `--root-ca-file=${join(tls, 'server-ca.crt')}`,
    `--cluster-signing-kube-apiserver-client-cert-file=${join(tls, 'client-ca.crt')}`,
    `--cluster-signing-kube-apiserver-client-key-file=${join(tls, 'client-ca.key')}`,
    '--use-service-account-credentials=true',
    '--controllers=*,tokencleaner',
    '--leader-elect=false',
    ...controllerFlags,
  ]);
  // The controllers work once the default namespace has its service account.
  await until('kube-controller-manager', controllers, async () => {
    const path = '/api/v1/namespaces/default/serviceaccounts/default';
    return (await send({ url: url + path, ca: serverCa.certificate, client: admin })).status === 200;
  });
}

/** Writes a kubeconfig for this client into the folder `cred`; returns its path. */
async function writeKubeconfig(
  { directory, url, serverCa }: Site,
  name: string,
  client: KeyPair,
): Promise<string> {
  const path = join(directory, 'cred', name);
  await writeFile(path, kubeconfigText(url, serverCa.certificate, client), { mode: 0o600 });
  return path;
}

interface Running {
  readonly child: ChildProcess;
  readonly logPath: string;
}

function launch(
  { lifetime, directory }: Site,
  name: string,
  program: string,
  args: readonly string[],
): Running {
  const logPath = join(directory, `${name}.log`);
  const log = createWriteStream(logPath);
  const child = spawn(program, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.pipe(log, { end: false });
  child.stderr.pipe(log, { end: false });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  lifetime.defer(name, async () => {
    child.kill('SIGTERM');
    const isGone = await Promise.race([ended.then(() => true), sleep(5_000, false)]);
    // A kube-apiserver drains its watches for up to a minute; no test waits for these.
    if (!isGone) child.kill('SIGKILL');
    await ended;
    log.end();
  });
  return { child, logPath };
}

/** Asks until the answer is yes; fails with the end of the log when the program ends or the time is over. */
async function until(
  name: string,
  { child, logPath }: Running,
  isReady: () => Promise<boolean>,
): Promise<void> {
  const deadlineMs = performance.now() + readyWithinMs;
  let last: unknown;
  while (performance.now() < deadlineMs && child.exitCode === null && child.signalCode === null) {
    try {
      if (await isReady()) return;
    } catch (error) {
      last = error;
    }
    await sleep(100);
  }
  const log = (await readFile(logPath, 'utf8').catch(() => '')).split('\n').slice(-15).join('\n');
  const why =
    child.exitCode === null ? `was not ready within ${readyWithinMs} ms` : `ended with ${child.exitCode}`;
  throw new Error(`${name} ${why}:\n${log}`, { cause: last });
}

/** Ports that were free a moment ago; the programs cannot be asked which one they took. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
