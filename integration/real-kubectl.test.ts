import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { namespaceOfWallet } from '#domain';
import { findTools } from './kube/kubectl-binary.ts';
import { BUSYBOX_IMAGE, makeBusyboxImage } from './world/busybox-image.ts';
import { freePort } from './world/free-port.ts';
import { KubernetesApi, until as untilWithin } from './world/kubernetes.ts';
import { Person } from './world/person.ts';
import { ourProgram, Program } from './world/program.ts';
import { type RealK3s, startRealK3s } from './world/real-k3s.ts';
import { SUI, World } from './world/world.ts';

/**
 * kubectl with a Seal token on a real k3s (K3S_BIN): its server set up as docs/kubectl.md says, a staked worker under our host, and a
 * person with kubectl and helm. Pods need K3S_DAAS_TEST_IMAGE_TAR (pause) and Debian's busybox-static.
 */
const binary = process.env.K3S_BIN ?? '';
const images = (process.env.K3S_DAAS_TEST_IMAGE_TAR ?? '').split(':').filter(Boolean);
/** A busy machine is slow: what is waited for comes, or something is wrong. */
const patiently = { withinMs: 240_000 };
const until = <T>(what: string, ask: () => Promise<T | undefined>): Promise<T> =>
  untilWithin(what, ask, patiently);
/** As docs/kubectl.md sets it. */
const cacheTtlMs = 10_000;
/** That, and what the API server keeps of every bearer token. */
const revokedWithinMs = cacheTtlMs + 10_000;
/** Of `kubectl get ns` with and without the plugin. */
const turns = Number(process.env.K3S_DAAS_TEST_TURNS ?? 3);
const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;
const tiers = [
  { stakeMist: SUI, permissions: ['pods:read', 'pods:write', 'deployments.apps:write'] },
  { stakeMist: 2n * SUI, permissions: ['nodes:write', 'pods/exec:create', 'pods/portforward:create'] },
  { stakeMist: 50n * SUI, permissions: ['*:*'] },
];
const permissions = tiers
  .slice(0, 2)
  .flatMap((tier) => tier.permissions)
  .filter((permission) => permission !== 'nodes:write');
const serves = `echo "I am $(id -u) on $(hostname)"; exec busybox httpd -f -p 8080 -h /www`;
// oxlint-disable unicorn/no-useless-spread -- a flag and its value on one line
const deployment = [
  ...['create', 'deployment', 'web', `--image=${BUSYBOX_IMAGE}`],
  ...['--', 'busybox', 'sh', '-c', serves],
];
/** What the refusals of its pods ask for. */
const allowed = {
  spec: {
    template: {
      spec: {
        nodeSelector: { 'k3s-daas.node-restriction.kubernetes.io/tier': 'standard' },
        tolerations: [{ key: 'k3s-daas.io/staked', operator: 'Exists', effect: 'NoSchedule' }],
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'busybox',
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          },
        ],
      },
    },
  },
};

