import { readdirSync, readFileSync } from 'node:fs';

/**
 * Kills what still runs of a world: every process that names the world's own directory, a random one, in its command line,
 * and what these have started. Returns their ids.
 */
export function endLeftovers(directory: string): number[] {
  const parents = new Map<number, number>();
  const found = new Set<number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      parents.set(pid, parentOf(readFileSync(`/proc/${pid}/stat`, 'utf8')));
      if (readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${directory}/`)) found.add(pid);
    } catch {
      // It has ended meanwhile.
    }
  }
  for (const pid of parents.keys()) if (hasAncestor(pid, found, parents)) found.add(pid);
  const killed: number[] = [];
  for (const pid of found) {
    try {
      process.kill(pid, 'SIGKILL');
      killed.push(pid);
    } catch {
      // It is gone already.
    }
  }
  return killed;
}

/** After the name, which may hold anything: state, parent. */
function parentOf(stat: string): number {
  const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(parent);
}

function hasAncestor(pid: number, of: ReadonlySet<number>, parents: ReadonlyMap<number, number>): boolean {
  for (let at = parents.get(pid); at !== undefined && at > 1; at = parents.get(at))
    if (of.has(at)) return true;
  return false;
}
