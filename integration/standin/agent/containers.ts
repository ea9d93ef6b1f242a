import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { klog } from './log.ts';

const blank = join(import.meta.dirname, 'process.pl');

/** containerd: a child that the kernel kills when the agent dies, however it dies. */
export function startContainerd(dataDir: string): ChildProcess {
  const name = ['containerd', '-c', join(dataDir, 'agent/etc/containerd/config.toml')];
  return spawn('setpriv', ['--pdeathsig', 'KILL', 'perl', blank, 'child', '-', ...name], { stdio: 'ignore' });
}

export interface Shim {
  readonly pid: number;
  /** Id of the pod's sandbox: 64 hex digits. */
  readonly id: string;
}

/** What a shim runs: perl under the name of the real program, which is what tells a shim from others (/proc/<pid>/exe). */
export function shimProgram(directory: string): string {
  const program = join(directory, 'containerd-shim-runc-v2');
  if (existsSync(program)) return program;
  mkdirSync(directory, { recursive: true });
  const perl = execFileSync('perl', ['-e', 'print $^X'], { encoding: 'utf8' });
  const own = `${program}.${process.pid}`;
  copyFileSync(perl, own);
  // Another agent may make it at the same time: a program that is written to cannot be run.
  renameSync(own, program);
  return program;
}

const shimDirectory = (address: string) => join(dirname(address), 'bin');

/** One shim a pod, adopted by pid 1, with the pod's `pause` below it: it lives on when the agent ends. */
export function startShim(id: string, address: string, container = '/pause'): void {
  const name = ['containerd-shim-runc-v2', '-namespace', 'k8s.io', '-id', id, '-address', address];
  spawn(shimProgram(shimDirectory(address)), [blank, 'daemon', container, ...name], { stdio: 'ignore' });
}

export function sandboxId(seed: string): string {
  return createHash('sha256').update(seed).digest('hex');
}

/** The pods of this containerd, of whichever agent they once were. A machine may also run a real k3s: its pods are none of ours. */
export function shimsOf(address: string): Shim[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const words = commandLine(name);
      if (!words[0]?.endsWith('containerd-shim-runc-v2')) return [];
      if (words[words.indexOf('-address') + 1] !== address) return [];
      if (words[words.indexOf('-namespace') + 1] !== 'k8s.io') return [];
      if (!isStandin(name, address)) return [];
      return [{ pid: Number(name), id: words[words.indexOf('-id') + 1] ?? '' }];
    });
}

/** Run by our copy of perl, and in our mount namespace, where the address means the same. */
function isStandin(pid: string, address: string): boolean {
  try {
    const [program, home] = [readlinkSync(`/proc/${pid}/exe`), readlinkSync('/proc/self/ns/mnt')];
    return dirname(program) === shimDirectory(address) && readlinkSync(`/proc/${pid}/ns/mnt`) === home;
  } catch {
    return false;
  }
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      .split('\0')
      .filter((word) => word !== '');
  } catch {
    return [];
  }
}

/** Ends a pod: its container first, then its shim. */
export function killShim({ pid, id }: Shim): void {
  klog('I', 'pod_container_deletor.go:80', "Container not found in pod's containers", { containerID: id });
  for (const child of childrenOf(pid)) kill(child);
  kill(pid);
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}
