import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { makeWebhookKey } from '#authorizer';
import { tokenReviewFlags, tokenReviewKubeconfig } from '#cluster';
import { namespaceOfWallet } from '#domain';
import { callerOf } from '../standin/kubernetes-calls.ts';
import { freePort } from '../world/free-port.ts';
import { until } from '../world/kubernetes.ts';
import { type Outcome, outcomeOf } from '../world/outcome.ts';
import { projectRoot } from '../world/program.ts';
import { SUI, World } from '../world/world.ts';
import { startKubeK3s } from './kube-world.ts';
import { findTools } from './kubectl-binary.ts';

const found = inject('controlPlane');
const cacheTtlMs = 1_000;

// oxlint-disable unicorn/no-useless-spread -- a flag and its value on one line
describe.skipIf(found.kind === 'missing')('kubectl with a Seal token, on a real kube-apiserver', () => {
  let world: World;
  let directory = '';
  let programs: Awaited<ReturnType<typeof findTools>>;
  let namespace = '';
  let recordId = '';
  let wallet: Awaited<ReturnType<World['chain']['wallet']>>;
  const file = (name: string) => join(directory, name);
  const kubeconfig = () => file('kubeconfig');

  /** The keys are there before the API server starts, which reads its kubeconfig once. */
  async function makeKeys(port: number): Promise<readonly string[]> {
    const keys = file('state/authorizer');
    await mkdir(keys, { recursive: true, mode: 0o700 });
    const [server, client] = await Promise.all([makeWebhookKey('server'), makeWebhookKey('client')]);
    const files = {
      'webhook.crt': server.cert,
      'webhook.key': server.key,
      'api-server.crt': client.cert,
      'api-server.key': client.key,
    };
    for (const [name, text] of Object.entries(files))
      await writeFile(join(keys, name), text, { mode: 0o600 });
    const address = { port, cert: server.cert, clientCert: client.cert, clientKey: client.key };
    await writeFile(file('token-review.kubeconfig'), tokenReviewKubeconfig(address), { mode: 0o600 });
    return tokenReviewFlags(file('token-review.kubeconfig'), cacheTtlMs).map((flag) => `--${flag}`);
  }

  const spending = () => [
    ...['--key-file', wallet.keyFile, '--journal', file('journal.json'), '--endpoint', world.chain.url],
    ...['--deployment', world.deploymentFile, '--yes', '--json'],
  ];
  async function command(...args: string[]): Promise<Record<string, unknown>> {
    const { code, lines, tail } = await world.command(...args);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}:\n${tail}`);
    return lines.at(-1) as Record<string, unknown>;
  }

  /** A shell of the person's: no variable of ours, and no program of ours on the PATH. */
  const kubectl = (args: readonly string[], config = kubeconfig()) => runTool(programs.kubectl, args, config);
  function runTool(program: string, args: readonly string[], config: string): Promise<Outcome> {
    return outcomeOf(
      spawn(program, [...args], {
        cwd: directory,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: '/usr/bin:/bin', HOME: directory, KUBECONFIG: config },
      }),
    );
  }

  const pod = (name: string) =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: {
        nodeSelector: { 'k3s-daas.node-restriction.kubernetes.io/tier': 'standard' },
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: 'main',
            image: 'example.com/app:1',
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
          },
        ],
      },
    });
  async function createPod(name: string, text = pod(name)): Promise<Outcome> {
    await writeFile(file(`${name}.json`), text);
    return kubectl(['create', '-f', file(`${name}.json`)]);
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'kubectl-'));
    programs = await findTools();
    const port = await freePort();
    const apiServerFlags = await makeKeys(port);
    const tiers = [
      { stakeMist: SUI, permissions: ['pods:read', 'services:read'] },
      { stakeMist: 2n * SUI, permissions: ['nodes:write', 'pods:write'] },
      { stakeMist: 50n * SUI, permissions: ['*:*'] },
    ];
    world = await World.start({
      startK3s: (where, life) => startKubeK3s(where, life, { apiServerFlags }),
      cluster: { tiers, minimumStakeMist: 2n * SUI, minimumTopUpMist: 1n },
      gateway: {
        stateDir: file('state'),
        tokenReview: { enabled: true, port, cacheTtlMs },
        joinCredential: 'webhook',
        tenants: { enabled: true, kubeconfig: file('tenants.kubeconfig') },
        stakedNodes: true,
      },
    });
    wallet = await world.chain.wallet(100n);
    namespace = namespaceOfWallet(wallet.address);
  });
  afterAll(async () => {
    await world?.close();
    await rm(directory, { recursive: true, force: true });
  });

  test('stake, kubeconfig, kubectl: a person works in a namespace of their own', async () => {
    const terms = (await world.chain.client.cluster()).termsFingerprint;
    const staked = await command(
      ...['stake', '--for', 'user', '--amount', '2', '--accept-terms', terms],
      ...['--login', file('login.json'), '--permission', 'pods:read', '--permission', 'pods:write'],
      ...spending(),
    );
    recordId = (staked.record as { id: string }).id;
    // The stand-in's supervisor answers /cacerts; the API server has the same CA.
    const { clusters } = JSON.parse(
      JSON.stringify((await import('yaml')).parse(await readFile(world.k3s.kubeconfig, 'utf8'))),
    ) as { clusters: Array<{ cluster: { server: string; 'certificate-authority-data': string } }> };
    const cluster = clusters[0]?.cluster;
    const ca = Buffer.from(cluster?.['certificate-authority-data'] ?? '', 'base64').toString('utf8');
    await writeFile(file('ca.crt'), ca);
    await command(
      ...['kubeconfig', '--login', file('login.json'), '--server', cluster?.server ?? ''],
      ...['--ca-file', file('ca.crt'), '--out', kubeconfig(), '--json'],
    );

    const me = JSON.parse((await kubectl(['auth', 'whoami', '-o', 'json'])).stdout) as {
      status: { userInfo: { username: string; groups: string[]; extra: Record<string, string[]> } };
    };
    const { username, groups, extra } = me.status.userInfo;
    expect(username).toBe(`seal:${wallet.address}`);
    expect(groups).toContain('seal:tier:standard');
    expect(groups).toContain('seal:perm:pods:write');
    expect(groups.filter((group) => group.startsWith('system:'))).toEqual(['system:authenticated']);
    expect(extra['k3s-daas.io/stake-record']).toEqual([recordId]);
    expect(extra['k3s-daas.io/revoked-within']).toEqual(['11s']);

    expect(await kubectl(['get', 'pods'])).toMatchObject({
      exitCode: 0,
      stderr: `No resources found in ${namespace} namespace.\n`,
    });
    await until('the default service account', async () =>
      (await world.kubernetes.get(`/api/v1/namespaces/${namespace}/serviceaccounts/default`)).status === 200
        ? true
        : undefined,
    );
    expect((await createPod('first')).stdout).toBe('pod/first created\n');
    expect((await kubectl(['get', 'pods', '-o', 'name'])).stdout).toBe('pod/first\n');
  });

  test('the namespace has its owner, a quota of the tier, network policies and Pod Security', async () => {
    const { body } = await world.kubernetes.get(`/api/v1/namespaces/${namespace}`);
    expect(body.metadata.labels).toMatchObject({
      'k3s-daas.io/placement': 'staked',
      'pod-security.kubernetes.io/enforce': 'restricted',
    });
    const list = async (path: string) =>
      ((await world.kubernetes.get(path)).body.items as Array<{ metadata: { name: string } }>).map(
        ({ metadata }) => metadata.name,
      );
    expect(await list(`/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`)).toEqual([
      'k3s-daas-deny',
      'k3s-daas-within',
    ]);
    const quota = await world.kubernetes.get(`/api/v1/namespaces/${namespace}/resourcequotas/k3s-daas-tier`);
    expect(quota.body.spec.hard).toMatchObject({ pods: '20' });
  });

  test('what the tier does not grant is refused by name, in other namespaces everything', async () => {
    const maps = await kubectl(['get', 'configmaps']);
    expect(maps.exitCode).toBe(1);
    expect(maps.stderr).toContain(`User "seal:${wallet.address}" cannot list resource "configmaps"`);
    expect((await kubectl(['get', 'pods', '-n', 'default'])).stderr).toContain('cannot list resource "pods"');
    expect((await kubectl(['get', 'nodes'])).stderr).toContain('cannot list resource "nodes"');
    expect((await kubectl(['get', 'namespaces'])).stderr).toContain('cannot list resource "namespaces"');
    expect((await kubectl(['get', 'secrets'])).stderr).toContain('cannot list resource "secrets"');
  });

  test('a pod that would run on a server, or as root, is refused with what it needs', async () => {
    const text = JSON.parse(pod('second')) as { spec: { nodeSelector?: unknown; securityContext?: unknown } };
    delete text.spec.nodeSelector;
    expect((await createPod('second', JSON.stringify(text))).stderr).toContain(
      'pods of this namespace run on staked nodes: add nodeSelector',
    );
    const root = JSON.parse(pod('third')) as { spec: { securityContext?: unknown } };
    delete root.spec.securityContext;
    expect((await createPod('third', JSON.stringify(root))).stderr).toContain('violates PodSecurity');
  });

  test('the keeper of the namespaces makes no other namespace, binds no other role, and reads no Secret', async () => {
    const keeper = file('tenants.kubeconfig');
    const attempt = async (...args: string[]) => (await kubectl(args, keeper)).stderr;
    const label = `only namespaces with the label k3s-daas.io/owner are this account’s to write`;
    expect(await attempt('create', 'namespace', 'evil')).toContain(label);
    const bind = (role: string, where: string) =>
      attempt('create', 'rolebinding', 'mine', `--clusterrole=${role}`, '--user=seal:x', '-n', where);
    expect(await bind('k3s-daas:pods:read', 'kube-system')).toContain(label);
    expect(await bind('cluster-admin', namespace)).toContain('attempting to grant RBAC permissions');
    expect(await attempt('get', 'secrets', '-n', namespace)).toContain('cannot list resource "secrets"');
    expect(await attempt('get', 'pods', '-n', namespace)).toContain('cannot list resource "pods"');
    expect(await attempt('delete', 'namespace', namespace)).toContain('cannot delete resource "namespaces"');
    // Not even a role that is shipped, to somebody else than the owner of the namespace.
    expect(await bind('admin', namespace)).toContain('denied request: this account');
  });

  test('another wallet sees nothing of it: the groups of a permission are bound in no namespace', async () => {
    const other = await world.chain.wallet(100n);
    const terms = (await world.chain.client.cluster()).termsFingerprint;
    await command(
      ...['stake', '--for', 'user', '--amount', '2', '--accept-terms', terms, '--yes', '--json'],
      ...[
        '--login',
        file('other.json'),
        '--key-file',
        other.keyFile,
        '--journal',
        file('other-journal.json'),
      ],
      ...['--endpoint', world.chain.url, '--deployment', world.deploymentFile],
    );
    const config = await readFile(kubeconfig(), 'utf8');
    await writeFile(file('other-kubeconfig'), config.replaceAll('login.json', 'other.json'), { mode: 0o600 });
    const seen = await kubectl(['get', 'pods', '-n', namespace], file('other-kubeconfig'));
    expect(seen.stderr).toContain('cannot list resource "pods"');
    const own = namespaceOfWallet(other.address);
    expect(await kubectl(['get', 'pods', '-n', own], file('other-kubeconfig'))).toMatchObject({
      exitCode: 0,
    });
  });

  test('helm installs with the login of an admin stake, and not with one that may read pods alone', async () => {
    const admin = await world.chain.wallet(100n);
    const terms = (await world.chain.client.cluster()).termsFingerprint;
    await command(
      ...['stake', '--for', 'admin', '--amount', '50', '--accept-terms', terms, '--yes', '--json'],
      ...[
        '--login',
        file('admin.json'),
        '--key-file',
        admin.keyFile,
        '--journal',
        file('admin-journal.json'),
      ],
      ...['--endpoint', world.chain.url, '--deployment', world.deploymentFile],
    );
    const config = (await readFile(kubeconfig(), 'utf8'))
      .replaceAll('login.json', 'admin.json')
      .replaceAll(namespace, namespaceOfWallet(admin.address));
    await writeFile(file('admin-kubeconfig'), config, { mode: 0o600 });
    await mkdir(file('chart/templates'), { recursive: true });
    await writeFile(file('chart/Chart.yaml'), 'apiVersion: v2\nname: tiny\nversion: 1.0.0\n');
    await writeFile(
      file('chart/templates/map.yaml'),
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tiny}\ndata: {a: b}\n',
    );
    const install = (as: string) => runTool(programs.helm, ['install', 'tiny', file('chart')], as);
    const refused = await install(kubeconfig());
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain('forbidden');
    expect((await install(file('admin-kubeconfig'))).stdout).toContain('STATUS: deployed');
    expect(await kubectl(['get', 'configmap', 'tiny', '-o', 'name'], file('admin-kubeconfig'))).toMatchObject(
      {
        stdout: 'configmap/tiny\n',
      },
    );
    // All of the namespace, and nothing outside it.
    expect((await kubectl(['get', 'nodes'], file('admin-kubeconfig'))).stderr).toContain(
      'cannot list resource',
    );
    const quota = await kubectl(['delete', 'resourcequota', 'k3s-daas-tier'], file('admin-kubeconfig'));
    expect(quota.stderr).toContain('cannot delete resource "resourcequotas"');
  });

  test('a Deployment is created; its pods have to name staked nodes, and its ReplicaSet says what they lack', async () => {
    const admin = (...args: string[]) => kubectl(args, file('admin-kubeconfig'));
    const image = '--image=example.com/app:1';
    // pods:write is no right to make Deployments, which is said by name.
    const refused = await kubectl(['create', 'deployment', 'web', image]);
    expect(refused.stderr).toContain('cannot create resource "deployments" in API group "apps"');
    expect((await admin('create', 'deployment', 'web', image)).stdout).toBe('deployment.apps/web created\n');
    // The Deployment's own condition keeps the words of the first failure.
    const failures = 'jsonpath={.items[*].status.conditions[*].message}';
    const says = (reason: string) =>
      until(`a ReplicaSet to say ${reason}`, async () => {
        const { stdout, stderr } = await admin('get', 'rs', '-l', 'app=web', '-o', failures);
        if (stdout.includes(reason)) return true;
        throw new Error(`it says: ${stdout}${stderr}`);
      });
    const patch = async (spec: object) => {
      const text = JSON.stringify({ spec: { template: { spec } } });
      expect(await admin('patch', 'deployment', 'web', '-p', text)).toMatchObject({ exitCode: 0 });
    };
    await says('violates PodSecurity "restricted');
    const { nodeSelector, securityContext } = (JSON.parse(pod('web')) as { spec: Record<string, unknown> })
      .spec;
    const container = {
      name: 'app',
      securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
    };
    await patch({ securityContext, containers: [container] });
    await says('pods of this namespace run on staked nodes: add nodeSelector');
    await patch({ nodeSelector });
    await until('its pod', async () => {
      const { stdout } = await admin('get', 'pods', '-l', 'app=web', '-o', 'name');
      return stdout.startsWith('pod/web-') || undefined;
    });
    expect((await admin('delete', 'deployment', 'web')).exitCode).toBe(0);
  });

  test('with the flow schemas the API server queues a person by the tier of their stake', async () => {
    const manifest = join(import.meta.dirname, '../../deploy/kubernetes/flow-schemas.yaml');
    const applied = await kubectl(['apply', '-f', manifest], world.k3s.kubeconfig);
    expect(applied.stdout.match(/created/g)).toHaveLength(6);
    const name = ['flowschema', 'k3s-daas-standard', '-o', 'jsonpath={.metadata.uid}'];
    const uid = (await kubectl(['get', ...name], world.k3s.kubeconfig)).stdout;
    await until('the API server to use it', async () => {
      const { stderr } = await kubectl(['get', 'pods', '-v=8']);
      return stderr.toLowerCase().includes(`x-kubernetes-pf-flowschema-uid: ${uid}`) || stderr.includes(uid)
        ? true
        : undefined;
    });
  });

  test('a partial slash takes a right back and a top-up gives it again, without a new login', async () => {
    await world.slash(recordId, SUI, 'a part');
    await until('the right to be gone', async () => {
      const { stderr } = await kubectl(['delete', 'pod', 'none']);
      return stderr.includes('cannot delete resource "pods"') ? true : undefined;
    });
    expect(await kubectl(['get', 'pods'])).toMatchObject({ exitCode: 0 });
    const terms = (await world.chain.client.cluster()).termsFingerprint;
    await command(
      ...['stake', 'top-up', '--record', recordId, '--amount', '1', '--accept-terms', terms],
      ...spending(),
    );
    await until('the right to be back', async () => {
      const { stderr } = await kubectl(['delete', 'pod', 'none']);
      return stderr.includes('pods "none" not found') ? true : undefined;
    });
  });

  test('a slash ends it: a new kubectl at once, a login that is in use within the cache and ten seconds', async () => {
    const kubeconfigText = await readFile(kubeconfig(), 'utf8');
    const cluster = (await import('yaml')).parse(kubeconfigText) as {
      clusters: Array<{
        cluster: { server: string; extensions: Array<{ extension: Record<string, string> }> };
      }>;
    };
    const [entry] = cluster.clusters;
    const info = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      spec: { interactive: false, cluster: { config: entry?.cluster.extensions[0]?.extension } },
    };
    const { makeCredential } = await import('../../src/login/credential.ts');
    const credential = JSON.parse(
      await makeCredential({
        loginFile: file('login.json'),
        execInfo: JSON.stringify(info),
        anyCaller: false,
        nowMs: Date.now(),
      }),
    ) as { status: { token: string } };
    const ca = await readFile(file('ca.crt'), 'utf8');
    const call = callerOf({ url: entry?.cluster.server ?? '', ca }, undefined, {
      authorization: `Bearer ${credential.status.token}`,
    });
    const path = `/api/v1/namespaces/${namespace}/pods`;
    expect((await call('GET', path)).status).toBe(200);

    const stake = (await world.chain.client.records([recordId])).get(recordId)?.stakeMist ?? 0n;
    const slashing = performance.now();
    await world.slash(recordId, stake, 'all of it');
    const slashedAt = performance.now();
    await until('the login in use to end', async () => {
      return (await call('GET', path)).status === 401 ? true : undefined;
    });
    const inUseMs = performance.now() - slashedAt;
    const fresh = await kubectl(['get', 'pods']);
    expect(fresh).toMatchObject({ exitCode: 1 });
    expect(fresh.stderr).toContain('must be logged in');
    process.stderr.write(
      `slash (sent in ${Math.round(slashedAt - slashing)} ms) to the end of a login in use: ${Math.round(inUseMs)} ms\n`,
    );
    const audit = await readFile(file('state/audit.jsonl'), 'utf8');
    expect(audit).toContain('"event":"login.refused"');
    expect(audit).toContain('stake_slashed');
    // Objects stay.
    expect((await world.kubernetes.get(`${path}/first`)).status).toBe(200);
  });

  test('a worker joins with a credential that is in no Secret, and that counts no longer once it is Ready', async () => {
    const worker = await world.worker('worker-1');
    const program = worker.start();
    await world.nodeReady('worker-1');
    const secrets = await world.kubernetes.get('/api/v1/namespaces/kube-system/secrets');
    const types = (secrets.body.items as Array<{ type: string }>).map(({ type }) => type);
    expect(types).not.toContain('bootstrap.kubernetes.io/token');
    const audit = async () => readFile(file('state/audit.jsonl'), 'utf8');
    expect(await audit()).toContain('"event":"join_credential.used"');
    await until('the credential to be revoked', async () =>
      (await audit()).includes('"event":"credential.revoked"') ? true : undefined,
    );
    await program.stop();
  });

  test('kubectl get sn shows stake and state of the workers, and nobody but the gateway writes them', async () => {
    const admin = world.k3s.kubeconfig;
    const shown = await until('the worker to be shown as a member', async () => {
      const { stdout } = await kubectl(['get', 'sn'], admin);
      return /worker-1 .* Member/.test(stdout) ? stdout : undefined;
    });
    process.stderr.write(shown);
    const [head = '', line = ''] = shown.split('\n');
    expect(head.trim().split(/ {2,}/)).toEqual(['NAME', 'STAKE', 'STATE', 'TIER', 'EXPIRES', 'AGE']);
    expect(line).toMatch(/^worker-1 +\d+ SUI +Member +\w+ +epoch \d+ +\d+[ms]/);
    const listed = await kubectl(['get', 'k3s-daas', '-o', 'name'], admin);
    expect(listed.stdout).toBe('stakednode.k3s-daas.io/worker-1\n');
    const waited = await kubectl(['wait', 'sn/worker-1', '--for=condition=Staked', '--timeout=5s'], admin);
    expect(waited.stdout).toContain('condition met');
    for (const act of [
      ['delete', 'sn', 'worker-1'],
      ['label', 'sn', 'worker-1', 'a=b'],
      ['patch', 'sn', 'worker-1', '--type=merge', '-p', '{"status":{"stake":"1000000 SUI"}}'],
    ])
      expect((await kubectl(act, admin)).stderr).toContain('the gateway alone writes them');
  });

  test('a kuberc that allows listed plugins alone takes the lines that `kubeconfig` prints', async () => {
    const shown = await world.command(
      ...['kubeconfig', '--login', file('admin.json'), '--server', 'https://k3s.example:6443'],
      ...['--ca-file', file('ca.crt'), '--out', file('shown-kubeconfig')],
    );
    const allowed = shown.tail.slice(shown.tail.indexOf('credentialPluginAllowlist:'));
    const allow = async (list: string) => {
      await mkdir(file('.kube'), { recursive: true });
      const policy = 'credentialPluginPolicy: Allowlist';
      const head = `apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n${policy}\n`;
      await writeFile(file('.kube/kuberc'), `${head}${list}\n`);
      return kubectl(['get', 'configmaps'], file('admin-kubeconfig'));
    };
    try {
      expect(await allow(allowed)).toMatchObject({ exitCode: 0 });
      const other = await allow('credentialPluginAllowlist:\n  - command: /usr/bin/other');
      expect(other.stderr).toContain('not permitted by the credential plugin allowlist');
    } finally {
      await rm(file('.kube'), { recursive: true, force: true });
    }
  });

  test('kubectl daas shows who this is, and the stake beside each node', async () => {
    await mkdir(file('plugins'));
    await symlink(join(projectRoot, 'bin', 'k3s-daas'), file('plugins/kubectl-daas'));
    const daas = (args: readonly string[], config: string) =>
      outcomeOf(
        spawn(programs.kubectl, ['daas', ...args], {
          cwd: directory,
          stdio: ['ignore', 'pipe', 'pipe'],
          env: {
            PATH: `${file('plugins')}:${dirname(programs.kubectl)}:/usr/bin:/bin`,
            HOME: directory,
            KUBECONFIG: config,
          },
        }),
      );
    const me = await daas(['whoami'], file('admin-kubeconfig'));
    process.stderr.write(me.stdout);
    expect(me.stdout).toMatch(/^permissions .*\*:\*/m);
    const nodes = await daas(['nodes'], world.k3s.kubeconfig);
    process.stderr.write(nodes.stdout);
    expect(nodes.stdout).toMatch(/^worker-1 +\w+ +2 SUI +\w+ +standard +epoch \d+ +0x/m);
    expect((await daas(['why', 'worker-1'], world.k3s.kubeconfig)).stdout).toContain('(StakeGood)');
    const chain = ['--endpoint', world.chain.url, '--deployment', world.deploymentFile];
    const stakes = await daas(['stake', ...chain], file('admin-kubeconfig'));
    process.stderr.write(stakes.stdout);
    expect(stakes.stdout).toMatch(/^stake +of type admin\nrecord .*50 SUI/ms);
    const refused = await daas(['nodes'], file('admin-kubeconfig'));
    expect(refused.stderr).toContain('DAAS_KUBECTL_FAILED');
    expect(refused.stderr).toContain('cannot list resource "nodes"');
  });

  test('without the definition of StakedNodes workers join and people log in as before', async () => {
    const gone = await kubectl(['delete', 'crd', 'stakednodes.k3s-daas.io'], world.k3s.kubeconfig);
    expect(gone.exitCode).toBe(0);
    const worker = await world.worker('worker-2');
    const program = worker.start();
    await world.nodeReady('worker-2');
    await program.stop();
    expect(await kubectl(['get', 'configmaps'], file('admin-kubeconfig'))).toMatchObject({ exitCode: 0 });
  });

  test('with the gateway dead nobody new logs in, and an administrator’s certificate is not asked about', async () => {
    world.gateway.kill('SIGKILL');
    await world.gateway.exited;
    const person = await kubectl(['get', 'pods']);
    expect(person.exitCode).toBe(1);
    expect(person.stderr).toContain('must be logged in');
    expect(await kubectl(['get', 'nodes'], world.k3s.kubeconfig)).toMatchObject({ exitCode: 0 });
  });
});
