import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GenericContainer, type StartedNetwork, type StartedTestContainer, Wait } from 'testcontainers';
import type { Lifetime } from '#base';
import type { ImageNames } from '../../scripts/images/images.ts';
import type { ControlPlaneBinaries } from '../kube/binaries.ts';
import { projectRoot } from '../world/program.ts';
import { STANDIN } from './container-settings.ts';
import { type RealK3sProgram, startK3sServer } from './k3s-server.ts';

/** In the container of a worker and a server: its Node runs the stand-ins. */
export const NODE = `/usr/local/lib/k3s-daas/node_modules/node-linux-${process.arch}/bin/node`;

/** What keeps the Kubernetes API behind the stand-in of k3s' supervisor: the stand-in too, or a real kube-apiserver with etcd. */
export type ApiBehindStandin =
  | { readonly kind: 'standin' }
  | { readonly kind: 'kube'; readonly binaries: ControlPlaneBinaries };

/** What the server of a cluster is. */
export type ApiServer =
  | ApiBehindStandin
  /** A real k3s. */
  | { readonly kind: 'k3s'; readonly program: RealK3sProgram };

export interface Running {
  readonly container: StartedTestContainer;
}

export interface Server extends Running {
  readonly url: string;
  readonly kubeconfig: string;
  readonly caFile: string;
}

export interface Place {
  readonly images: ImageNames;
  readonly network: StartedNetwork;
  /** Everything of the test, on this machine. */
  readonly directory: string;
}

/** Starts the container of the k3s server. */
export async function startServer(life: Lifetime, place: Place, api: ApiServer): Promise<Server> {
  if (api.kind === 'k3s') return startK3sServer(life, place, api.program);
  const { images, network, directory } = place;
  const data = join(directory, 'server');
  await mkdir(data);
  const { line, mounts, kubeconfig, caFile } = serverOf(api, data);
  const container = await new GenericContainer(images.worker)
    .withNetwork(network)
    .withBindMounts([
      { source: data, target: data },
      ...[projectRoot, ...mounts].map((path) => ({ source: path, target: path, mode: 'ro' as const })),
    ])
    .withEntrypoint(['/bin/sh', '-c'])
    .withCommand([`address=$(hostname -i); ${line}`])
    .withWaitStrategy(Wait.forLogMessage('k3s is up and running'))
    .withStartupTimeout(180_000)
    .start();
  life.defer('the k3s server', async () => void (await container.stop()));
  const url = `https://${container.getIpAddress(network.getName())}:6443`;
  return { container, url, kubeconfig, caFile };
}

interface ServerProgram {
  /** For a shell in which `$address` is the container's. */
  readonly line: string;
  /** What it needs of this machine besides the clone. */
  readonly mounts: readonly string[];
  readonly kubeconfig: string;
  readonly caFile: string;
}

function serverOf(api: ApiBehindStandin, data: string): ServerProgram {
  const node = `exec ${NODE} --conditions=source`;
  const files = {
    kubeconfig: join(data, 'server', 'cred', 'admin.kubeconfig'),
    caFile: join(data, 'server', 'tls', 'server-ca.crt'),
  };
  if (api.kind === 'standin') {
    // Its certificate is for the address that it listens on.
    const main = join(STANDIN, 'server', 'main.ts');
    const flags = `--data-dir ${data} --bind-address "$address" --node-grace-ms 8000`;
    return { ...files, line: `${node} ${main} server ${flags}`, mounts: [] };
  }
  const { etcd, apiServer, controllerManager } = api.binaries;
  const main = join(projectRoot, 'integration', 'containers', 'kube-server.ts');
  const programs = `--etcd ${etcd} --api-server ${apiServer} --controller-manager ${controllerManager}`;
  const line = `${node} ${main} --data-dir ${data} --bind-address "$address" ${programs}`;
  const mounts = Object.values(api.binaries).filter((path) => !path.startsWith(projectRoot));
  return { ...files, line, mounts };
}