describe.skipIf(binary === '')(
  'kubectl with a Seal token on a real k3s (K3S_BIN)',
  { timeout: 900_000 },
  () => {
    let world: World;
    let k3s: RealK3s;
    let directory = '';
    let person: Person;
    let recordId = '';
    /** Without images there are no pods. */
    let hasPods = false;
    const admin = () => world.kubernetes;
    const namespace = () => namespaceOfWallet(person.wallet.address);

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), 'k3s-daas-kubectl-'));
      const made = images.length === 0 ? undefined : await makeBusyboxImage(directory);
      hasPods = made !== undefined;
      const start = startRealK3s(binary, {
        images: made === undefined ? images : [...images, made],
        isGatewayOnServer: true,
      });
      world = await World.start({
        startK3s: async (home, life) => {
          k3s = await start(home, life);
          return k3s;
        },
        cluster: { tiers, minimumStakeMist: 2n * SUI, minimumTopUpMist: 1n },
        gateway: {
          tokenReview: { enabled: true, cacheTtlMs },
          tenants: { enabled: true, kubeconfig: join(directory, 'tenants.kubeconfig') },
          stakedNodes: true,
        },
      });
      await askTheGateway();
      person = await Person.of(world, await findTools());
    }, 600_000);
    afterAll(async () => {
      await world?.close();
      await rm(directory, { recursive: true, force: true });
    });

    /** As root on the server: `gateway token-review`, its lines in k3s' configuration, and a restart. */
    async function askTheGateway(): Promise<void> {
      const command = new Program({
        name: 'gateway token-review',
        command: [...k3s.serverMachine.enter, ...ourProgram],
        args: ['gateway', 'token-review', '--config', world.gatewayConfigFile],
        logFile: join(world.directory, 'token-review.log'),
      });
      expect((await command.exited).code, command.tail()).toBe(0);
      const lines = command.text.slice(command.text.indexOf('kube-apiserver-arg+:'));
      expect(lines).toHaveLength(4);
      const file = k3s.serverMachine.file('/etc/rancher/k3s/config.yaml.d/k3s-daas.yaml');
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, `${lines.join('\n')}\n`);
      await k3s.restartServer();
    }

    test('stake, kubeconfig, kubectl: a person reads in a namespace of their own, and no more', async () => {
      const staked = await person.spend(
        ...['stake', '--for', 'user', '--amount', '3', '--login', person.login],
        ...['--permission', 'pods:read'],
      );
      recordId = (staked.record as { id: string }).id;
      await person.writeKubeconfig();
      const from = performance.now();
      // A busy machine makes the namespace in more than the ten seconds that a login waits for it.
      const first = await until('the first command to be carried out', async () => {
        const outcome = await person.kubectl(['get', 'pods']);
        return outcome.exitCode === 0 ? outcome : undefined;
      });
      process.stdout.write(
        `first login, with the making of the namespace: ${seconds(performance.now() - from)}\n`,
      );
      expect(first).toMatchObject({
        exitCode: 0,
        stderr: `No resources found in ${namespace()} namespace.\n`,
      });
      const whoami = await person.kubectl(['auth', 'whoami']);
      process.stdout.write(whoami.stdout);
      expect(whoami.stdout).toContain(`seal:${person.wallet.address}`);
      const refused = await person.kubectl(deployment);
      process.stdout.write(refused.stderr);
      expect(refused.stderr).toContain('cannot create resource "deployments" in API group "apps"');
      expect((await person.kubectl(['get', 'nodes'])).stderr).toContain('cannot list resource "nodes"');
    });

    test('another Seal token of the same stake grants more, by the same kubeconfig', async () => {
      await person.spend('token', 'revoke', '--record', recordId);
      await refusedToLogIn();
      await person.spend(
        ...['token', 'create', '--record', recordId, '--login', person.login],
        ...permissions.flatMap((permission) => ['--permission', permission]),
      );
      const may = await person.kubectl(['auth', 'can-i', 'create', 'pods', '--subresource=exec']);
      expect(may).toMatchObject({ exitCode: 0, stdout: 'yes\n' });
    });

    let pod = '';
    test('a Deployment runs on a staked worker, once its pods are as they have to be', async () => {
      const worker = await world.worker('worker-1', { stakeMist: 2n * SUI });
      await worker.start().event('agent.ready', patiently);
      await world.nodeReady('worker-1', patiently.withinMs);

      expect(await person.kubectl(deployment)).toMatchObject({ stdout: 'deployment.apps/web created\n' });
      await person.kubectl(['patch', 'deployment', 'web', '-p', JSON.stringify(allowed)]);
      const list = ['get', 'pods', '-l', 'app=web', '-o'];
      pod = await until('its pod', async () => {
        const { stdout } = await person.kubectl([...list, 'jsonpath={.items[0].metadata.name}']);
        return stdout || undefined;
      });
      if (!hasPods) return;
      const shown = await until('the pod to run', async () => {
        const { stdout } = await person.kubectl([...list, 'wide', '--no-headers']);
        return / Running .* worker-1 /.test(stdout) ? stdout : undefined;
      });
      process.stdout.write(shown);
      const logs = await person.kubectl(['logs', pod]);
      expect(logs.stdout).toBe(`I am 65534 on ${pod}\n`);
    });

    const word = 'said-by-the-pod';
    const exec = (env = {}) => person.kubectl(['exec', pod, '--', 'busybox', 'echo', word], { env });

    test.each([
      ['WebSocket', 'true'],
      ['SPDY', 'false'],
    ])('kubectl exec and port-forward go through the API server by %s', async (_name, isWebSocket) => {
      if (!hasPods) return;
      const env = {
        KUBECTL_REMOTE_COMMAND_WEBSOCKETS: isWebSocket,
        KUBECTL_PORT_FORWARD_WEBSOCKETS: isWebSocket,
      };
      const run = await person.kubectl(['exec', '-v=7', pod, '--', 'busybox', 'echo', word], { env });
      expect(run).toMatchObject({ exitCode: 0, stdout: `${word}\n` });
      process.stdout.write(
        `${run.stderr
          .split('\n')
          .filter((line) => /exec\?|Upgrade|protocol/i.test(line))
          .join('\n')}\n`,
      );
      expect(await exec(env)).toMatchObject({ exitCode: 0, stdout: `${word}\n`, stderr: '' });
      const failed = await person.kubectl(['exec', pod, '--', 'busybox', 'sh', '-c', 'exit 7'], { env });
      expect(failed.exitCode).toBe(7);

      const port = await freePort();
      const forward = person.start(['port-forward', pod, `${port}:8080`], { env });
      try {
        await firstLine(forward.stdout);
        expect(await pageAt(port)).toBe('served by a pod\n');
      } finally {
        forward.kill('SIGTERM');
      }
    });

    test('kubectl get ns with the plugin beside a certificate, by turns', async () => {
      const rbac = '/apis/rbac.authorization.k8s.io/v1';
      const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'list-namespaces' };
      const metadata = { name: 'list-namespaces' };
      const subjects = [{ apiGroup: roleRef.apiGroup, kind: 'Group', name: 'seal:perm:pods:read' }];
      const rules = [{ apiGroups: [''], resources: ['namespaces'], verbs: ['list'] }];
      await admin().send('POST', `${rbac}/clusterroles`, { metadata, rules });
      await admin().send('POST', `${rbac}/clusterrolebindings`, { metadata, roleRef, subjects });
      const plugin: number[] = [];
      const certificate: number[] = [];
      // The first of each reads files from the disk, and asks the API server what it has.
      for (let turn = 0; turn <= turns; turn += 1) {
        plugin.push(await timeOf(() => person.kubectl(['get', 'ns'])));
        const env = { KUBECONFIG: k3s.kubeconfig };
        certificate.push(await timeOf(() => person.kubectl(['get', 'ns'], { env })));
      }
      process.stdout.write(
        `kubectl get ns, ${turns} turns: plugin ${shown(plugin.slice(1))}; certificate ${shown(certificate.slice(1))}\n`,
      );
    });

    test('what the stake does not carry any more is refused by name; a top-up gives it back, with the same login', async () => {
      const login = await readFile(person.login, 'utf8');
      await world.slash(recordId, 2n * SUI, 'a part');
      const refused = await until('the right to be gone', async () => {
        const { exitCode, stderr } = await exec();
        return exitCode !== 0 && stderr.includes('forbidden') ? stderr : undefined;
      });
      process.stdout.write(refused);
      expect(refused).toMatch(/cannot (create|get) resource "pods\/exec"/);
      expect(await person.kubectl(['get', 'pods'])).toMatchObject({ exitCode: 0 });
      await person.spend('stake', 'top-up', '--record', recordId, '--amount', '1');
      const granted = performance.now();
      await until('the right to be back', async () => {
        const { stderr } = await exec();
        return stderr.includes('forbidden') ? undefined : true;
      });
      process.stdout.write(`top-up -> granted: ${seconds(performance.now() - granted)}\n`);
      expect(await readFile(person.login, 'utf8')).toBe(login);
    });

    test('helm installs a chart with a Seal token, and its pod runs on the staked worker', async () => {
      const owner = await Person.of(world, await findTools());
      await owner.spend('stake', '--for', 'admin', '--amount', '50', '--login', owner.login);
      await owner.writeKubeconfig();
      await mkdir(join(directory, 'chart', 'templates'), { recursive: true });
      await writeFile(join(directory, 'chart', 'Chart.yaml'), 'apiVersion: v2\nname: tiny\nversion: 1.0.0\n');
      await writeFile(join(directory, 'chart', 'templates', 'web.yaml'), JSON.stringify(chartDeployment));
      const installed = await owner.helm([
        ...['install', 'tiny', join(directory, 'chart')],
        ...(hasPods ? ['--wait', '--timeout', '120s'] : []),
      ]);
      expect(installed.stdout, installed.stderr).toContain('STATUS: deployed');
      const listed = await owner.kubectl(['get', 'deployment', 'tiny', '--no-headers']);
      process.stdout.write(listed.stdout);
      expect(listed.stdout).toMatch(hasPods ? /^tiny +1\/1 / : /^tiny +/);
      // All of the namespace, and nothing of the other's.
      expect((await owner.kubectl(['get', 'pods', '-n', namespace()])).stderr).toContain(
        'cannot list resource "pods"',
      );
    });

    test('with the gateway dead a login in use lives for the caches, and an administrator is not concerned', async () => {
      using inUse = await loginInUse();
      world.gateway.kill('SIGKILL');
      await world.gateway.exited;
      const death = performance.now();
      expect((await person.kubectl(['get', 'pods'])).stderr).toContain('must be logged in');
      await until('the login in use to end', async () => (await inUse.ask()) === 401 || undefined);
      const lived = performance.now() - death;
      process.stdout.write(`gateway dead -> a login in use ended: ${seconds(lived)}\n`);
      expect(lived).toBeLessThan(revokedWithinMs + 5_000);
      expect((await admin().get('/api/v1/nodes/worker-1')).status).toBe(200);
      await world.restartGateway();
      await until('logins to count again', async () =>
        (await person.kubectl(['get', 'pods'])).exitCode === 0 ? true : undefined,
      );
    });

    test('a slash ends it: a new kubectl at once, a login in use within the caches; what is open stays open', async () => {
      using inUse = await loginInUse();
      const open = hasPods ? person.start(['exec', '-i', pod, '--', 'busybox', 'cat']) : undefined;
      if (open) expect(await echoed(open, 'before')).toBe('before');
      const stakeMist = (await world.chain.client.records([recordId])).get(recordId)?.stakeMist ?? 0n;
      await world.slash(recordId, stakeMist, 'all of it');
      const slashed = performance.now();
      await refusedToLogIn();
      const freshMs = performance.now() - slashed;
      await until('the login in use to end', async () => (await inUse.ask()) === 401 || undefined);
      const inUseMs = performance.now() - slashed;
      process.stdout.write(
        `slash -> a new kubectl refused: ${seconds(freshMs)}; a login in use: ${seconds(inUseMs)}\n`,
      );
      // The look at the chain, and the caches.
      expect(inUseMs).toBeLessThan(revokedWithinMs + 10_000);
      if (open) {
        // An open stream asks nobody again (docs/security.md).
        expect(await echoed(open, 'after')).toBe('after');
        open.kill('SIGKILL');
      }
      // Objects stay.
      const { status } = await admin().get(`/apis/apps/v1/namespaces/${namespace()}/deployments/web`);
      expect(status).toBe(200);
    });

    /** The gateway has read from the chain that the login counts no longer. */
    const refusedToLogIn = () =>
      until('a new kubectl to be refused', async () => {
        const { stderr } = await person.kubectl(['get', 'pods']);
        return stderr.includes('must be logged in') || undefined;
      });

    /** A program that goes on with one login, as a controller or a window does. */
    async function loginInUse() {
      const api = new KubernetesApi({
        server: k3s.server,
        ca: await readFile(k3s.serverCaFile, 'utf8'),
        bearer: await person.bearer(),
      });
      const ask = async () => (await api.get(`/api/v1/namespaces/${namespace()}/pods`)).status;
      expect(await ask()).toBe(200);
      return { ask, [Symbol.dispose]: () => api[Symbol.dispose]() };
    }
  },
);

