import { execFile } from 'node:child_process';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { KubernetesApi, Reply } from './kubernetes.ts';
import type { RealMachine } from './real-machine.ts';

const run = promisify(execFile);

/** One process, told apart from a later one with the same pid. */
export interface SeenProcess {
  readonly pid: number;
  readonly startTicks: string;
  readonly commandLine: readonly string[];
}

/** What runs in a machine's mount namespace: agent, containerd, shims; containers have namespaces of their own. */
export async function processesOf({
  mountNamespace,
}: Pick<RealMachine, 'mountNamespace'>): Promise<SeenProcess[]> {
  const seen: SeenProcess[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    try {
      if ((await readlink(`/proc/${pid}/ns/mnt`)) !== mountNamespace) continue;
      const found = await lookAt(Number(pid));
      if (found) seen.push(found);
    } catch {
      // It ended while we looked.
    }
  }
  return seen;
}

/** The shims of a machine's pods and everything below them, containers included. */
export async function podProcessesOf(machine: Pick<RealMachine, 'mountNamespace'>): Promise<SeenProcess[]> {
  const shims = (await processesOf(machine)).filter(({ commandLine }) =>
    commandLine[0]?.endsWith('containerd-shim-runc-v2'),
  );
  const found = [...shims];
  for (const { pid } of found) {
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    for (const child of children.split(' ').filter(Boolean)) {
      const process = await lookAt(Number(child));
      if (process) found.push(process);
    }
  }
  return found;
}

/** Ends everything that runs on a machine, its pods too; the machine itself stays. */
export async function killAll(machine: RealMachine): Promise<void> {
  const own = (await processesOf(machine)).filter(({ commandLine }) => commandLine[0] !== 'sleep');
  for (const { pid } of [...(await podProcessesOf(machine)), ...own])
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended with another one.
    }
}

/** Whether exactly this process still runs; one that nobody has waited for yet has ended. */
export async function isRunning({ pid, startTicks }: SeenProcess): Promise<boolean> {
  return (await lookAt(pid))?.startTicks === startTicks;
}

async function lookAt(pid: number): Promise<SeenProcess | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // proc_pid_stat(5): the command may hold anything, so the fields are counted from its closing bracket.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const commandLine = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').filter(Boolean);
    return { pid, startTicks: fields[19] ?? '', commandLine };
  } catch {
    return undefined;
  }
}

/** The first image of an archive (`docker save`, OCI with docker's manifest), as a container names it. */
export async function imageNameIn(archive: string): Promise<string> {
  const { stdout } = await run('tar', ['-xOf', archive, 'manifest.json']);
  const [first] = JSON.parse(stdout) as ReadonlyArray<{ readonly RepoTags?: readonly string[] }>;
  const name = first?.RepoTags?.[0];
  if (name === undefined) throw new Error(`${archive} names no image in its manifest.json`);
  return name;
}

/** A pod that the scheduler can put on this staked node alone. */
export function podOn(nodeId: string, name: string, image: string): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': nodeId },
      tolerations: [{ key: 'k3s-daas.io/staked', operator: 'Exists', effect: 'NoSchedule' }],
      automountServiceAccountToken: false,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'main', image, imagePullPolicy: 'Never' }],
    },
  };
}

/** The pod as the API server has it; undefined when it is gone. */
export async function pod(kubernetes: KubernetesApi, name: string): Promise<Reply['body']> {
  const { status, body } = await kubernetes.get(`/api/v1/namespaces/default/pods/${name}`);
  return status === 404 ? undefined : body;
}
