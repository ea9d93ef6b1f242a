import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lifetime } from '#base';
import { setupCluster } from '#cluster';
import { type Caller, merge, strategic } from './standin/kubernetes-calls.ts';
import type { KubeObject } from './standin/server/objects.ts';
import { until } from './world/kubernetes.ts';
import type { Program } from './world/program.ts';
import { callersOf, type RealCallers } from './world/real-callers.ts';
import { type FlannelBackend, type RealK3s, startBareAgent, startRealK3s } from './world/real-k3s.ts';
import type { RealMachine } from './world/real-machine.ts';

/**
 * The policies on writes to Nodes with the real writers: k3s, kubelet and flannel of a server that is a Node and of an
 * agent (K3S_BIN), and with the identity that this agent keeps on its disk.
 */
const binary = process.env.K3S_BIN ?? '';
const run = promisify(execFile);
const publicIp = 'flannel.alpha.coreos.com/public-ip';
const data = '/var/lib/rancher/k3s';
const bindings = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings';

async function inside({ enter }: RealMachine, ...words: readonly string[]): Promise<string> {
  const [file, ...args] = enter;
  return (await run(file, [...args, ...words])).stdout;
}

/** Wireguard is a module that not every kernel has; `wg` says where a peer's packets go. */
const hasWireguard =
  binary !== '' &&
  spawnSync('unshare', ['--net', 'sh', '-c', 'wg --version && ip link add wg0 type wireguard']).status === 0;
const backends: ReadonlyArray<readonly [FlannelBackend, boolean]> = [
  ['host-gw', binary !== ''],
  ['vxlan', binary !== ''],
  ['wireguard-native', hasWireguard],
];

