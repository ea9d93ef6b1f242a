import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { K3sContainer } from '@testcontainers/k3s';
import { Wait } from 'testcontainers';
import type { Lifetime } from '#base';
import { until } from '../world/kubernetes.ts';
import { NO_REGISTRY_FLAGS, servesJoins } from '../world/real-k3s.ts';
import type { Place, Server } from './container-server.ts';

/** Where a real k3s comes from. */
export type RealK3sProgram =
  /** The operator's binary (`K3S_BIN`): it is the server, in a container of our base, and what the workers run. */
  | { readonly kind: 'binary'; readonly path: string; readonly base: string }
  /** An image that the engine has, or could pull: it is the server. */
  | { readonly kind: 'image'; readonly image: string };

const DATA = '/var/lib/rancher/k3s';

/** `K3sContainer` for a server that is no Node: it starts no containers, and needs no privileges of its machine. */
class K3sServerContainer extends K3sContainer {
  constructor(image: string) {
    super(image);
    this.hostConfig.Privileged = false;
  }
}

/** Starts a real `k3s server` and waits until it serves joins. */
export async function startK3sServer(
  life: Lifetime,
  { network, directory }: Place,
  program: RealK3sProgram,
): Promise<Server> {
  const data = join(directory, 'k3s-server');
  await mkdir(data);
  const mounts = [{ source: data, target: DATA }];
  const isBinary = program.kind === 'binary';
  const server = new K3sServerContainer(isBinary ? program.base : program.image)
    .withNetwork(network)
    .withBindMounts(isBinary ? [...mounts, { source: program.path, target: '/bin/k3s', mode: 'ro' }] : mounts)
    .withCommand(['server', '--disable-agent', ...NO_REGISTRY_FLAGS, '--flannel-backend=host-gw'])
    .withWaitStrategy(Wait.forLogMessage('k3s is up and running'))
    .withStartupTimeout(180_000);
  const container = await (isBinary ? server.withEntrypoint(['/bin/k3s']) : server).start();
  life.defer('the k3s server', async () => void (await container.stop({ timeout: 5_000 })));
  const url = `https://${container.getIpAddress(network.getName())}:6443`;
  const kubeconfig = join(directory, 'admin.kubeconfig');
  const text = container.getKubeConfig().replace(/server: \S+/, `server: ${url}`);
  await writeFile(kubeconfig, text, { mode: 0o600 });
  await until('k3s server to serve joins', () => servesJoins(kubeconfig));
  return { container, url, kubeconfig, caFile: join(data, 'server', 'tls', 'server-ca.crt') };
}
