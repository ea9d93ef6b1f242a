import { readFile } from 'node:fs/promises';
import { readKernelFile } from './kernel-file.ts';

/**
 * Names one process for good: a pid alone is reused, and after a reboot start times begin anew.
 * `startTicks` is field 22 of /proc/<pid>/stat (proc_pid_stat(5)), clock ticks since boot.
 */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
  /** /proc/sys/kernel/random/boot_id */
  readonly bootId: string;
}

/** The process at `pid` now; undefined without one, and for a zombie. Throws when `/proc` cannot be read. */
export async function processIdentity(pid: number): Promise<ProcessIdentity | undefined> {
  try {
    const [stat, bootId] = await Promise.all([readKernelFile(`/proc/${pid}/stat`), readBootId()]);
    const { state, startTicks } = parseStat(stat);
    return state === 'Z' || state === 'X' ? undefined : { pid, startTicks, bootId };
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  const now = await processIdentity(identity.pid);
  return now?.startTicks === identity.startTicks && now.bootId === identity.bootId;
}

/** Reads an identity back from a lock file or a journal; undefined when it is not one. */
export function parseProcessIdentity(value: unknown): ProcessIdentity | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, startTicks, bootId } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(pid) || (pid as number) < 1) return undefined;
  if (!Number.isSafeInteger(startTicks) || typeof bootId !== 'string') return undefined;
  return { pid: pid as number, startTicks: startTicks as number, bootId };
}

export interface ProcessStat {
  readonly state: string;
  readonly parentPid: number;
  readonly startTicks: number;
}

/** The command name (field 2) may hold spaces and parentheses, so the fields are counted from its last `)`. */
export function parseStat(text: string): ProcessStat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state: fields[0] ?? '', parentPid: Number(fields[1]), startTicks: Number(fields[19]) };
}

/** Names this boot of the machine: /proc/sys/kernel/random/boot_id, random(4). */
export function bootId(): Promise<string> {
  return readBootId();
}

let bootIdOnce: Promise<string> | undefined;
function readBootId(): Promise<string> {
  bootIdOnce ??= readFile('/proc/sys/kernel/random/boot_id', 'utf8').then(
    (text) => text.trim(),
    (error: unknown) => {
      bootIdOnce = undefined;
      throw error;
    },
  );
  return bootIdOnce;
}
