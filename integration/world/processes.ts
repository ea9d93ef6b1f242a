import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Pids of a worker's processes whose command line begins with `name`; its containerd's address marks what is the worker's. */
export function processesOf(containerdAddress: string, name: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        return (
          words.startsWith(name) &&
          (words.includes(containerdAddress) ||
            readFileSync(`/proc/${pid}/environ`, 'utf8').includes(containerdAddress))
        );
      } catch {
        return false;
      }
    });
}

/** The shims of the two pods that an agent of the stand-in begins with: its Node may be Ready before them. */
export async function bothPodsOf(containerdAddress: string): Promise<number[]> {
  for (;;) {
    const pods = podsOf(containerdAddress);
    if (pods.length === 2) return pods;
    await delay(20);
  }
}

export const podsOf = (containerdAddress: string): number[] =>
  processesOf(containerdAddress, 'containerd-shim-runc-v2');
