import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { projectRoot } from '../integration/world/program.ts';
import { World } from '../integration/world/world.ts';

/**
 * What the host adds to the start of an agent on its certificates, and what it holds in memory. A node of a world of
 * stand-ins joins once; then host and the same agent without it are started by turns, until the kubelet is healthy. Prints one object
 * for each turn, and one of the rest.
 */
const rounds = Number(process.argv[2] ?? 7);
const restSeconds = Number(process.argv[3] ?? 60);
if (!existsSync(join(projectRoot, 'dist', 'k3s-daas.js'))) throw new Error('run `npm run build` first');

/**
 * The program as a package installs it, with the heap that its launcher gives it: in a clone the launcher looks for newer sources
 * before each start.
 */
async function installProgram(): Promise<AsyncDisposable & { readonly launcher: string }> {
  const root = await mkdtemp(join(tmpdir(), 'bench-host-'));
  for (const part of ['bin', 'dist', 'package.json'])
    await cp(join(projectRoot, part), join(root, part), { recursive: true });
  await symlink(join(projectRoot, 'node_modules'), join(root, 'node_modules'));
  return {
    launcher: join(root, 'bin', 'k3s-daas'),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true }),
  };
}

await using program = await installProgram();
const ticksPerSecond = 100;

const print = (figures: Readonly<Record<string, unknown>>) => console.log(JSON.stringify(figures));

function cpuMsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond;
}

function rssMiBOf(pid: number): number {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kib) / 102.4) / 10;
}

function wordsOf(pid: number, file: 'cmdline' | 'environ'): string[] {
  return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0').filter(Boolean);
}

/** The child of a host that is `k3s agent`, as it is started: later it gives itself another title. */
function agentOf(pid: number): number | undefined {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return children.map(Number).find((child) => {
    let words: readonly string[] = [];
    try {
      words = wordsOf(child, 'cmdline');
    } catch {
      // It has ended meanwhile: a short question to k3s.
    }
    // Until it is executed it has the words of its parent.
    return words.includes('agent') && words.some((word) => word.startsWith('--data-dir'));
  });
}

async function until<T>(what: string, find: () => Promise<T | undefined> | T | undefined): Promise<T> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    const found = await find();
    if (found !== undefined) return found;
    await sleep(3);
  }
  throw new Error(`no ${what} within a minute`);
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

// The intervals that a gateway asks for and plugins have by themselves.
const world = await World.start({ heartbeatIntervalMs: 10_000 });
try {
  const plugins = ['staking', 'registration', 'heartbeat', 'slashing'].map((use) => ({ use }));
  const worker = await world.worker('worker-1', { config: { plugins } });
  const agentEnv: Record<string, string> = {};
  const startHost = () =>
    spawn(program.launcher, ['agent', '--config', worker.configFile, '--json'], {
      stdio: 'ignore',
      env: { ...process.env, ...agentEnv },
    });
  // The first life joins, and says how its machine is.
  const first = worker.start();
  const { pid: agentPid } = await first.event('agent.ready');
  for (const word of wordsOf(Number(agentPid), 'environ')) {
    const [name = '', ...value] = word.split('=');
    if (name.startsWith('K3S_STANDIN_')) agentEnv[name] = value.join('=');
  }
  await first.stop();

  // A life on certificates, so that the plain agent is given the same words, and the compile cache is written.
  let plainWords: string[] = [];
  let healthz = '';
  const isHealthy = async () =>
    (await fetch(healthz).then(
      ({ ok }) => ok,
      () => false,
    )) || undefined;
  const warm = startHost();
  const warmAgent = await until('agent', () => agentOf(warm.pid ?? 0));
  plainWords = wordsOf(warmAgent, 'cmdline');
  const [, port] = /healthz-port=(\d+)/.exec(plainWords.join(' ')) ?? [];
  healthz = `http://127.0.0.1:${port}/healthz`;
  await until('healthy kubelet', isHealthy);
  await sleep(32_000);
  await end(warm);

  for (let round = 0; round < rounds; round += 1) {
    const [command = '', ...words] = plainWords;
    const plainAtMs = performance.now();
    const agent = spawn(command, words, { stdio: 'ignore', env: { ...process.env, ...agentEnv } });
    await until('healthy kubelet', isHealthy);
    const plainMs = performance.now() - plainAtMs;
    await end(agent);

    const hostAtMs = performance.now();
    const host = startHost();
    await until('agent', () => agentOf(host.pid ?? 0));
    const untilExecMs = performance.now() - hostAtMs;
    const cpuUntilExecMs = cpuMsOf(host.pid ?? 0);
    await until('healthy kubelet', isHealthy);
    const hostMs = performance.now() - hostAtMs;
    await end(host);
    print({
      what: 'start',
      bareHealthyMs: Math.round(plainMs),
      hostHealthyMs: Math.round(hostMs),
      addedMs: Math.round(hostMs - plainMs),
      untilExecMs: Math.round(untilExecMs),
      cpuUntilExecMs,
    });
  }

  const resting = startHost();
  await until('agent', () => agentOf(resting.pid ?? 0));
  const atExecMiB = rssMiBOf(resting.pid ?? 0);
  await sleep(restSeconds * 1_000);
  const settledCpuMs = cpuMsOf(resting.pid ?? 0);
  await sleep(restSeconds * 1_000);
  const restMiB = rssMiBOf(resting.pid ?? 0);
  const restCpuMs = cpuMsOf(resting.pid ?? 0) - settledCpuMs;
  await end(resting);
  print({
    what: 'rest',
    rssAtExecMiB: atExecMiB,
    [`cpuUntil${restSeconds}sMs`]: settledCpuMs,
    // From then on, for as long again.
    cpuPercent: Math.round(restCpuMs / restSeconds / 0.1) / 100,
    rssMiB: restMiB,
  });
} finally {
  await world.close();
}
