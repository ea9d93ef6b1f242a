import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AgentEvents, AgentSettings, createAgentSupervisor } from '#agent';
import { Lifetime, type Log, type LogFields, Secret, systemClock } from '#base';
import { openJournal } from '#infrastructure';
import type { AgentSupervisor, JoinCredential } from '#plugin';
import { killTree, shimsNaming } from './machine-processes.ts';
import { type KubeObject, resourceNamed } from './server/objects.ts';
import { type StandinServer, startStandinServer } from './server/standin-server.ts';

const standinBinary = join(import.meta.dirname, 'agent', 'k3s');

/** A server, and hosts of agents beside it. Its disposal ends everything, pods included. */
export interface AgentWorld extends AsyncDisposable {
  readonly server: StandinServer;
  readonly directory: string;
  /** A bootstrap token of the cluster in k3s' full form. */
  mintCredential(lifeMs?: number): JoinCredential;
  /** Deletes every bootstrap token: the server rejects all minted credentials from now on. */
  deleteCredentials(): void;
  node(name: string): KubeObject | undefined;
  deleteNode(name: string): void;
  worker(nodeId: string, options?: WorkerOptions): Promise<Worker>;
}

interface WorkerOptions {
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: LogFields;
}

/** What one host has on a machine. Each `supervisor()` starts another life of the host on the same files. */
interface Worker {
  readonly nodeId: string;
  readonly dataDir: string;
  readonly tokenPath: string;
  readonly containerdAddress: string;
  readonly events: Array<{ readonly event: string; readonly fact: Readonly<Record<string, unknown>> }>;
  readonly log: LogLine[];
  supervisor(changes?: Readonly<Record<string, unknown>>): Promise<AgentSupervisor>;
  /** Starts the same host in a process of its own; resolves when its agent is Ready. */
  lonelyHost(join: JoinCredential): Promise<LonelyHost>;
  heard(event: keyof AgentEvents): Promise<Readonly<Record<string, unknown>>>;
}

interface LonelyHost {
  readonly host: ChildProcess;
  readonly agentPid: number;
}

export const noLabels = { nodeLabels: {}, taints: [], arguments: [] };

/** What the world and its workers share. */
interface Stage {
  readonly life: Lifetime;
  readonly server: StandinServer;
  readonly directory: string;
  /** On tmpfs: join tokens. */
  readonly memory: string;
}

export async function startAgentWorld(): Promise<AgentWorld> {
  const stage = await setStage();
  const { life, server, directory } = stage;
  return {
    server,
    directory,
    mintCredential: (lifeMs) => mintCredential(server, lifeMs),
    deleteCredentials: () => deleteCredentials(server),
    node: (name) => server.store.get(resourceNamed('nodes'), '', name),
    deleteNode(name) {
      server.store.remove(resourceNamed('nodes'), '', name);
    },
    worker: (nodeId, options) => makeWorker(stage, nodeId, options),
    [Symbol.asyncDispose]: () => life.close(),
  };
}

async function setStage(): Promise<Stage> {
  const life = new Lifetime();
  const directory = await mkdtemp(join(tmpdir(), 'agent-world-'));
  const memory = await mkdtemp('/dev/shm/agent-world-');
  life.defer('directories', async () => {
    await rm(memory, { recursive: true, force: true, maxRetries: 5 });
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
  });
  const server = life.use('server', await startStandinServer({ dataDir: join(directory, 'server') }));
  return { life, server, directory, memory };
}

function mintCredential(server: StandinServer, lifeMs = 480_000): JoinCredential {
  const id = randomText(6);
  const secret = randomText(16);
  const expiresAtMs = Date.now() + lifeMs;
  const data = {
    'token-id': id,
    'token-secret': secret,
    'usage-bootstrap-authentication': 'true',
    expiration: new Date(expiresAtMs).toISOString(),
  };
  server.store.create(resourceNamed('secrets'), {
    metadata: { name: `bootstrap-token-${id}`, namespace: 'kube-system' },
    type: 'bootstrap.kubernetes.io/token',
    data: Object.fromEntries(
      Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
    ),
  });
  return {
    server: server.url,
    token: new Secret(`K10${server.caHash}::${id}.${secret}`),
    expiresAtMs,
  };
}

function deleteCredentials({ store }: StandinServer): void {
  const secrets = resourceNamed('secrets');
  for (const { type, metadata } of store.list(secrets))
    if (type === 'bootstrap.kubernetes.io/token') store.remove(secrets, 'kube-system', metadata.name ?? '');
}

/** What one worker has on the machine. Its lives, in this process and in others, all start from it. */
interface WorkerPlace {
  readonly life: Lifetime;
  readonly nodeId: string;
  readonly journalPath: string;
  readonly baseSettings: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string>>;
}

