import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest';
import {
  type AccessRules,
  initialRules,
  type KeyAndCertificate,
  makeWebhookKey,
  type NodeAccess,
} from '#authorizer';
import { AUTHORIZATION_FILE, authorizationFiles, setupCluster } from '#cluster';
import { type Caller, callerOf, nodeBody } from '../standin/kubernetes-calls.ts';
import type { KeyPair } from '../standin/server/authority.ts';
import type { ToGateway } from './authorizer-gateway.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

const found = inject('controlPlane');
const enforce: AccessRules = {
  ...initialRules,
  mode: 'enforce',
  isSettling: false,
  operatorsNames: ['server'],
};
const fingerprintOf = ({ certificate }: KeyPair) =>
  new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase();

describe.skipIf(found.kind === 'missing')('the authorizer before a real kube-apiserver', () => {
  let directory = '';
  let plane: ControlPlane;
  let webhook: { readonly server: KeyAndCertificate; readonly client: KeyAndCertificate };
  let port = 0;
  let gateway: ChildProcess;
  let listening: number | undefined;
  const denials: Array<{ code: string; subject: string }> = [];
  const configFile = () => join(directory, AUTHORIZATION_FILE);
  let admin: Caller;

  /** A worker's three identities, as k3s gives them. */
  interface Identities {
    readonly kubelet: KeyPair;
    readonly proxy: KeyPair;
    readonly controller: KeyPair;
  }
  let worker: Identities;
  let minted: Identities;
  let podToken = '';
  let forgersToken = '';

  const tell = (message: ToGateway) => gateway.send(message);
  const callAs = (client: KeyPair) => callerOf({ url: plane.url, ca: plane.serverCa.certificate }, client);
  const withToken = (token: string, headers: Record<string, string> = {}) =>
    callerOf({ url: plane.url, ca: plane.serverCa.certificate }, undefined, {
      authorization: `Bearer ${token}`,
      ...headers,
    });

  function startGateway(nodes: readonly NodeAccess[]): void {
    gateway = fork(join(import.meta.dirname, 'authorizer-gateway.ts'), { serialization: 'advanced' });
    gateway.on('message', (message: { kind: string; port?: number; denials?: typeof denials }) => {
      if (message.kind === 'port') listening = message.port;
      else denials.push(...(message.denials ?? []));
    });
    tell({
      kind: 'start',
      options: {
        program: {
          file: join(import.meta.dirname, '../../src/authorizer/authorizer-program.fixture.ts'),
          args: [],
        },
        tls: { ...webhook.server, clientCert: webhook.client.cert },
        host: '127.0.0.1',
        port,
        patienceMs: 1_500,
      },
    });
    tell({ kind: 'rules', rules: enforce });
    tell({ kind: 'nodes', nodes });
  }

  async function until(what: string, isDone: () => boolean | Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + 20_000;
    while (!(await isDone())) {
      if (performance.now() > deadlineMs) throw new Error(`not within 20 s: ${what}`);
      await sleep(20);
    }
  }

  const live = (name = 'worker'): NodeAccess => ({
    nodeId: name,
    standing: 'live',
    isContested: false,
    vouches: [
      { identity: 'kubelet', fingerprint: fingerprintOf(worker.kubelet) },
      { identity: 'kube-proxy', fingerprint: fingerprintOf(worker.proxy) },
      { identity: 'k3s-controller', fingerprint: fingerprintOf(worker.controller) },
    ],
  });
  const slashed: NodeAccess = { nodeId: 'worker', standing: 'out', isContested: false, vouches: [] };

  async function writeConfiguration(
    bannedNames: readonly string[] = [],
    into: string = directory,
  ): Promise<void> {
    const files = authorizationFiles({
      directory: into,
      webhook: {
        port,
        cert: webhook.server.cert,
        clientCert: webhook.client.cert,
        clientKey: webhook.client.key,
      },
      bannedNames,
      hasCacheSwitches: true,
    });
    for (const { path, text } of files) await writeFile(path, text, { mode: 0o600 });
  }

  const identities = async (): Promise<Identities> => ({
    kubelet: await plane.clientCertificate('system:node:worker', ['system:nodes']),
    proxy: await plane.clientCertificate('system:kube-proxy'),
    controller: await plane.clientCertificate('system:k3s-controller'),
  });

  beforeAll(async () => {
    if (found.kind === 'missing') return;
    directory = await mkdtemp(join(tmpdir(), 'k3s-daas-authorizer-'));
    const [server, client] = await Promise.all([makeWebhookKey('server'), makeWebhookKey('client')]);
    webhook = { server, client };
    startGateway([]);
    await until('the authorizer listens', () => listening !== undefined);
    port = listening ?? 0;
    gateway.kill('SIGKILL');
    await writeConfiguration();
    plane = await startControlPlane(found.binaries, { authorizationConfigFile: configFile() });
    admin = callAs(await plane.clientCertificate('tester', ['system:masters']));
    worker = await identities();
    minted = await identities();
    await admin('POST', '/api/v1/nodes', nodeBody('worker'));
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const reads = { apiGroups: [''], resources: ['nodes', 'pods'], verbs: ['get', 'list', 'watch'] };
    const acts = { apiGroups: [''], resources: ['users', 'groups'], verbs: ['impersonate'] };
    await admin('POST', `${rbac}/clusterroles`, { metadata: { name: 'shared' }, rules: [reads, acts] });
    await admin('POST', `${rbac}/clusterrolebindings`, {
      metadata: { name: 'shared' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'shared' },
      subjects: [
        { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'system:kube-proxy' },
        { kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: 'system:k3s-controller' },
        { kind: 'ServiceAccount', name: 'default', namespace: 'default' },
      ],
    });
    const containers = [{ name: 'main', image: 'none' }];
    const pod = await admin('POST', '/api/v1/namespaces/default/pods', {
      metadata: { name: 'pod' },
      spec: { nodeName: 'worker', serviceAccountName: 'default', containers },
    });
    const token = await admin('POST', '/api/v1/namespaces/default/serviceaccounts/default/token', {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'pod', uid: pod.object.metadata.uid },
      },
    });
    podToken = (token.object.status as { token: string }).token;
    const accounts = '/api/v1/namespaces/default/serviceaccounts';
    await admin('POST', accounts, { metadata: { name: 'forger' } });
    const forgers = await admin('POST', `${accounts}/forger/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {},
    });
    forgersToken = (forgers.object.status as { token: string }).token;
  }, 180_000);

  afterAll(async () => {
    gateway?.kill('SIGKILL');
    await plane?.[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, force: true });
  });

  beforeEach(async () => {
    gateway?.kill('SIGKILL');
    await writeConfiguration();
    listening = undefined;
    // The port is free once the authorizer of the killed gateway has gone too.
    startGateway([live()]);
    await until('the authorizer listens', () => listening !== undefined);
    await until('it refuses', async () => (await readNodes(callAs(minted.proxy))) === 403);
  });

  const readNodes = async (caller: Caller) => (await caller('GET', '/api/v1/nodes')).status;
  const readOwnNode = async (caller: Caller) => (await caller('GET', '/api/v1/nodes/worker')).status;

  /** The status of each way in, for a slashed worker. */
  const waysIn = async () => ({
    kubelet: await readOwnNode(callAs(worker.kubelet)),
    freshKubelet: await readOwnNode(callAs(minted.kubelet)),
    proxy: await readNodes(callAs(worker.proxy)),
    controller: await readNodes(callAs(worker.controller)),
    freshController: await readNodes(callAs(minted.controller)),
    podToken: await readNodes(withToken(podToken)),
    impersonation: await readOwnNode(
      withToken(podToken, { 'impersonate-user': 'system:node:worker', 'impersonate-group': 'system:nodes' }),
    ),
  });
  const allRefused = {
    kubelet: 403,
    freshKubelet: 403,
    proxy: 403,
    controller: 403,
    freshController: 403,
    podToken: 403,
    impersonation: 403,
  };

  test('certificates that a live stake vouches for pass, those minted at the supervisor do not', async () => {
    expect(await waysIn()).toEqual({
      ...allRefused,
      kubelet: 200,
      proxy: 200,
      controller: 200,
      podToken: 200,
    });
    const refused = await callAs(minted.kubelet)('GET', '/api/v1/nodes/worker');
    expect(refused.object.message).toMatch(/k3s-daas\/not-vouched worker [0-9a-f]{8}-/);
    expect(await readNodes(admin)).toBe(200);
  });

  test('a slashed worker’s certificates, fresh ones, its pods’ tokens and impersonation: refused at the next request', async () => {
    tell({ kind: 'nodes', nodes: [slashed] });
    const beganAtMs = performance.now();
    await until('the kubelet is refused', async () => (await readOwnNode(callAs(worker.kubelet))) === 403);
    process.stdout.write(`slash -> API denied: ${(performance.now() - beganAtMs).toFixed(1)} ms\n`);
    expect(await waysIn()).toEqual(allRefused);
    tell({ kind: 'nodes', nodes: [live()] });
    await until('it is let in again', async () => (await readOwnNode(callAs(worker.kubelet))) === 200);
  });

  test('with the gateway hung (SIGSTOP) a slashed worker stays refused: the authorizer answers from its own process', async () => {
    tell({ kind: 'nodes', nodes: [slashed] });
    await until('the kubelet is refused', async () => (await readOwnNode(callAs(worker.kubelet))) === 403);
    gateway.kill('SIGSTOP');
    try {
      // Longer than the watchdog of a gateway that runs would wait.
      await sleep(3_000);
      expect(await waysIn()).toEqual(allRefused);
    } finally {
      gateway.kill('SIGCONT');
    }
  });

  test('with the gateway dead the other authorizers decide, and banned names are refused all the same', async () => {
    tell({ kind: 'nodes', nodes: [slashed] });
    await until('the kubelet is refused', async () => (await readOwnNode(callAs(worker.kubelet))) === 403);
    gateway.kill('SIGKILL');
    // The price of a gateway that stops no pod: reads of the slashed worker pass while it is away.
    await until('nobody answers', async () => (await readOwnNode(callAs(worker.kubelet))) === 200);
    await writeConfiguration(['worker']);
    await until('the ban is read', async () => (await readOwnNode(callAs(worker.kubelet))) === 500);
    expect(await waysIn()).toMatchObject({ kubelet: 500, freshKubelet: 500, podToken: 500 });
    expect(await readNodes(admin)).toBe(200);
    await writeConfiguration();
    await until('the ban is lifted', async () => (await readOwnNode(callAs(worker.kubelet))) === 200);
  });

  test('ten thousand banned names of full length are taken, refused, and cost others nothing to speak of', async () => {
    gateway.kill('SIGKILL');
    await until('nobody answers', async () => (await readOwnNode(callAs(minted.kubelet))) === 200);
    const names = Array.from({ length: 9_999 }, (_, index) => `n${index}`.padEnd(63, 'x'));
    const timeOf = async (caller: Caller) => {
      const times: number[] = [];
      for (let count = 0; count < 200; count += 1) {
        const beganAtMs = performance.now();
        await caller('GET', '/api/v1/nodes/worker');
        times.push(performance.now() - beganAtMs);
      }
      return times.sort((one, other) => one - other)[100]?.toFixed(2);
    };
    const kubelet = callAs(await plane.clientCertificate('system:node:honest', ['system:nodes']));
    const before = [await timeOf(admin), await timeOf(kubelet)];
    await writeConfiguration([...names, 'worker']);
    await until('the last of them is read', async () => (await readOwnNode(callAs(worker.kubelet))) === 500);
    expect(await readNodes(admin)).toBe(200);
    const after = [await timeOf(admin), await timeOf(kubelet)];
    process.stdout.write(
      `p50 of a GET, ms (admin, kubelet): ${before.join()} without bans, ${after.join()} with 10 000\n`,
    );
  });

  test('the check asks the API server which file it runs, and whether the webhook answers and enforces', async () => {
    const check = async () =>
      (
        await setupCluster({
          kubeconfig: { path: plane.adminKubeconfigPath },
          check: true,
          authorizer: { file: await readFile(configFile(), 'utf8') },
        })
      ).servers;
    expect(await check()).toEqual([
      expect.objectContaining({
        server: new URL(plane.url).host,
        state: 'ours',
        isAnswered: true,
        isEnforced: true,
      }),
    ]);
    tell({ kind: 'rules', rules: { ...enforce, mode: 'observe' } });
    await until('it observes', async () => (await readOwnNode(callAs(minted.kubelet))) === 200);
    expect(await check()).toMatchObject([{ state: 'ours', isAnswered: true, isEnforced: false }]);
    gateway.kill('SIGKILL');
    await until('nobody answers', async () => (await check())[0]?.isAnswered === false);
    await writeFile(configFile(), 'nothing that an API server reads');
    await until('the file is not the one in force', async () => (await check())[0]?.state === 'none');
  });

  test('who may impersonate with extras forges a fingerprint, and the check names them', async () => {
    const forged = {
      'impersonate-user': 'system:node:worker',
      'impersonate-group': 'system:nodes',
      'impersonate-extra-authentication.kubernetes.io%2fcredential-id': `X509SHA256=${fingerprintOf(worker.kubelet)}`,
    };
    const readAsForger = () => readOwnNode(withToken(forgersToken, forged));
    expect(await readAsForger()).toBe(403);
    const metadata = { name: 'forger' };
    const credentials = 'userextras/authentication.kubernetes.io/credential-id';
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    await admin('POST', `${rbac}/clusterroles`, {
      metadata,
      rules: [
        { apiGroups: [''], resources: ['users', 'groups'], verbs: ['impersonate'] },
        { apiGroups: ['authentication.k8s.io'], resources: [credentials], verbs: ['impersonate'] },
      ],
    });
    await admin('POST', `${rbac}/clusterrolebindings`, {
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'forger' },
      subjects: [{ kind: 'ServiceAccount', name: 'forger', namespace: 'default' }],
    });
    const { forgers } = await setupCluster({ kubeconfig: { path: plane.adminKubeconfigPath }, check: true });
    expect(forgers).toEqual([
      { subject: 'ServiceAccount default/forger', why: expect.stringContaining('ClusterRoleBinding forger') },
    ]);
    // The authorizer refuses the right itself, listed or not; without it the forged fingerprint passes.
    expect(await readAsForger()).toBe(403);
    gateway.kill('SIGKILL');
    await until('the forged fingerprint passes', async () => (await readAsForger()) === 200);
  });

  test('an authorizer that hangs is ended by the gateway, and refuses again', async () => {
    tell({ kind: 'nodes', nodes: [slashed] });
    await until('the kubelet is refused', async () => (await readOwnNode(callAs(worker.kubelet))) === 403);
    const authorizerPid = () => {
      const listed = execFileSync('ps', ['-o', 'pid=', '--ppid', String(gateway.pid)], { encoding: 'utf8' });
      return Number.parseInt(listed, 10);
    };
    const before = authorizerPid();
    process.kill(before, 'SIGSTOP');
    await until('another is started', () => listening === undefined);
    await until('it listens', () => listening !== undefined);
    expect(authorizerPid()).not.toBe(before);
    await until('it refuses', async () => (await readOwnNode(callAs(worker.kubelet))) === 403);
  });

  test('with two API servers a ban holds where the file has it, and is complete when both have it', async () => {
    const second = await mkdtemp(join(tmpdir(), 'k3s-daas-authorizer-'));
    try {
      await writeConfiguration([], second);
      const url = await plane.anotherApiServer({ authorizationConfigFile: join(second, AUTHORIZATION_FILE) });
      const there = callerOf({ url, ca: plane.serverCa.certificate }, worker.kubelet);
      expect([await readOwnNode(callAs(worker.kubelet)), await readOwnNode(there)]).toEqual([200, 200]);
      // Both ask the same authorizer: what it knows counts at once on both.
      tell({ kind: 'nodes', nodes: [slashed] });
      await until('both refuse', async () => (await readOwnNode(callAs(worker.kubelet))) === 403);
      expect(await readOwnNode(there)).toBe(403);
      gateway.kill('SIGKILL');
      await until('nobody answers', async () => (await readOwnNode(there)) === 200);
      await writeConfiguration(['worker']);
      await until('the first has the ban', async () => (await readOwnNode(callAs(worker.kubelet))) === 500);
      expect(await readOwnNode(there)).toBe(200);
      await writeConfiguration(['worker'], second);
      await until('the second has it, too', async () => (await readOwnNode(there)) === 500);
      expect(await readOwnNode(callAs(worker.kubelet))).toBe(500);
    } finally {
      await rm(second, { recursive: true, force: true });
    }
  });

  test('a changed kubeconfig is noticed, since its name changes with it', async () => {
    gateway.kill('SIGKILL');
    await until('nobody answers', async () => (await readOwnNode(callAs(minted.kubelet))) === 200);
    const before = port;
    port = 0;
    listening = undefined;
    startGateway([live()]);
    await until('it listens elsewhere', () => listening !== undefined);
    port = listening ?? 0;
    expect(port).not.toBe(before);
    await writeConfiguration();
    await until('it is asked there', async () => (await readOwnNode(callAs(minted.kubelet))) === 403);
  });

  // The last one: setup lists every Node that is there as the operator's.
  test('setup and its check try the policies out while the authorizer enforces', async () => {
    const kubeconfig = { path: plane.adminKubeconfigPath };
    await setupCluster({ kubeconfig });
    const { changes, servers } = await setupCluster({
      kubeconfig,
      check: true,
      authorizer: { file: await readFile(configFile(), 'utf8') },
    });
    expect({ changes, servers }).toMatchObject({
      changes: [],
      servers: [{ state: 'ours', isEnforced: true }],
    });
  });
});
