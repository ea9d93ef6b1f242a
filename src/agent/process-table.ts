import { closeSync, openSync, readSync } from 'node:fs';
import { readdir, readlink, stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '#base';
import { isAlive, type ProcessIdentity, parseStat, processIdentity, readKernelFile } from '#infrastructure';

/** One running process, as /proc shows it. */
export interface RunningProcess {
  readonly pid: number;
  readonly parentPid: number;
  readonly startTicks: number;
  /** Empty for kernel threads and zombies. */
  readonly commandLine: readonly string[];
}

/** Reading one process takes two open files, and the limit of open files may be low. */
const readAtOnce = 16;

/**
 * Everything that runs now, without processes that end meanwhile or may not be read. Throws on any other failure: a pod that
 * was missed would count as gone.
 */
export async function runningProcesses(): Promise<RunningProcess[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found: RunningProcess[] = [];
  for (let at = 0; at < names.length; at += readAtOnce) {
    const some = names.slice(at, at + readAtOnce).map((name) => readProcess(Number(name)));
    found.push(...(await Promise.all(some)).filter((process) => process !== undefined));
  }
  return found;
}

/** The kernel keeps so many bytes of a program's name (TASK_COMM_LEN without its end). */
const nameBytes = 15;
const namesAtOnce = 128;

/**
 * Those of `runningProcesses` whose program is named like this, as the kernel has the name. Cheap enough to be asked for ever: it
 * opens one file of a process, without a thread for each, and reading a name waits for no lock of that process.
 */
export async function runningNamed(name: string): Promise<RunningProcess[]> {
  const wanted = Buffer.from(name).subarray(0, nameBytes);
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry)).map(Number);
  const named: number[] = [];
  const buffer = Buffer.alloc(nameBytes + 1);
  for (let at = 0; at < pids.length; at += namesAtOnce) {
    for (const pid of pids.slice(at, at + namesAtOnce)) if (isNamed(pid, wanted, buffer)) named.push(pid);
    if (at + namesAtOnce < pids.length) await setImmediate();
  }
  return (await Promise.all(named.map(readProcess))).filter((process) => process !== undefined);
}

function isNamed(pid: number, wanted: Buffer, buffer: Buffer): boolean {
  let file: number | undefined;
  try {
    file = openSync(`/proc/${pid}/comm`, 'r');
    const length = readSync(file, buffer, 0, buffer.length, 0);
    return length >= wanted.length && buffer.subarray(0, wanted.length).equals(wanted);
  } catch (error) {
    if (goneOrHidden.has((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

const goneOrHidden = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM']);

async function readProcess(pid: number): Promise<RunningProcess | undefined> {
  try {
    const [stat, commandLine] = await Promise.all([
      readKernelFile(`/proc/${pid}/stat`),
      readKernelFile(`/proc/${pid}/cmdline`),
    ]);
    const { state, parentPid, startTicks } = parseStat(stat);
    if (state === 'Z' || state === 'X') return undefined;
    return { pid, parentPid, startTicks, commandLine: commandLine.split('\0').filter((word) => word !== '') };
  } catch (error) {
    if (goneOrHidden.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** The roots and everything below them, parents before children. */
export function withDescendants(
  roots: readonly RunningProcess[],
  all: readonly RunningProcess[],
): RunningProcess[] {
  const found = new Map(roots.map((root) => [root.pid, root]));
  const queue = [...roots];
  for (let next = queue.shift(); next; next = queue.shift())
    for (const child of all)
      if (child.parentPid === next.pid && !found.has(child.pid)) {
        found.set(child.pid, child);
        queue.push(child);
      }
  return [...found.values()];
}

/**
 * Whether root or this user owns and runs the program of a process, under a name that begins with `name`. The command line
 * proves nothing: any user can choose it.
 */
export async function isOwnProgram({ pid }: RunningProcess, name: string): Promise<boolean> {
  try {
    const [program, file, status] = await Promise.all([
      readlink(`/proc/${pid}/exe`),
      // The file that runs, even if it was replaced or deleted since.
      stat(`/proc/${pid}/exe`),
      readKernelFile(`/proc/${pid}/status`),
    ]);
    // The real user: a program with the set-user-id bit runs as root for any user that starts it.
    const realUser = Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN);
    return (
      program.slice(program.lastIndexOf('/') + 1).startsWith(name) &&
      isOurs(realUser) &&
      isOurs(file.uid) &&
      (file.mode & 0o002) === 0
    );
  } catch (error) {
    if (goneOrHidden.has((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

function isOurs(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/** Which mount namespace a process lives in; undefined when it is gone or may not be read. */
export async function mountNamespace(pid: number | 'self'): Promise<string | undefined> {
  try {
    return await readlink(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** SIGKILL, if the pid still belongs to the process that was seen. */
export async function killProcess({ pid, startTicks }: RunningProcess): Promise<boolean> {
  if ((await processIdentity(pid))?.startTicks !== startTicks) return false;
  return sendSignal(pid, 'SIGKILL');
}

/** false: the process does not exist. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

/** Waits until the process is gone; false when it still lives at the deadline. */
export async function waitForEnd(
  identity: ProcessIdentity,
  timeoutMs: number,
  clock: Clock,
): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + timeoutMs;
  while (await isAlive(identity)) {
    if (clock.monotonicMs() >= deadlineMs) return false;
    await clock.sleep(20);
  }
  return true;
}