async function makeWorker(stage: Stage, nodeId: string, options: WorkerOptions = {}): Promise<Worker> {
  const { life, directory, memory } = stage;
  const dataDir = join(directory, nodeId);
  const containerdAddress = join(directory, nodeId, 'containerd.sock');
  const place: WorkerPlace = {
    life,
    nodeId,
    journalPath: join(directory, `${nodeId}.journal`),
    baseSettings: await workerSettings(stage, { dataDir, containerdAddress }, options),
    env: {
      PATH: process.env.PATH ?? '',
      K3S_STANDIN_NODE: process.execPath,
      K3S_STANDIN_SPEED: '20',
      K3S_STANDIN_CONTAINERD_ADDRESS: containerdAddress,
      ...options.env,
    },
  };
  life.defer(`shims of ${nodeId}`, () => {
    for (const pid of shimsNaming(containerdAddress)) killTree(pid);
  });
  const ear = listen();
  return {
    nodeId,
    dataDir,
    tokenPath: join(memory, nodeId, 'join-token'),
    containerdAddress,
    events: ear.events,
    log: ear.log,
    supervisor: (changes) => beginLife(place, ear, changes),
    lonelyHost: (credential) => startLonelyHost(place, credential),
    heard: ear.heard,
  };
}

async function workerSettings(
  { directory, memory }: Stage,
  { dataDir, containerdAddress }: Pick<Worker, 'dataDir' | 'containerdAddress'>,
  { args = [], settings }: WorkerOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const [healthzPort, lbPort] = await Promise.all([freePort(), freePort()]);
  return {
    binary: standinBinary,
    args: [
      '--rootless',
      '--config',
      join(directory, 'none.yaml'),
      '--data-dir',
      dataDir,
      `--lb-server-port=${lbPort}`,
      `--kubelet-arg=healthz-port=${healthzPort}`,
      ...args,
    ],
    containerdAddress,
    runtimeDir: memory,
    joinDeadlineMs: 30_000,
    stopDeadlineMs: 5000,
    restartDelay: { baseMs: 50, maxMs: 200 },
    ...settings,
  };
}

/** What the supervisors of a worker say, and a wait for one of their events. */
interface Ear extends Pick<Worker, 'events' | 'log' | 'heard'> {
  readonly hear: (event: string, fact: Readonly<Record<string, unknown>>) => void;
}

function listen(): Ear {
  const events: Worker['events'] = [];
  const waiting = new Set<() => void>();
  return {
    events,
    log: [],
    hear(event, fact) {
      events.push({ event, fact });
      for (const wake of waiting) wake();
    },
    async heard(event) {
      for (;;) {
        const found = events.find((one) => one.event === event);
        if (found) return found.fact;
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake);
            resolve();
          };
          waiting.add(wake);
        });
      }
    },
  };
}

async function beginLife(
  { life, nodeId, journalPath, baseSettings, env }: WorkerPlace,
  ear: Ear,
  changes: Readonly<Record<string, unknown>> = {},
): Promise<AgentSupervisor> {
  const supervisor = createAgentSupervisor({
    settings: AgentSettings.parse({ ...baseSettings, ...changes }),
    nodeId,
    // Opened anew: another life of the host reads its journal from the disk too.
    journal: (await openJournal(journalPath)).section('agent'),
    env,
    clock: systemClock,
    random: Math.random,
    log: recordingLog(ear.log),
    emit: ear.hear,
    probeIntervalMs: 50,
  });
  life.defer(`agent of ${nodeId}`, () => supervisor.stop());
  return supervisor;
}

async function startLonelyHost(
  { life, nodeId, journalPath, baseSettings, env }: WorkerPlace,
  { token, ...credential }: JoinCredential,
): Promise<LonelyHost> {
  const task = {
    settings: baseSettings,
    nodeId,
    journal: journalPath,
    env,
    join: { ...credential, token: token.reveal() },
  };
  const script = join(import.meta.dirname, 'lonely-host.ts');
  const host = spawn(process.execPath, ['--conditions=source', script, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  life.defer('lonely host', () => host.kill('SIGKILL'));
  const [line] = (await once(createInterface({ input: host.stdout }), 'line')) as [string];
  return { host, agentPid: Number(line.split(' ')[1]) };
}

/** Looks again and again until it holds; the test's own time-out is the limit. */
export async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await what())) await sleep(20);
}

export async function readText(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).trim();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || !address) throw new Error('no port');
  return address.port;
}

function randomText(length: number): string {
  const letters = 'abcdefghijklmnopqrstuvwxyz0123456789';
  return Array.from({ length }, () => letters[Math.floor(Math.random() * letters.length)]).join('');
}

function recordingLog(lines: LogLine[], always: LogFields = {}): Log {
  const at = (level: string) => (message: string, fields?: LogFields) => {
    lines.push({ level, message, fields: { ...always, ...fields } });
  };
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => recordingLog(lines, { ...always, ...fields }),
  };
}
