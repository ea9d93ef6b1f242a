import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lifetime } from '#base';
import { type Kubernetes, namespaceOfName, openKubernetes, setupCluster } from '#cluster';
import { type Answer, type Caller, merge, strategic } from './standin/kubernetes-calls.ts';
import { until } from './world/kubernetes.ts';
import { callersOf } from './world/real-callers.ts';
import { type RealK3s, startBareAgent, startRealK3s } from './world/real-k3s.ts';

/**
 * k3s reaches kubelets (exec, logs, metrics) by tunnels that agents open, and looks the tunnel up by the address that a Node
 * reports (pkg/daemons/control/tunnel.go): a worker that reports another Node's address gets what is meant for that Node, unless
 * a policy keeps it from that (K3S_BIN). docs/security.md says what stays open.
 */
const binary = process.env.K3S_BIN ?? '';
const data = '/var/lib/rancher/k3s';
const patiently = { withinMs: 120_000 };

// Each in a cluster of its own: k3s keeps the address in mind, and the API server its connection.
describe.skipIf(binary === '').each([
  ['agent', 'without policies'],
  ['agent', 'under the policies'],
  ['disabled', 'without policies'],
] as const)(
  'a worker that reports the address of the server’s Node, with egress-selector-mode %s, %s (K3S_BIN)',
  (mode, policies) => {
    const life = new Lifetime();
    let k3s: RealK3s;
    let admin: Caller;
    let kubelet: Caller;

    beforeAll(async () => {
      const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-tunnel-'));
      life.defer('directory', () => rm(directory, { recursive: true, force: true }));
      const serverArgs = [`--egress-selector-mode=${mode}`];
      k3s = await startRealK3s(binary, { isServerNode: true, serverArgs })(directory, life);
      const callers = await callersOf(k3s);
      admin = callers.admin;
      await k3s.machine('w1', join(directory, 'w1'));
      const machine = k3s.realMachine('w1');
      const logFile = join(directory, 'k3s-agent.log');
      const agent = await startBareAgent(binary, k3s, { nodeId: 'w1', logFile });
      life.defer('the k3s agent', () => agent.stop());
      const pem = (name: string) => readFile(machine.file(`${data}/agent/client-kubelet.${name}`), 'utf8');
      const isThere = async () => (await admin('GET', '/api/v1/nodes/w1')).status === 200 || undefined;
      await until('its Node', isThere, patiently).catch((cause: unknown) => {
        throw new Error(`the agent makes no Node:\n${agent.tail(60)}`, { cause });
      });
      kubelet = callers.callerBy({ certificate: await pem('crt'), key: await pem('key') });
    }, 300_000);
    afterAll(() => life.close());

    /** What the API server is answered for the server's kubelet while the worker reports its address. */
    async function answersWhileReported(): Promise<readonly Answer[]> {
      const addresses = [{ type: 'InternalIP', address: k3s.serverMachine.address }];
      const answers: Answer[] = [];
      // Not asked before: the API server would keep its connection. The agent reports its own address again every ten seconds.
      for (let count = 0; count < 40; count += 1) {
        const body = { status: { addresses } };
        expect((await kubelet('PATCH', '/api/v1/nodes/w1/status', body, strategic)).status).toBe(200);
        await sleep(100);
        answers.push(await admin('GET', '/api/v1/nodes/server/proxy/healthz'));
      }
      return answers;
    }
    /** Setup has listed the Node that was there as the operator's. */
    async function becomesStaked(nodeId: string, cluster: Kubernetes): Promise<void> {
      const inNamespace = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespaceOfName(nodeId)}`;
      for (const kind of ['roles', 'rolebindings'])
        expect((await admin('DELETE', `${inNamespace}/${kind}/${nodeId}`)).status).toBe(200);
      await cluster.admitName({ nodeId, tier: 'untainted' });
    }
    const isGood = ({ status }: Answer) => status === 200;

    test.runIf(mode === 'agent' && policies === 'without policies')(
      'gets what the API server sends to the server’s kubelet, where no policy holds its addresses',
      async () => {
        const taken = (await answersWhileReported()).filter((answer) => !isGood(answer));
        expect(taken).not.toEqual([]);
        // This agent shows its own certificate. An attacker has k3s issue one for any address that it names.
        expect(JSON.stringify(taken)).toContain('x509');
      },
      300_000,
    );

    test.runIf(policies === 'under the policies')(
      'gets nothing of it under the policies: a staked node reports no address of the operator’s nodes',
      async () => {
        const kubeconfig = { path: k3s.kubeconfig };
        await setupCluster({ kubeconfig });
        await using cluster = openKubernetes({ kubeconfig });
        await becomesStaked('w1', cluster);
        await cluster.holdAddresses([k3s.serverMachine.address]);
        const address = k3s.serverMachine.address;
        const attempts = [
          ['/status', { status: { addresses: [{ type: 'InternalIP', address }] } }],
          ['/status', { status: { addresses: [{ type: 'ExternalIP', address: `::ffff:${address}` }] } }],
          ['', { metadata: { annotations: { 'k3s.io/internal-ip': address } } }],
          [
            '',
            {
              metadata: {
                annotations: { 'k3s.io/internal-ip': null },
                labels: { 'k3s.io/internal-ip': address },
              },
            },
          ],
        ] as const;
        const attack = ([path, body]: (typeof attempts)[number], query = '') =>
          kubelet('PATCH', `/api/v1/nodes/w1${path}${query}`, body, merge);
        // As a dry run: k3s would keep the first one in mind.
        const isRefused = async () => (await attack(attempts[0], '?dryRun=All')).status === 403 || undefined;
        await until('the list to count', isRefused, patiently);
        for (let count = 0; count < 40; count += 1) {
          for (const attempt of attempts) expect((await attack(attempt)).status).toBe(403);
          await sleep(100);
          expect(await admin('GET', '/api/v1/nodes/server/proxy/healthz')).toMatchObject({ status: 200 });
        }
        // It goes on with its own.
        const own = [{ type: 'InternalIP', address: k3s.realMachine('w1').address }];
        const reported = await kubelet(
          'PATCH',
          '/api/v1/nodes/w1/status',
          { status: { addresses: own } },
          strategic,
        );
        expect(reported.status).toBe(200);
      },
      300_000,
    );

    test.runIf(mode === 'disabled')(
      'gets nothing of it where the server connects to kubelets itself',
      async () => {
        expect((await answersWhileReported()).filter((answer) => !isGood(answer))).toEqual([]);
      },
      300_000,
    );
  },
);
