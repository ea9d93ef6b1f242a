import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { namespaceOfName } from '#cluster';
import { makeTarball } from '../../scripts/release/tarball.ts';
import { blocksOf, wordsOf } from '../docs/pages.ts';
import { freePort } from '../world/free-port.ts';
import { until } from '../world/kubernetes.ts';
import { projectRoot } from '../world/program.ts';
import { workerPlugins } from '../world/worker-plugins.ts';
import { termsOf, type World } from '../world/world.ts';
import { chainSettings } from '../world/world-parts.ts';
import { plainAgent } from './plain-agent.ts';
import type { SystemdMachine } from './systemd-machine.ts';

/** What the tests of the installation are made of: a release, a plain agent, and the lines of docs/install.md. */

export const name = 'worker-1';
export const unit = 'k3s-agent';

/** Makes the release and puts install.sh beside it, as the page has it. */
export async function makeRelease(directory: string): Promise<void> {
  const run = promisify(execFile);
  const dist = join(directory, 'dist');
  await run(process.execPath, [join(projectRoot, 'scripts/bundle.ts'), dist, join(directory, 'dev-chain')]);
  makeTarball(directory, { dist, architecture: process.arch as 'x64' | 'arm64' });
  await copyFile(join(projectRoot, 'deploy/install.sh'), join(directory, 'install.sh'));
}

/** The lines of the one block of the page that has these words, for this machine's architecture. */
export function documented(words: RegExp, page = 'docs/install.md'): string {
  const found = blocksOf(page).filter(({ text }) => words.test(text));
  const [block] = found;
  if (!block || found.length > 1) throw new Error(`${page} has ${found.length} blocks with ${words}`);
  return block.text
    .replaceAll('NAME', name)
    .replaceAll('linux-amd64', process.arch === 'x64' ? 'linux-amd64' : `linux-${process.arch}`);
}

export async function writeWorkerConfiguration(
  machine: SystemdMachine,
  world: World,
  more: object = {},
): Promise<string> {
  const wallet = await world.chain.wallet(100n);
  await machine.write('/etc/k3s-daas/deployment.json', await readFile(world.deploymentFile, 'utf8'));
  await machine.write('/etc/k3s-daas/wallet.key', await readFile(wallet.keyFile, 'utf8'), '0600');
  const settings = {
    nodeId: name,
    chain: chainSettings(world.chain, '/etc/k3s-daas/deployment.json'),
    wallet: { keyFile: '/etc/k3s-daas/wallet.key' },
    stake: { amountMist: '2000000000', acceptTerms: await termsOf(world.chain) },
    health: { host: '127.0.0.1', port: 0 },
    plugins: workerPlugins(),
  };
  await machine.write('/etc/k3s-daas/k3s-daas.json', JSON.stringify({ ...settings, ...more }));
  return wallet.keyFile;
}

/** Configuration, keys and kubeconfig to where an operator has them; what is none of the gateway's lies beside its CA. */
export async function moveGateway(machine: SystemdMachine, world: World, healthPort: number): Promise<void> {
  const settings = JSON.parse(await readFile(world.gatewayConfigFile, 'utf8')) as {
    chain: Record<string, unknown>;
    gateway: { tls: { certFile: string; keyFile: string }; kubeconfig: string } & Record<string, unknown>;
  };
  const { gateway } = settings;
  const etc = '/etc/k3s-daas';
  const ca = '/var/lib/rancher/k3s/server/tls/server-ca.crt';
  const kubeconfig = '/var/lib/k3s-daas-gateway/kubeconfig';
  const copy = async (from: string, to: string, mode: string) =>
    machine.write(to, await readFile(from, 'utf8'), mode);
  await copy(world.deploymentFile, `${etc}/deployment.json`, '0644');
  await copy(gateway.tls.certFile, `${etc}/gateway.crt`, '0644');
  await copy(gateway.tls.keyFile, `${etc}/gateway.key`, '0600');
  await copy(gateway.kubeconfig, kubeconfig, '0600');
  await copy(world.k3s.serverCaFile, ca, '0644');
  await machine.write('/var/lib/rancher/k3s/server/cred/admin.kubeconfig', 'secret', '0600');
  await machine.write('/etc/rancher/k3s/k3s.yaml', 'secret', '0600');
  const { stateDir: _, ...rest } = gateway;
  const moved = {
    ...settings,
    chain: { ...settings.chain, deployment: `${etc}/deployment.json` },
    gateway: {
      ...rest,
      tls: { certFile: `${etc}/gateway.crt`, keyFile: `${etc}/gateway.key` },
      kubeconfig,
      serverCaFile: ca,
      health: { host: '127.0.0.1', port: healthPort },
    },
  };
  await machine.write(`${etc}/k3s-daas.json`, JSON.stringify(moved), '0600');
}

