import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Kubernetes, openKubernetes, type SetupResult, setupCluster } from '#cluster';
import { suiteWorld } from '../suite-world.ts';
import type { KubernetesWorld } from '../world/suite-worlds.ts';
import { callerOf, eventually, nodeBody, uniqueName } from './kubernetes-calls.ts';
import { caHash } from './server/authority.ts';
import { hashNodePassword } from './server/node-password.ts';

const recordId = `0x${'d4'.repeat(32)}`;
const tier = 'basic';

/** The stand-in agent, a real process, against the supervisor: admitted, evicted, and trying to come back. */
describe.skipIf(suiteWorld.isMissing)(`an agent at ${suiteWorld.name}`, () => {
  let world: KubernetesWorld;
  let setup: SetupResult;
  /** With the gateway's own rights. */
  let gateway: Kubernetes;
  beforeAll(async () => {
    world = await suiteWorld.startKubernetes();
    setup = await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
    gateway = openKubernetes({ kubeconfig: { text: setup.kubeconfig?.reveal() ?? '' }, podGraceMs: 200 });
  });
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]();
    await world?.[Symbol.asyncDispose]();
  });

  test('joins when it is admitted, is evicted, and cannot come back by any of its old means', async () => {
    const node = uniqueName('agent');
    const worker = await openWorker(world, node);
    await gateway.reserveNodePassword({
      nodeId: node,
      recordId,
      hash: await hashNodePassword(worker.password),
    });
    await gateway.admitName({ nodeId: node, tier });
    const issued = await gateway.createJoinCredential({
      nodeId: node,
      recordId,
      expiresAtMs: Date.now() + 300_000,
    });
    await worker.giveToken(issued.credential.reveal());
    let agent = await worker.startAgent();
    const ready = () =>
      eventually(
        'the Node is ready',
        30_000,
        () => gateway.node(node),
        (one) => one?.isReady === true,
      );
    const first = await ready();
    await gateway.markNode({ nodeId: node, recordId, tier: 'basic' });

    // A restart needs no credential while the Node is there.
    await gateway.revokeJoinCredential(issued.id);
    expect(await agent.stop()).toBe(0);
    agent = await worker.startAgent();
    await agent.logged(/Successfully registered node/);
    expect((await gateway.node(node))?.uid).toBe(first?.uid);

    // Slashed: the gateway's order.
    await gateway.removeName(node);
    await gateway.cordonAndTaint({ nodeId: node, reason: 'slashed' });
    await gateway.removePods(node);
    await gateway.deleteNode({ nodeId: node, uid: first?.uid ?? '' });
    await agent.stop();
    const stays = async (what: string) => {
      await agent.logged(/Waiting to retrieve agent configuration|Unable to register node/);
      expect(await gateway.node(node), what).toBeUndefined();
    };

    agent = await worker.startAgent();
    await stays('with its old certificates');
    await agent.stop();
    const kubelet = {
      certificate: await readFile(join(worker.directory, 'agent', 'client-kubelet.crt'), 'utf8'),
      key: await readFile(join(worker.directory, 'agent', 'client-kubelet.key'), 'utf8'),
    };
    const taints = [{ key: 'k3s-daas.io/staked', value: tier, effect: 'NoSchedule' }];
    for (const url of [world.url, world.supervisorUrl])
      expect(
        await callerOf({ ...world, url }, kubelet)(
          'POST',
          '/api/v1/nodes',
          nodeBody(node, { spec: { taints } }),
        ),
      ).toMatchObject({ status: 403, object: { message: expect.stringContaining('is not admitted') } });

    // Even with a credential that somebody else was given, and without the old certificates that stand in its way.
    const other = await gateway.createJoinCredential({
      nodeId: uniqueName('other'),
      recordId,
      expiresAtMs: Date.now() + 300_000,
    });
    await worker.giveToken(other.credential.reveal());
    for (const file of ['client-kubelet.crt', 'client-kubelet.key'])
      await rm(join(worker.directory, 'agent', file));
    agent = await worker.startAgent();
    await stays('with a stolen credential');
    await agent.stop();

    // A new, good stake: the same machine is welcome again.
    await gateway.reserveNodePassword({
      nodeId: node,
      recordId,
      hash: await hashNodePassword(worker.password),
    });
    await gateway.admitName({ nodeId: node, tier });
    for (const file of ['client-kubelet.crt', 'client-kubelet.key'])
      await rm(join(worker.directory, 'agent', file), { force: true });
    agent = await worker.startAgent();
    const again = await ready();
    expect(again?.uid).not.toBe(first?.uid);
    await agent.stop();
  });
});

async function openWorker(world: KubernetesWorld, node: string) {
  const directory = await mkdtemp(join(tmpdir(), 'standin-agent-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 3 }));
  const password = 'a'.repeat(32);
  await mkdir(join(directory, 'agent/etc/rancher/node'), { recursive: true });
  await writeFile(join(directory, 'agent/etc/rancher/node/password'), `${password}\n`, { mode: 0o600 });
  const tokenFile = join(directory, 'token');
  return {
    directory,
    password,
    giveToken: (token: string) => writeFile(tokenFile, `K10${caHash(world.ca)}::${token}`, { mode: 0o600 }),
    async startAgent() {
      const [balancer = 0, health = 0] = await freePorts(2);
      const flags = `--rootless --lb-server-port ${balancer} --kubelet-arg healthz-port=${health} --server ${world.supervisorUrl} --token-file ${tokenFile} --data-dir ${directory} --node-name ${node} --node-taint k3s-daas.io/staked=${tier}:NoSchedule`;
      return follow(
        spawn(join(import.meta.dirname, 'agent', 'k3s'), ['agent', ...flags.split(' ')], {
          stdio: ['ignore', 'ignore', 'pipe'],
          env: { ...process.env, K3S_STANDIN_SPEED: '5' },
        }),
      );
    },
  };
}

function follow(child: ChildProcess) {
  const lines: string[] = [];
  if (child.stderr) createInterface(child.stderr).on('line', (line) => lines.push(line));
  const exited = once(child, 'exit');
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return {
    logged: (text: RegExp) =>
      eventually(
        `a line like ${text}`,
        30_000,
        async () => lines.slice(-30),
        () => lines.some((line) => text.test(line)),
      ),
    async stop(): Promise<unknown> {
      child.kill('SIGTERM');
      return (await exited)[0];
    },
  };
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  for (const server of servers) await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}