for (const [flannelBackend, isPossible] of backends)
  describe.skipIf(!isPossible)(`a real k3s with flannel by ${flannelBackend} (K3S_BIN)`, () => {
    const life = new Lifetime();
    let directory: string;
    let k3s: RealK3s;
    let machine: RealMachine;
    let admin: Caller;
    let callerBy: RealCallers['callerBy'];
    let agent: Program;

    const nodeOf = async (name: string) => (await admin('GET', `/api/v1/nodes/${name}`)).object;
    const annotationsOf = (node: KubeObject) => node.metadata.annotations ?? {};
    /** Where a machine sends what is for the pods of a Node: the server's for those of the agent, unless others are given. */
    async function nextHop(from = k3s.serverMachine, node = 'w1'): Promise<string> {
      const { podCIDR } = (await nodeOf(node)).spec as { podCIDR: string };
      const route = await inside(from, 'ip', 'route', 'show', podCIDR);
      if (flannelBackend === 'host-gw') return / via (\S+)/.exec(route)?.[1] ?? route;
      if (flannelBackend === 'wireguard-native') return wireguardPeer(from, podCIDR);
      const gateway = podCIDR.split('/')[0] ?? '';
      const neighbours = await inside(from, 'ip', 'neighbour', 'show', gateway, 'dev', 'flannel.1');
      const vtep = / lladdr (\S+)/.exec(neighbours)?.[1] ?? neighbours;
      const table = await inside(from, 'bridge', 'fdb', 'show', 'dev', 'flannel.1');
      return new RegExp(`${vtep} dst (\\S+)`).exec(table)?.[1] ?? table;
    }
    /** The address of the peer that has these pods: of a line of `wg show … dump` the third word, its pods the fourth. */
    async function wireguardPeer(from: RealMachine, podCidr: string): Promise<string> {
      const dump = await inside(from, 'wg', 'show', 'flannel-wg', 'dump');
      const peers = dump.split('\n').map((line) => line.split('\t'));
      const peer = peers.find((words) => words[3]?.split(',').includes(podCidr));
      return peer?.[2]?.replace(/:\d+$/, '') ?? dump;
    }
    const becomes = (address: string, ...of: Parameters<typeof nextHop>) =>
      until(`the next hop ${address}`, async () => ((await nextHop(...of)) === address ? true : undefined), {
        withinMs: 120_000,
      });
    const publicIpBecomes = (node: string, address: string) =>
      until(
        `flannel of ${node} at ${address}`,
        async () => (annotationsOf(await nodeOf(node))[publicIp] === address ? true : undefined),
        { withinMs: 120_000 },
      );
    async function startAgent(address: string): Promise<void> {
      const logFile = join(directory, 'k3s-agent.log');
      const started = await startBareAgent(binary, k3s, { nodeId: 'w1', logFile, address });
      agent = started;
      life.defer('the k3s agent', () => started.stop());
    }

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'k3s-daas-flannel-'));
      life.defer('directory', () => rm(directory, { recursive: true, force: true }));
      k3s = await startRealK3s(binary, { isServerNode: true, flannelBackend })(directory, life);
      ({ admin, callerBy } = await callersOf(k3s));
      await setupCluster({ kubeconfig: { path: k3s.kubeconfig }, ordinaryNames: ['w1'] });
      await k3s.machine('w1', join(directory, 'w1'));
      machine = k3s.realMachine('w1');
      await startAgent(machine.address);
    }, 300_000);
    afterAll(() => life.close());

    test('an agent that joins under the policies gets its network, and the server keeps its own', async () => {
      await publicIpBecomes('w1', machine.address);
      await becomes(machine.address);
      await k3s.restartServer();
      await publicIpBecomes('server', k3s.serverMachine.address);
      await becomes(machine.address);
    }, 300_000);

    test('with the identity from its disk it neither moves the traffic of a Node nor touches it otherwise', async () => {
      const pair = async (name: string) => ({
        certificate: await readFile(machine.file(`${data}/agent/client-${name}.crt`), 'utf8'),
        key: await readFile(machine.file(`${data}/agent/client-${name}.key`), 'utf8'),
      });
      const shared = callerBy(await pair('k3s-controller'));
      // k3s writes the role that grants it anew after every start of the server.
      await until('the rights of the shared identity', async () =>
        (await shared('GET', '/api/v1/nodes')).status === 200 ? true : undefined,
      );
      const attacker = k3s.gatewayHost;
      const redirect = { metadata: { annotations: { [publicIp]: attacker } } };
      // The server has the label: with its own value this would change nothing, and pass.
      const role = { metadata: { labels: { 'node-role.kubernetes.io/control-plane': 'taken' } } };
      const notReady = { status: { conditions: [{ type: 'Ready', status: 'False' }] } };
      for (const node of ['w1', 'server'])
        for (const body of [redirect, role, notReady])
          expect(await shared('PATCH', `/api/v1/nodes/${node}/status`, body, strategic)).toMatchObject({
            status: 403,
            object: { message: expect.stringContaining('k3s-daas-shared-identities') },
          });
      expect(await nextHop()).toBe(machine.address);
      // The same without the policy: this is what it stops.
      await admin('DELETE', `${bindings}/k3s-daas-shared-identities`);
      await until('the attack', async () => {
        const { status } = await shared('PATCH', '/api/v1/nodes/w1/status', redirect, merge);
        return status === 200 ? true : undefined;
      });
      await becomes(attacker);
      await setupCluster({ kubeconfig: { path: k3s.kubeconfig } });
      const back = { metadata: { annotations: { [publicIp]: machine.address } } };
      expect((await shared('PATCH', '/api/v1/nodes/w1/status', back, merge)).status).toBe(200);
      await becomes(machine.address);
    }, 300_000);

    test('an agent that returns with another address gets its network there, without a restart', async () => {
      await agent.stop();
      const moved = machine.address.replace(/\d+$/, '200');
      await inside(machine, 'ip', 'address', 'del', `${machine.address}/24`, 'dev', 'eth0');
      await inside(machine, 'ip', 'address', 'add', `${moved}/24`, 'dev', 'eth0');
      // The default route went with the address.
      await inside(machine, 'ip', 'route', 'replace', 'default', 'dev', 'eth0');
      await startAgent(moved);
      const { pid } = agent;
      await publicIpBecomes('w1', moved);
      await becomes(moved);
      expect(agent.isRunning).toBe(true);
      expect(agent.pid).toBe(pid);
    }, 300_000);

    // Agents find it by its old address, as by a name or a load balancer: k3s has no other way to be found again.
    test('a server that starts with another address of its Node gets its network there, and agents follow', async () => {
      const { serverMachine } = k3s;
      const moved = serverMachine.address.replace(/\d+$/, '201');
      // flannel takes the first one of the interface.
      const haveAddresses = async (...addresses: readonly string[]) => {
        await inside(serverMachine, 'ip', 'address', 'flush', 'dev', 'eth0');
        for (const address of addresses)
          await inside(serverMachine, 'ip', 'address', 'add', `${address}/24`, 'dev', 'eth0');
        await inside(serverMachine, 'ip', 'route', 'replace', 'default', 'dev', 'eth0');
      };
      await becomes(serverMachine.address, machine, 'server');
      await haveAddresses(moved, serverMachine.address);
      await k3s.restartServer(moved);
      await publicIpBecomes('server', moved);
      await becomes(moved, machine, 'server');
      await haveAddresses(serverMachine.address, moved);
      await k3s.restartServer();
      await publicIpBecomes('server', serverMachine.address);
      await becomes(serverMachine.address, machine, 'server');
    }, 300_000);
  });