/** The stand-in's quick agent, which makes two pods of its own. */
const standin = async () => ({
  isStandin: true,
  flags: ['--lb-server-port', String(await freePort()), `--kubelet-arg=healthz-port=${await freePort()}`],
  variables: { K3S_STANDIN_SPEED: '10', K3S_STANDIN_PODS: '2' },
});

/** Joins as an ordinary node whose name the operator has opened, with a bootstrap token of the operator's. */
export async function startPlainAgent(
  machine: SystemdMachine,
  world: World,
  real?: { readonly flags: readonly string[] },
): Promise<Readonly<Record<string, string>>> {
  await openName(world);
  await world.kubernetes.send('POST', '/api/v1/namespaces/kube-system/secrets', {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'bootstrap-token-abcdef' },
    type: 'bootstrap.kubernetes.io/token',
    stringData: {
      'token-id': 'abcdef',
      'token-secret': '0123456789abcdef',
      'usage-bootstrap-authentication': 'true',
    },
  });
  const ca = await readFile(world.k3s.serverCaFile);
  const hash = createHash('sha256').update(ca).digest('hex');
  const files = plainAgent({
    server: world.k3s.server,
    token: `K10${hash}::abcdef.0123456789abcdef`,
    ...(real ? { ...real, isStandin: false, variables: {} } : await standin()),
  });
  for (const [path, text] of Object.entries(files))
    await machine.write(path, text, path.endsWith('.env') ? '0600' : '0644');
  await machine.run('systemctl', 'daemon-reload');
  const started = await machine.run('systemctl', 'enable', '--now', unit);
  if (started.exitCode !== 0) throw new Error(`${started.output}\n${await machine.journal(unit)}`);
  await world.nodeReady(name);
  return files;
}

const setupOf = ({ gatewayConfigFile, k3s }: World) => [
  '--config',
  gatewayConfigFile,
  '--admin-kubeconfig',
  k3s.kubeconfig,
  '--yes',
  '--json',
];

async function openName(world: World): Promise<void> {
  const { code, tail } = await world.command('gateway', 'setup', '--ordinary', name, ...setupOf(world));
  if (code !== 0) throw new Error(tail);
}

/** "Take over": the operator's two lines of kubectl, sent without it. */
export async function freeName(world: World): Promise<void> {
  const [free = '', remove = ''] = documented(/kubectl delete role/)
    .split('\n')
    .map((line) => line.trim());
  const [, listed = ''] = /^kubectl delete role,rolebinding -A .* metadata\.name=(\S+)$/.exec(free) ?? [];
  const home = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespaceOfName(listed)}`;
  for (const kind of ['roles', 'rolebindings']) {
    const freed = await world.kubernetes.send('DELETE', `${home}/${kind}/${listed}`);
    if (freed.status !== 200) throw new Error(`${free}: ${freed.status}`);
  }
  await removeNode(world, remove);
}

/**
 * Resolves when plain k3s has taken the place of the host: by its process, not only by its unit. A restart before it runs would be
 * overtaken by its own start.
 */
export async function plainAgain(machine: SystemdMachine, hostPid: string): Promise<void> {
  await until('plain k3s to be back', async () => {
    const isPlain = (await machine.unit(unit, 'ExecStart')).includes('/usr/local/bin/k3s agent');
    const pid = await machine.unit(unit, 'MainPID');
    return isPlain && pid !== hostPid && pid !== '0' ? true : undefined;
  });
}

/** "Roll back": the operator's lines. */
export async function giveNameBack(world: World): Promise<void> {
  const socket = join(world.directory, 'gateway', 'state', 'operator.sock');
  const [remove = '', ...lines] = documented(/gateway evict/).split('\n');
  await removeNode(world, remove);
  for (const line of lines) {
    const words = wordsOf(line).slice(1);
    const more = words[1] === 'setup' ? setupOf(world) : ['--socket', socket, '--yes', '--json'];
    const { code, tail } = await world.command(...words, ...more);
    if (code !== 0) throw new Error(`${line}: ${tail}`);
    if (words[1] === 'evict') await world.nodeGone(name);
  }
}

/** `kubectl delete node …`, without kubectl. */
async function removeNode(world: World, line: string): Promise<void> {
  const [, node] = /^kubectl delete node (\S+)$/.exec(line) ?? [];
  const removed = await world.kubernetes.send('DELETE', `/api/v1/nodes/${node}`);
  if (removed.status !== 200) throw new Error(`${line}: ${removed.status}`);
}
