import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KubernetesApi, until as untilWithin } from './world/kubernetes.ts';
import type { Line, Program } from './world/program.ts';
import { type RealK3s, startRealK3s } from './world/real-k3s.ts';
import {
  imageNameIn,
  isRunning,
  pod,
  podOn,
  podProcessesOf,
  processesOf,
  type SeenProcess,
} from './world/real-pods.ts';
import { SUI, type Worker, World } from './world/world.ts';

/**
 * The whole story with a real k3s (docs/testing.md): K3S_BIN is the binary, K3S_DAAS_TEST_IMAGE_TAR image archives, the
 * first of them with an image that runs without being told what; without one there are no pods.
 */
const binary = process.env.K3S_BIN ?? '';
const images = (process.env.K3S_DAAS_TEST_IMAGE_TAR ?? '').split(':').filter(Boolean);
const stakeMist = 2n * SUI;
const stakedTaint = { key: 'k3s-daas.io/staked', value: 'premium', effect: 'NoSchedule' };

/** A busy machine is slow: what is waited for comes, or something is wrong. */
const patiently = { withinMs: 240_000 };
const until = <T>(what: string, ask: () => Promise<T | undefined>): Promise<T> =>
  untilWithin(what, ask, patiently);

describe.skipIf(binary === '')('with a real k3s (K3S_BIN)', { timeout: 900_000 }, () => {
  let world: World;
  let k3s: RealK3s;
  let image: string | undefined;
  beforeAll(async () => {
    image = images[0] === undefined ? undefined : await imageNameIn(images[0]);
    const start = startRealK3s(binary, { images });
    world = await World.start({
      startK3s: async (directory, life) => {
        k3s = await start(directory, life);
        return k3s;
      },
    });
  }, 300_000);
  afterAll(() => world?.close());

  interface Joined {
    readonly worker: Worker;
    readonly host: Program;
    readonly recordId: string;
    readonly uid: string;
  }

  async function joined(nodeId: string): Promise<Joined> {
    const worker = await world.worker(nodeId, { stakeMist });
    const host = worker.start();
    const { recordId } = await host.event('stake.created', patiently);
    await host.event('agent.ready', patiently);
    const { uid } = await world.nodeReady(nodeId, patiently.withinMs);
    await host.event('heartbeat.acknowledged', patiently);
    return { worker, host, recordId: String(recordId), uid };
  }

  /** A pod on the node that runs; undefined without an image. */
  async function runPod(nodeId: string): Promise<string | undefined> {
    if (image === undefined) return undefined;
    // k3s calls a Node Ready a moment before flannel lets pods have a network; a pod that comes in between waits for 15 s.
    const network = join(k3s.realMachine(nodeId).root, 'run', 'flannel', 'subnet.env');
    await until('flannel', async () => (await readFile(network)).length > 0 || undefined);
    const name = `on-${nodeId}`;
    const { status, body } = await world.kubernetes.send(
      'POST',
      '/api/v1/namespaces/default/pods',
      podOn(nodeId, name, image),
    );
    expect(status, JSON.stringify(body)).toBe(201);
    await podRuns(name);
    return name;
  }
  const podRuns = (name: string) =>
    until(`pod ${name} to run`, async () => {
      const { status } = (await pod(world.kubernetes, name)) ?? {};
      return status?.phase === 'Running' ? true : undefined;
    });
  const podsOf = (nodeId: string): Promise<SeenProcess[]> => podProcessesOf(k3s.realMachine(nodeId));
  const agentsOf = async (nodeId: string) =>
    (await processesOf(k3s.realMachine(nodeId))).filter(({ commandLine }) =>
      /k3s agent$|^containerd ?$/.test(commandLine[0] ?? ''),
    );
  const heartbeat = (host: Program, fits: (line: Line) => boolean = () => true) =>
    host.line('a heartbeat', (line) => line.event === 'heartbeat.acknowledged' && fits(line), {
      from: host.lines.length,
      ...patiently,
    });
  const certificateOf = async ({ dataDir }: Worker) => {
    const file = (name: string) => readFile(join(dataDir, 'agent', name), 'utf8');
    return { cert: await file('client-kubelet.crt'), key: await file('client-kubelet.key') };
  };
  const admin = () => world.kubernetes;

  let steady: Joined;
  let steadyPod: string | undefined;
  test('a stake becomes a Ready Node that runs pods', async () => {
    steady = await joined('steady');
    const { body } = await admin().get('/api/v1/nodes/steady');
    expect(body.spec.taints).toContainEqual(stakedTaint);
    expect(body.status.nodeInfo.kubeletVersion).toContain('+k3s');
    steadyPod = await runPod('steady');
    // Shim, sandbox and container; the gateway hears of one pod.
    expect(await podsOf('steady')).toHaveLength(steadyPod === undefined ? 0 : 3);
    await until('the gateway to hear of the pods', async () => {
      const socket = join(world.directory, 'gateway', 'state', 'operator.sock');
      const { lines } = await world.command('gateway', 'nodes', '--socket', socket, '--json');
      const nodes = (lines[0]?.nodes ?? []) as ReadonlyArray<{ readonly runningPods: number }>;
      return nodes[0]?.runningPods === (steadyPod === undefined ? 0 : 1) ? true : undefined;
    });
    // The credential has done its work.
    await until('the join credential to be revoked', async () => {
      const secrets = await admin().get(
        '/api/v1/namespaces/kube-system/secrets?fieldSelector=type=bootstrap.kubernetes.io/token',
      );
      return secrets.body.items.length === 0 ? true : undefined;
    });
  });

  test('a host that is killed comes back to its record, its Node and its pods', async () => {
    const pods = await podsOf('steady');
    const before = await world.chain.balance(steady.worker.wallet.address);
    steady.host.kill('SIGKILL');
    await steady.host.exited;
    const host = steady.worker.start();
    expect((await host.event('stake.found', patiently)).recordId).toBe(steady.recordId);
    await host.event('agent.ready', patiently);
    expect(await world.nodeReady('steady', patiently.withinMs)).toMatchObject({ uid: steady.uid });
    await heartbeat(host);
    expect(await world.chain.balance(steady.worker.wallet.address)).toBe(before);
    expect(await agentsOf('steady')).toHaveLength(2);
    expect(await podsOf('steady')).toEqual(pods);
    steady = { ...steady, host };
  });

  test('SIGTERM ends the agent and leaves its pods; the next start finds them running', async () => {
    const pods = await podsOf('steady');
    await steady.host.stop();
    expect(await steady.host.exited).toEqual({ code: 0, signal: null });
    expect(await agentsOf('steady')).toEqual([]);
    expect(await podsOf('steady')).toEqual(pods);
    // As after the power failed: what was in memory is gone.
    await rm(steady.worker.tokenFile);
    const host = steady.worker.start();
    await host.event('agent.ready', patiently);
    expect(await world.nodeReady('steady', patiently.withinMs)).toMatchObject({ uid: steady.uid });
    await heartbeat(host);
    expect(await podsOf('steady')).toEqual(pods);
    if (steadyPod) {
      const found = await pod(admin(), steadyPod);
      expect(found.status.containerStatuses[0]).toMatchObject({ restartCount: 0, ready: true });
    }
    steady = { ...steady, host };
  });

  test('a k3s server that restarts costs nobody his Node, and no agent is started anew', async () => {
    const agents = await agentsOf('steady');
    const from = steady.host.lines.length;
    await k3s.restartServer();
    expect(await world.nodeReady('steady', patiently.withinMs)).toMatchObject({ uid: steady.uid });
    await heartbeat(steady.host);
    expect(await agentsOf('steady')).toEqual(agents);
    const events = steady.host.lines.slice(from).map(({ event }) => event);
    expect(events).not.toContain('worker.registered');
    expect(events).not.toContain('agent.exited');
  });

  test('a Node that the operator deletes registers again by itself', async () => {
    const pods = await podsOf('steady');
    const from = steady.host.lines.length;
    expect((await admin().send('DELETE', '/api/v1/nodes/steady')).status).toBe(200);
    const registered = await steady.host.event('worker.registered', { from, ...patiently });
    expect(registered.recordId).toBe(steady.recordId);
    await steady.host.event('agent.ready', { from, ...patiently });
    const { uid } = await world.nodeReady('steady', patiently.withinMs);
    expect(uid).not.toBe(steady.uid);
    await heartbeat(steady.host);
    steady = { ...steady, uid };
    // A pod is bound to a name: the Node came back before the collector of orphaned pods had seen it missing for a minute.
    expect(await podsOf('steady')).toEqual(pods);
    if (steadyPod) expect((await pod(admin(), steadyPod))?.status).toMatchObject({ phase: 'Running' });
  });

  test('two votes end the agent, its pods and its Node, and nobody else’s', async () => {
    const doomed = await joined('doomed');
    await runPod('doomed');
    const certificate = await certificateOf(doomed.worker);
    const pods = await podsOf('doomed');
    const others = await podsOf('steady');
    const machine = k3s.realMachine('doomed');
    const doomedProcesses = [...pods, ...(await agentsOf('doomed'))];
    expect(doomedProcesses.length).toBeGreaterThan(1);

    await world.slash(doomed.recordId, stakeMist, 'two heads signed at one height');
    const [stopped, { code }] = await Promise.all([
      doomed.host.event('agent.stopped', patiently),
      doomed.host.exited,
    ]);
    expect(code).toBe(77);
    // The kubelet may have been quicker, told by the gateway: what counts is that they are gone, and nobody else is.
    expect(pods.map(({ pid }) => pid)).toEqual(expect.arrayContaining(stopped.killedPids as number[]));
    for (const process of doomedProcesses)
      expect(await isRunning(process), process.commandLine.join(' ')).toBe(false);
    expect(await processesOf(machine)).toHaveLength(1);
    await world.nodeGone('doomed', patiently.withinMs);

    const again = doomed.worker.start();
    expect((await again.exited).code).toBe(77);
    expect(again.lines.some((line) => line.event === 'agent.started')).toBe(false);

    // What the worker still holds, or a thief: a certificate for a year.
    using thief = new KubernetesApi({
      server: k3s.server,
      ca: await readFile(k3s.serverCaFile, 'utf8'),
      ...certificate,
    });
    const node = {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'doomed' },
      spec: { taints: [stakedTaint] },
    };
    const { status, body } = await thief.send('POST', '/api/v1/nodes', node);
    expect(status).toBe(403);
    expect(body.message).toContain('the node name doomed is not admitted');
    expect(await world.node('doomed')).toBeUndefined();

    expect(await podsOf('steady')).toEqual(others);
    expect(await world.node('steady')).toEqual({ uid: steady.uid, isReady: true });
    await heartbeat(steady.host);
  });

  test('a slash that finds the host dead takes the Node, and the pods as soon as the host is back', async () => {
    const machine = k3s.realMachine('steady');
    const pods = await podsOf('steady');
    steady.host.kill('SIGKILL');
    await steady.host.exited;
    await world.slash(steady.recordId, stakeMist, 'two heads signed at one height');
    await world.nodeGone('steady', patiently.withinMs);
    const host = steady.worker.start();
    // Its agent may start on its certificates, until the chain has answered; then nothing of it is left.
    expect((await host.exited).code).toBe(77);
    for (const process of pods) expect(await isRunning(process)).toBe(false);
    expect(await processesOf(machine)).toHaveLength(1);
    expect(await world.node('steady')).toBeUndefined();
  });
});
