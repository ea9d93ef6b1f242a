import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

interface HaproxyOptions {
  /** For its files. */
  readonly directory: string;
  readonly host?: string;
  readonly port: number;
  /** PEM, both in one. */
  readonly certAndKey: string;
  readonly socketPath: string;
  /** Keeps the user and group of the file; left out, it runs as this user. */
  readonly isPrivileged?: boolean;
  /** Changes the file further. */
  readonly edit?: (text: string) => string;
}

export interface Haproxy extends AsyncDisposable {
  readonly pid: number;
}

const pathWithSbin = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
const readyWithinMs = 30_000;

/** Runs deploy/haproxy.cfg, with the paths and the port of a test. */
export async function startHaproxy(options: HaproxyOptions): Promise<Haproxy> {
  const { directory, host = '127.0.0.1', port, certAndKey } = options;
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'gateway.pem'), certAndKey, { mode: 0o600 });
  const file = join(directory, 'haproxy.cfg');
  await writeFile(file, await configuration(options));
  const child = spawn('haproxy', ['-db', '-f', file], {
    env: pathWithSbin,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  const deadline = Date.now() + readyWithinMs;
  while (!(await isAnswered(host, port))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      await stop();
      throw new Error(`haproxy does not listen: ${said}`);
    }
    await sleep(20);
  }
  return { pid: child.pid ?? 0, [Symbol.asyncDispose]: stop };
}

async function configuration({
  directory,
  host = '127.0.0.1',
  port,
  socketPath,
  isPrivileged = false,
  edit = (text) => text,
}: HaproxyOptions): Promise<string> {
  const text = await readFile(new URL('../../deploy/haproxy.cfg', import.meta.url), 'utf8');
  const moved = text
    .replace('bind :8443,:::8443 v6only', `bind ${host}:${port}`)
    // Each takes two files: the shell of a test may open no more.
    .replace('maxconn 40000', 'maxconn 8000')
    .replace('/etc/k3s-daas/gateway.crt', join(directory, 'gateway.pem'))
    .replace('/run/k3s-daas-front/gateway.sock', socketPath);
  return edit(isPrivileged ? moved : moved.replace(/^ +(?:user|group) haproxy\n/gm, ''));
}

/** A port that was free a moment ago. */
export async function portForHaproxy(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || !address) throw new Error('no port was given');
  return address.port;
}

function isAnswered(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, host);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
}
