import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Identity, KubernetesApi, until as untilWithin } from './world/kubernetes.ts';
import { type Line, ourProgram, Program } from './world/program.ts';
import { type RealK3s, startBareAgent, startRealK3s } from './world/real-k3s.ts';
import { imageNameIn, killAll, pod as podIn, podOn, podProcessesOf, processesOf } from './world/real-pods.ts';
import { SUI, type Worker, World } from './world/world.ts';

/**
 * The authorizer with a real k3s (K3S_BIN): its server set up by `gateway setup --server-files`, the gateway and the root
 * helper on the server's machine, and what a slashed worker still has, with the gateway up, hung and dead.
 */
const binary = process.env.K3S_BIN ?? '';
const images = (process.env.K3S_DAAS_TEST_IMAGE_TAR ?? '').split(':').filter(Boolean);
const stakeMist = 2n * SUI;
/** A busy machine is slow: what is waited for comes, or something is wrong. */
const patiently = { withinMs: 240_000 };
const until = <T>(what: string, ask: () => Promise<T | undefined>): Promise<T> =>
  untilWithin(what, ask, patiently);
/** Hosts that go on for the tests after the joins. */
const mostHosts = 4;
/** Joins in a row while it enforces. */
const joins = Number(process.env.K3S_DAAS_TEST_JOINS ?? 2);
/** Of a plain agent, and while it observes, by turns. */
const compared = Math.min(joins, 5);
const joinsTimeoutMs = 300_000 + joins * 300_000;
/** For how long every gateway is dead before a worker restarts. */
const deadMs = Number(process.env.K3S_DAAS_TEST_DEAD_MS ?? 1_000);
const seconds = (times: readonly number[]) => times.map((time) => (time / 1_000).toFixed(1)).join(' ');

