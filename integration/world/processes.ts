import { readdirSync, readFileSync } from 'node:fs';

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