const { template } = allowed.spec;
const chartDeployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'tiny' },
  spec: {
    selector: { matchLabels: { app: 'tiny' } },
    template: {
      metadata: { labels: { app: 'tiny' } },
      spec: {
        ...template.spec,
        containers: template.spec.containers.map((container) => ({ ...container, image: BUSYBOX_IMAGE })),
      },
    },
  },
};

async function timeOf(work: () => Promise<{ readonly exitCode: number | null }>): Promise<number> {
  const from = performance.now();
  expect(await work()).toMatchObject({ exitCode: 0 });
  return performance.now() - from;
}

function shown(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => `${Math.round(sorted[Math.floor(sorted.length * part)] ?? 0)} ms`;
  return `${at(0)} at best, ${at(0.5)} in the middle`;
}

type Running = ReturnType<Person['start']>;

async function firstLine(stream: Running['stdout']): Promise<string> {
  for await (const line of createInterface({ input: stream })) return line;
  throw new Error('it ended without a line');
}

/** What a pod that repeats its input says to a line. */
async function echoed(open: Running, line: string): Promise<string> {
  const answer = once(open.stdout, 'data') as Promise<[Buffer]>;
  const ended = once(open, 'exit').then(() => {
    throw new Error('the stream has ended');
  });
  ended.catch(() => undefined);
  open.stdin.write(`${line}\n`);
  const [text] = await Promise.race([answer, ended]);
  return text.toString().trim();
}

function pageAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, timeout: 15_000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    });
    call.on('error', reject);
    call.end();
  });
}
