import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { shimProgram } from './agent/containers.ts';

/** Shims of any kind whose arguments name this address. */
export function shimsNaming(address: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const words = commandLineOf(pid);
      return words[0] === 'containerd-shim-runc-v2' && words.includes(address);
    });
}

export function commandLineOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Kills a process and all its descendants. */
export function killTree(pid: number): void {
  for (const child of childrenOf(pid)) killTree(child);
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/**
 * Starts a process that looks like a pod of some containerd. `around` is a program that starts it (`unshare -m`). Resolves
 * with its pid, which is not in `known`.
 */
export async function startForeignShim(
  words: readonly string[],
  around: readonly string[] = [],
  known: readonly number[] = [],
): Promise<number> {
  const blank = join(import.meta.dirname, 'agent', 'process.pl');
  const [program = '', ...rest] = [
    ...around,
    shimProgram(await foreignDirectory()),
    blank,
    'daemon',
    '/pause',
    'containerd-shim-runc-v2',
    ...words,
  ];
  await once(spawn(program, rest, { stdio: 'ignore' }), 'exit');
  const name = ['containerd-shim-runc-v2', ...words].join(' ');
  for (;;) {
    const pid = readdirSync('/proc')
      .map(Number)
      .find((one) => !known.includes(one) && commandLineOf(one).join(' ').startsWith(name));
    if (pid && childrenOf(pid).length > 0) return pid;
    await sleep(20);
  }
}

let foreignDirectoryOnce: Promise<string> | undefined;
function foreignDirectory(): Promise<string> {
  foreignDirectoryOnce ??= mkdtemp(join(tmpdir(), 'foreign-shims-')).then((directory) => {
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
    return directory;
  });
  return foreignDirectoryOnce;
}

/** The session (setsid(2)) that a process belongs to: field 6 of /proc/<pid>/stat. */
export function sessionOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]);
}