describe.skipIf(binary === '')('the authorizer with a real k3s (K3S_BIN)', { timeout: 600_000 }, () => {
  let world: World;
  let k3s: RealK3s;
  let directory = '';
  let image: string | undefined;
  const programs: Program[] = [];
  const admin = () => world.kubernetes;

  beforeAll(async () => {
    image = images[0] === undefined ? undefined : await imageNameIn(images[0]);
    directory = await mkdtemp(join(tmpdir(), 'k3s-daas-lockout-'));
    const start = startRealK3s(binary, { images, isGatewayOnServer: true });
    world = await World.start({
      startK3s: async (home, life) => {
        k3s = await start(home, life);
        return k3s;
      },
      gateway: {
        authorizer: {
          mode: 'observe',
          port: 8446,
          serverCertificates: join(directory, 'server-certificates.json'),
        },
      },
    });
  }, 600_000);
  afterAll(async () => {
    await Promise.all(programs.map((program) => program.stop()));
    await world?.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** One of our commands on the server's machine. */
  function onServer(...args: readonly string[]): Program {
    const command = [...k3s.serverMachine.enter, ...ourProgram] as const;
    const program = new Program({
      name: args.slice(0, 2).join(' '),
      command,
      args: [...args, '--config', world.gatewayConfigFile, '--json'],
      logFile: join(world.directory, 'on-server.log'),
    });
    programs.push(program);
    return program;
  }
  const setup = (...flags: readonly string[]) =>
    onServer('gateway', 'setup', '--admin-kubeconfig', k3s.kubeconfig, ...flags);
  const audit = async (fits: (line: Line) => boolean) => {
    const text = await readFile(join(world.directory, 'gateway', 'state', 'audit.jsonl'), 'utf8');
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Line)
      .find(fits);
  };

  interface Joined {
    readonly worker: Worker;
    readonly host: Program;
    readonly recordId: string;
    /** From the start of the agent to the Ready Node. */
    readonly readyMs: number;
  }
  async function joined(nodeId: string): Promise<Joined> {
    const worker = await world.worker(nodeId, { stakeMist });
    const host = worker.start();
    const { recordId } = await host.event('stake.created', patiently);
    await host.event('agent.started', patiently);
    const startedAtMs = performance.now();
    await world.nodeReady(nodeId, patiently.withinMs);
    const readyMs = performance.now() - startedAtMs;
    await host.event('heartbeat.acknowledged', patiently);
    return { worker, host, recordId: String(recordId), readyMs };
  }
  /** The time to Ready of an agent without a stake and without our host. */
  async function plainJoin(nodeId: string): Promise<number> {
    expect((await setup('--ordinary', nodeId, '--yes').exited).code).toBe(0);
    await k3s.machine(nodeId, join(directory, nodeId));
    const logFile = join(directory, `${nodeId}.log`);
    const agent = await startBareAgent(binary, k3s, { nodeId, logFile });
    programs.push(agent);
    const startedAtMs = performance.now();
    await world.nodeReady(nodeId, patiently.withinMs).catch((cause: unknown) => {
      throw new Error(`the plain agent ${nodeId} is not Ready:\n${agent.tail(40)}`, { cause });
    });
    const readyMs = performance.now() - startedAtMs;
    await agent.stop();
    await admin().send('DELETE', `/api/v1/nodes/${nodeId}`);
    return readyMs;
  }
  const times: Record<'plain' | 'observed' | 'enforced', number[]> = {
    plain: [],
    observed: [],
    enforced: [],
  };
  const hosts: Joined[] = [];
  let contested: Joined;
  /** Keeps the first hosts for the tests below; a machine of this one for each of thirty would be too many. */
  async function keep(host: Joined): Promise<void> {
    if (hosts.length < mostHosts) {
      hosts.push(host);
      return;
    }
    await host.host.stop();
    await killAll(k3s.realMachine(host.worker.nodeId));
  }

  const identity = async (parts: Partial<Identity>): Promise<KubernetesApi> =>
    new KubernetesApi({ server: k3s.server, ca: await readFile(k3s.serverCaFile, 'utf8'), ...parts });
  async function tokenOf(account: string, more: object = {}): Promise<string> {
    const { body } = await admin().send(
      'POST',
      `/api/v1/namespaces/default/serviceaccounts/${account}/token`,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: more },
    );
    return body.status.token as string;
  }

  test('setup --server-files makes the API server ask, and setup --check proves it by the metric', async () => {
    expect((await setup('--check').exited).code).toBe(1);
    expect((await setup('--server-files', '--yes').exited).code).toBe(0);
    await k3s.restartServer();
    const check = setup('--check');
    expect((await check.exited).code).toBe(0);
    expect(check.lines.find((line) => 'servers' in line)).toMatchObject({
      servers: [
        { server: `${k3s.serverMachine.address}:6443`, state: 'ours', isAnswered: true, isEnforced: false },
      ],
    });
  });

  test('observe finds an account of a DaemonSet that acts as a node', async () => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const metadata = { name: 'node-helper' };
    await admin().send('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata });
    await admin().send('POST', `${rbac}/clusterroles`, {
      metadata,
      rules: [{ apiGroups: [''], resources: ['users', 'groups'], verbs: ['impersonate'] }],
    });
    await admin().send('POST', `${rbac}/clusterrolebindings`, {
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'node-helper' },
      subjects: [{ kind: 'ServiceAccount', namespace: 'default', name: 'node-helper' }],
    });
    using helper = await identity({
      bearer: await tokenOf('node-helper'),
      headers: { 'impersonate-user': 'system:node:some', 'impersonate-group': 'system:nodes' },
    });
    expect((await helper.get('/api/v1/nodes/some')).status).not.toBe(500);
    await until('the audit line', () =>
      audit(
        ({ event, code, subject }) =>
          event === 'access.would_be_refused' &&
          code === 'impersonation' &&
          subject === 'system:serviceaccount:default:node-helper',
      ),
    );
  });

  test(
    'agents with and without a stake join while it observes',
    async () => {
      for (let count = 0; count < compared; count += 1) {
        times.plain.push(await plainJoin(`plain-${count}`));
        const host = await joined(`observed-${count}`);
        await keep(host);
        times.observed.push(host.readyMs);
      }
    },
    joinsTimeoutMs,
  );

  test(
    'it enforces as soon as the root helper has shown the server’s certificates, and workers join as before',
    async () => {
      const helper = onServer('gateway', 'authorizer');
      const config = JSON.parse(await readFile(world.gatewayConfigFile, 'utf8'));
      config.gateway.authorizer.mode = 'enforce';
      await writeFile(world.gatewayConfigFile, JSON.stringify(config), { mode: 0o600 });
      await world.gateway.stop();
      await world.restartGateway();
      await until('it enforces', () =>
        audit(({ event, mode }) => event === 'authorizer.mode' && mode === 'enforce'),
      );
      expect(helper.isRunning).toBe(true);
      const check = setup('--check');
      const { code } = await check.exited;
      expect({ code, ...check.lines.find((line) => 'servers' in line) }).toMatchObject({
        code: 0,
        changes: [],
        missingFiles: [],
        servers: [{ state: 'ours', isAnswered: true, isEnforced: true }],
      });
      for (let count = 0; count < joins; count += 1) {
        const host = await joined(`enforced-${count}`);
        await keep(host);
        times.enforced.push(host.readyMs);
      }
      process.stdout.write(
        `Ready after the agent's start, s: plain ${seconds(times.plain)}; observed ${seconds(times.observed)}; enforced ${seconds(times.enforced)}\n`,
      );
    },
    joinsTimeoutMs,
  );

  test('a contested name joins, and is Ready after a restart while the gateway is there', async () => {
    // What a claim at the supervisor leaves.
    const claim = { metadata: { name: 'contested.node-password.k3s' }, stringData: { hash: 'of somebody' } };
    await admin().send('POST', '/api/v1/namespaces/kube-system/secrets', claim);
    await until('the claim', () =>
      audit(({ event, node_id }) => event === 'name.claimed' && node_id === 'contested'),
    );
    contested = await joined('contested');
    expect(
      await audit(
        ({ event, node_id, contested: why }) =>
          event === 'name.admitted' && node_id === 'contested' && why !== undefined,
      ),
    ).toBeDefined();
    contested = await restarted(contested);
    const restartedAtMs = Date.now();
    await until('its kubelet to renew the Lease', () => leaseAfter('contested', restartedAtMs));
    expect(await world.nodeReady('contested', patiently.withinMs)).toMatchObject({ isReady: true });
  }, 600_000);

  test('what a slashed worker has is refused at the next request: gateway up, hung and dead', async () => {
    const [bad] = hosts.splice(0, 1);
    if (!bad) throw new Error('nobody has joined');
    const { nodeId, dataDir } = bad.worker;
    const file = (name: string) => readFile(join(dataDir, 'agent', name), 'utf8');
    const pair = async (name: string) => ({
      cert: await file(`client-${name}.crt`),
      key: await file(`client-${name}.key`),
    });
    const podToken = await tokenOfPod(nodeId);
    using kubelet = await identity(await pair('kubelet'));
    using proxy = await identity(await pair('kube-proxy'));
    using controller = await identity(await pair('k3s-controller'));
    const minted = await mint(kubelet, 'client-k3s-controller.crt');
    using fresh = await identity(minted);
    using pod = await identity({ bearer: podToken });
    using acting = await identity({
      bearer: await tokenOf('node-helper'),
      headers: { 'impersonate-user': `system:node:${nodeId}`, 'impersonate-group': 'system:nodes' },
    });
    const waysIn = async () => ({
      kubelet: (await kubelet.get(`/api/v1/nodes/${nodeId}`)).status,
      proxy: (await proxy.get('/api/v1/nodes')).status,
      controller: (await controller.get('/api/v1/nodes')).status,
      fresh: (await fresh.get('/api/v1/nodes')).status,
      pod: (await pod.get('/api/v1/namespaces/default')).status,
      acting: (await acting.get(`/api/v1/nodes/${nodeId}`)).status,
    });
    const podsReview = await pod.get('/api/v1/namespaces/default');
    expect(podsReview.status).toBe(403);
    expect(await waysIn()).toMatchObject({
      kubelet: 200,
      proxy: 200,
      controller: 200,
      fresh: 403,
      acting: 403,
    });

    // From before, and until it is refused: the token lives no longer than the pod.
    const podRefusal = until('the pod’s token is refused', async () => {
      const { status, body } = await pod.get('/api/v1/namespaces/default');
      return status === 401 || String(body.message).includes('k3s-daas/') ? { status, body } : undefined;
    });
    await world.slash(bad.recordId, stakeMist, 'two heads signed at one height');
    const slashedAtMs = performance.now();
    await until('the kubelet is refused', async () =>
      (await kubelet.get(`/api/v1/nodes/${nodeId}`)).status === 403 ? true : undefined,
    );
    process.stdout.write(`slash -> API denied: ${(performance.now() - slashedAtMs).toFixed(0)} ms\n`);
    const refused = { kubelet: 403, proxy: 403, controller: 403, fresh: 403, pod: 403, acting: 403 };
    const refusedPod = await podRefusal;
    if (refusedPod.status === 403) expect(refusedPod.body.message).toContain(`k3s-daas/node-out ${nodeId}`);
    // The eviction deletes the pod within a second or so, and with it the token: from then on it is unknown.
    const { pod: podStatus, ...others } = await waysIn();
    const { pod: _, ...othersRefused } = refused;
    expect(others).toEqual(othersRefused);
    expect([403, 401]).toContain(podStatus);
    await world.nodeGone(nodeId, patiently.withinMs);

    // Fresh ones, minted at the supervisor after the slash: it still answers, and they count for nothing.
    using after = await identity(await mint(kubelet, 'client-kube-proxy.crt'));
    expect((await after.get('/api/v1/nodes')).status).toBe(403);

    // The API server remembers for ten seconds that it knew the token.
    await until('the token to end with its pod', async () =>
      (await pod.get('/api/v1/namespaces/default')).status === 401 ? true : undefined,
    );
    world.gateway.kill('SIGSTOP');
    try {
      await sleep(4_000);
      // Its pod is gone, and with it the token.
      expect(await waysIn()).toEqual({ ...refused, pod: 401 });
    } finally {
      world.gateway.kill('SIGCONT');
    }
    const banned = k3s.serverMachine.file('/var/lib/rancher/k3s/server/k3s-daas/authorization.yaml');
    await until(
      'the ban is written',
      async () => (await readFile(banned, 'utf8')).includes(`'${nodeId}'`) || undefined,
    );
    world.gateway.kill('SIGKILL');
    await world.gateway.exited;
    await until('the server itself refuses the name', async () =>
      (await kubelet.get(`/api/v1/nodes/${nodeId}`)).status === 500 ? true : undefined,
    );
    // As docs/security.md says: without a gateway the identities that all agents share read again.
    expect(await waysIn()).toMatchObject({ kubelet: 500, pod: 401, proxy: 200, controller: 200 });
  }, 600_000);

  test(
    'workers that restart, or start from nothing that runs, with every gateway dead are Ready and keep their pods; a contested one waits',
    async () => {
      const [one] = hosts;
      if (!one) throw new Error('nobody has joined');
      const { nodeId } = one.worker;
      const machine = k3s.realMachine(nodeId);
      const name = `kept-${nodeId}`;
      await admin().send('POST', '/api/v1/namespaces/default/pods', podOn(nodeId, name, image ?? 'none'));
      const phase = image === undefined ? 'Pending' : 'Running';
      const running = await until('its pod', () => podOfPhase(name, phase));
      await sleep(deadMs);
      const node = await world.node(nodeId);
      expect(node?.isReady).toBe(true);
      const before = await podProcessesOf(machine);
      let again = await restarted(one);
      const contestedNow = restarted(contested);
      // Kubernetes marks a Node that is silent for 50 s.
      await sleep(75_000);
      expect(await world.node(nodeId)).toEqual({ uid: node?.uid, isReady: true });
      expect(await podProcessesOf(machine)).toEqual(before);
      await until(
        'the contested Node to be NotReady',
        async () => (await world.node('contested'))?.isReady === false || undefined,
      );

      again.host.kill('SIGKILL');
      await killAll(machine);
      await until('an empty machine', async () => (await processesOf(machine)).length <= 1 || undefined);
      const startedAtMs = Date.now();
      again = await restarted(again);
      await until('its kubelet to renew the Lease', () => leaseAfter(nodeId, startedAtMs));
      await world.nodeReady(nodeId, patiently.withinMs);
      await until('its pod to run again', async () => {
        const { metadata } = (await podOfPhase(name, phase)) ?? {};
        return metadata?.uid === running.metadata.uid && metadata?.deletionTimestamp === undefined
          ? true
          : undefined;
      });
      expect(await world.node(nodeId)).toEqual({ uid: node?.uid, isReady: true });

      await world.restartGateway();
      await Promise.all(
        [again, await contestedNow].map(({ host }) => host.event('heartbeat.acknowledged', patiently)),
      );
      expect(await world.node(nodeId)).toEqual({ uid: node?.uid, isReady: true });
      await world.nodeReady('contested', patiently.withinMs);
      process.stdout.write(
        `Ready after ${deadMs} ms without a gateway, a restart of the host, and one of everything on the machine\n`,
      );
    },
    deadMs + 900_000,
  );

  test('setup --remove --server-files takes the files back, and k3s starts without them', async () => {
    expect((await setup('--remove', '--server-files', '--yes').exited).code).toBe(0);
    await k3s.restartServer();
    expect((await setup('--check').exited).code).toBe(1);
    const [one] = hosts;
    expect(await world.nodeReady(one?.worker.nodeId ?? '', patiently.withinMs)).toMatchObject({
      isReady: true,
    });
  }, 300_000);

  /** Another life of the host; resolves when its agent is ready. */
  async function restarted({ worker, host, ...rest }: Joined): Promise<Joined> {
    if (host.isRunning) await host.stop();
    const again = worker.start();
    programs.push(again);
    await again.event('agent.ready', patiently);
    return { ...rest, worker, host: again };
  }
  async function leaseAfter(nodeId: string, atMs: number): Promise<true | undefined> {
    const { body } = await admin().get(
      `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${nodeId}`,
    );
    return Date.parse(body.spec?.renewTime) > atMs ? true : undefined;
  }
  async function podOfPhase(name: string, phase: string) {
    const found = await podIn(admin(), name);
    return found?.status?.phase === phase ? found : undefined;
  }

  /** The token of a pod on this node: what whoever owns the machine can read. */
  async function tokenOfPod(nodeId: string): Promise<string> {
    const name = `on-${nodeId}`;
    const { status, body } = await admin().send(
      'POST',
      '/api/v1/namespaces/default/pods',
      podOn(nodeId, name, image ?? 'none'),
    );
    expect(status, JSON.stringify(body)).toBe(201);
    return tokenOf('default', {
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid: body.metadata.uid },
    });
  }
});

/** A fresh certificate of a shared identity: a plain GET at the supervisor returns it with its key. */
async function mint(kubelet: KubernetesApi, name: string): Promise<{ cert: string; key: string }> {
  const { status, body } = await kubelet.get(`/v1-k3s/${name}`);
  const text = String(body);
  const blocks = (kind: string) =>
    text.match(new RegExp(`-----BEGIN ${kind}-----[\\s\\S]+?-----END ${kind}-----\n?`, 'g'))?.join('') ?? '';
  const pair = { cert: blocks('CERTIFICATE'), key: blocks('(?:EC |RSA )?PRIVATE KEY') };
  if (status !== 200 || !pair.cert || !pair.key) throw new Error(`${name}: ${status} ${text.slice(0, 200)}`);
  return pair;
}
