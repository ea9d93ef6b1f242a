import { dirname } from 'node:path';
import type { Clock } from '#base';
import { fileIdentity } from '#infrastructure';
import {
  isOwnProgram,
  killProcess,
  mountNamespace,
  type RunningProcess,
  runningNamed,
  runningProcesses,
  withDescendants,
} from './process-table.ts';

/** The name of every shim begins like this: `containerd-shim-runc-v2`. */
const shimProgram = 'containerd-shim';

/** The shim of a pod: containerd runs one for each pod sandbox, with the sandbox's id as `-id`. */
interface PodShim {
  readonly sandboxId: string;
  readonly process: RunningProcess;
}

/**
 * The sandbox id if a command line is that of a shim for Kubernetes pods of the containerd at `address`
 * (`containerd-shim-runc-v2 -namespace k8s.io -id <sandbox> -address <socket>`). Shims of Docker, of nerdctl's namespace and
 * of another containerd do not count.
 */
export function podShimId(commandLine: readonly string[], address: string): string | undefined {
  const [program = '', ...rest] = commandLine;
  const name = program.slice(program.lastIndexOf('/') + 1);
  if (!name.startsWith(shimProgram)) return undefined;
  if (flagOf(rest, 'address') !== address || flagOf(rest, 'namespace') !== 'k8s.io') return undefined;
  return flagOf(rest, 'id');
}

/** Whether it is the shim of a pod, of whichever containerd. */
export async function isPodShim(process: RunningProcess): Promise<boolean> {
  const address = flagOf(process.commandLine.slice(1), 'address');
  if (address === undefined || podShimId(process.commandLine, address) === undefined) return false;
  return isOwnProgram(process, shimProgram);
}

function flagOf(words: readonly string[], name: string): string | undefined {
  for (const [index, word] of words.entries()) {
    const match = /^--?([a-z-]+)(?:=(.*))?$/.exec(word);
    if (match?.[1] === name) return match[2] ?? words[index + 1];
  }
  return undefined;
}

/**
 * The pods of this k3s: shims of its containerd that see the same file at the path of its socket as this process does. A
 * service manager may give every life of the host its own mount namespace (`PrivateTmp=`); the pods of an earlier life count.
 */
async function podShims(address: string, processes: readonly RunningProcess[]): Promise<PodShim[]> {
  const [home, here] = await Promise.all([mountNamespace('self'), identityOf(dirname(address))]);
  const shims: PodShim[] = [];
  for (const process of processes) {
    const sandboxId = podShimId(process.commandLine, address);
    if (sandboxId === undefined || !(await isOwnProgram(process, shimProgram))) continue;
    const isOurs =
      (await mountNamespace(process.pid)) === home ||
      (here !== undefined && (await identityOf(`/proc/${process.pid}/root${dirname(address)}`)) === here);
    if (isOurs) shims.push({ sandboxId, process });
  }
  return shims;
}

/** Undefined when there is no such file, or it may not be read. */
function identityOf(path: string): Promise<string | undefined> {
  return fileIdentity(path).catch(() => undefined);
}

/** How many pods run here, counted by sandbox. Needs no socket and no rights but a readable /proc. */
export async function countPods(address: string): Promise<number | undefined> {
  try {
    const shims = await podShims(address, await runningNamed(shimProgram));
    return new Set(shims.map(({ sandboxId }) => sandboxId)).size;
  } catch {
    return undefined;
  }
}

/**
 * Kills the pods of this k3s: each shim with all its descendants, repeated until none is found. Returns the killed pids.
 * Containers in other mount namespaces are descendants of the shims too.
 */
export async function killPods(address: string, clock: Clock, timeoutMs = 10_000): Promise<number[]> {
  const killed = new Set<number>();
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  for (let quietLooks = 0; ; ) {
    const all = await runningProcesses();
    const shims = await podShims(address, all);
    quietLooks = shims.length === 0 ? quietLooks + 1 : 0;
    // Twice: a shim that containerd was starting when it died may appear after the first look.
    if (quietLooks === 2) return [...killed];
    const doomed = withDescendants(
      shims.map(({ process }) => process),
      all,
    );
    // Shims last: pid 1 adopts a container without its shim, and nothing connects it to this k3s any more.
    for (const process of doomed.reverse()) if (await killProcess(process)) killed.add(process.pid);
    if (clock.monotonicMs() >= deadlineMs) return [...killed];
    await clock.sleep(20);
  }
}
