import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../world/free-port.ts';

/** Why there is no etcd to test with; `undefined`: there is one. */
export function etcdProblem(): string | undefined {
  try {
    execFileSync('etcd', ['--version']);
    return undefined;
  } catch {
    return 'etcd is not on the PATH: apt-get install etcd-server';
  }
}

/** A real etcd on loopback that forgets everything at its end. */
export interface EtcdServer extends AsyncDisposable {
  readonly url: string;
  /** One call of its JSON gateway, as an operator makes it. */
  call(path: string, body: object): Promise<Record<string, unknown>>;
}

const readyWithinMs = 30_000;

/** Flags of an etcd on loopback. Its state is thrown away with the directory: it need not reach the disk. */
export const etcdFlags = (directory: string, url: string, peerPort: number): readonly string[] => [
  `--data-dir=${directory}`,
  `--listen-client-urls=${url}`,
  `--advertise-client-urls=${url}`,
  `--listen-peer-urls=http://127.0.0.1:${peerPort}`,
  '--unsafe-no-fsync',
];

export async function startEtcd(): Promise<EtcdServer> {
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-etcd-'));
  const url = `http://127.0.0.1:${await freePort()}`;
  const flags = [...etcdFlags(directory, url, await freePort()), '--log-level=error'];
  const child = spawn('etcd', flags, { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  async function end(): Promise<void> {
    child.kill('SIGKILL');
    await ended;
    await rm(directory, { recursive: true, force: true });
  }
  await untilReady(url, child).catch(async (error: unknown) => {
    await end();
    throw error;
  });
  return {
    url,
    async call(path, body) {
      const reply = await fetch(url + path, { method: 'POST', body: JSON.stringify(body) });
      return (await reply.json()) as Record<string, unknown>;
    },
    [Symbol.asyncDispose]: end,
  };
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + readyWithinMs;
  while (performance.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode}`);
    const isReady = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isReady) return;
    await sleep(50);
  }
  throw new Error(`etcd was not ready within ${readyWithinMs} ms`);
}
