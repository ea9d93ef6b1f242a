import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Lifetime } from '#base';
import { shimsOf } from '../standin/agent/containers.ts';
import { freePort } from './free-port.ts';
import { Program, projectRoot } from './program.ts';

/** A k3s server, and machines on which its agents run. */
export interface K3s {
  /** As workers reach it. */
  readonly server: string;
  readonly serverCaFile: string;
  /** An administrator's. */
  readonly kubeconfig: string;
  /** Where the gateway must listen for workers to reach it. */
  readonly gatewayHost: string;
  /** The machine that the gateway runs on, where that is not this one. */
  readonly gatewayMachine?: { readonly host: string; readonly command: readonly [string, ...string[]] };
  machine(nodeId: string, directory: string): Promise<Machine>;
}

/** What a worker's configuration says of its machine. */
export interface Machine {
  readonly binary: string;
  /** Flags of `k3s agent`. */
  readonly args: readonly string[];
  readonly dataDir: string;
  readonly containerdAddress: string;
  readonly env: Readonly<Record<string, string>>;
  /** What our program is run by, when that is not the plain way. */
  readonly command?: readonly [string, ...string[]];
}

/** The stand-ins: a server process, and agents that share this machine by ports and directories of their own. */
export async function startStandinK3s(directory: string, life: Lifetime): Promise<K3s> {
  const dataDir = join(directory, 'k3s-server');
  const port = await freePort();
  const server = new Program({
    name: 'k3s server (stand-in)',
    args: ['server', '--data-dir', dataDir, '--https-listen-port', String(port), '--node-name', 'server'],
    logFile: join(directory, 'k3s-server.log'),
    command: [
      process.execPath,
      '--conditions=source',
      join(projectRoot, 'integration', 'standin', 'server', 'main.ts'),
    ],
  });
  life.defer('the k3s server', () => server.stop());
  await server.written('its ready line', 'k3s is up and running');
  return {
    server: `https://127.0.0.1:${port}`,
    serverCaFile: join(dataDir, 'server', 'tls', 'server-ca.crt'),
    kubeconfig: join(dataDir, 'server', 'cred', 'admin.kubeconfig'),
    gatewayHost: '127.0.0.1',
    machine: standinMachines(life),
  };
}

/** Workers' places on this machine, each with stand-in agents by ports and directories of their own. */
export function standinMachines(life: Lifetime): K3s['machine'] {
  return async (nodeId, home) => {
    const [agentDir, containerdAddress] = [join(home, 'k3s'), join(home, 'containerd.sock')];
    await mkdir(agentDir, { recursive: true });
    // Pods outlive their agent, as they do with k3s; they do not outlive the world.
    life.defer(`the pods of ${nodeId}`, () => endPods(containerdAddress));
    // A configuration of its own, so that the machine's real one, if there is one, stays out of it.
    const k3sConfig = join(home, 'k3s-config.yaml');
    await writeFile(k3sConfig, '{}\n');
    return {
      binary: join(projectRoot, 'integration', 'standin', 'agent', 'k3s'),
      args: [
        '--rootless',
        `--config=${k3sConfig}`,
        `--data-dir=${agentDir}`,
        `--lb-server-port=${await freePort()}`,
        `--kubelet-arg=healthz-port=${await freePort()}`,
      ],
      dataDir: agentDir,
      containerdAddress,
      env: {
        K3S_STANDIN_NODE: process.execPath,
        K3S_STANDIN_SPEED: '10',
        K3S_STANDIN_CONTAINERD_ADDRESS: containerdAddress,
        K3S_STANDIN_PODS: '2',
      },
    };
  };
}

function endPods(containerdAddress: string): void {
  for (const { pid } of shimsOf(containerdAddress))
    for (const one of [...childrenOf(pid), pid]) {
      try {
        process.kill(one, 'SIGKILL');
      } catch {
        // It is gone already.
      }
    }
}

function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}
