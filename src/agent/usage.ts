import { statfs } from 'node:fs/promises';
import type { Clock } from '#base';
import { readKernelFileNow } from '#infrastructure';
import type { ResourceUsage } from '#plugin';
import { type CgroupReading, readCgroup } from './cgroup.ts';

/** Jiffies from the first line of /proc/stat. */
export interface CpuTimes {
  readonly busy: number;
  readonly total: number;
}

/** proc_stat(5): user nice system idle iowait irq softirq steal (guest is in user already). */
export function parseCpuTimes(stat: string): CpuTimes {
  const fields = (stat.split('\n')[0] ?? '').trim().split(/\s+/).slice(1, 9).map(Number);
  const total = fields.reduce((sum, value) => sum + value, 0);
  return { total, busy: total - (fields[3] ?? 0) - (fields[4] ?? 0) };
}

/** Share of the machine's memory that is not available to a new program. */
export function memoryPercent(meminfo: string): number {
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? 0);
  return share(kilobytes('MemTotal') - kilobytes('MemAvailable'), kilobytes('MemTotal'));
}

export function cpuPercent(before: CpuTimes, after: CpuTimes): number {
  return share(after.busy - before.busy, after.total - before.total);
}

function share(part: number, whole: number): number {
  return whole > 0 ? Math.round(Math.min(1, Math.max(0, part / whole)) * 1000) / 10 : 0;
}

/** Share of the CPU time that the cgroup allows, used between two readings; undefined without a limit. */
export function limitedCpuPercent(
  before: CgroupReading['cpu'],
  now: CgroupReading['cpu'],
  elapsedMs: number,
): number | undefined {
  if (!before || !now || elapsedMs <= 0) return undefined;
  return share(now.usedMs - before.usedMs, now.limitCpus * elapsedMs);
}

export interface UsageSources {
  readonly dataDir: () => string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly cgroup?: () => Promise<CgroupReading>;
}

interface Reading {
  readonly times: CpuTimes;
  readonly cgroup: CgroupReading | undefined;
  readonly atMs: number;
}

/** CPU is measured over this time at least: several who ask must not shorten each other's. */
const shortestWindowMs = 5_000;

/**
 * Measures the machine, or the container around it where that has limits: CPU since the newest earlier call that is five seconds
 * old (the first: since boot), memory now, and the file system with k3s' data as an ordinary user sees it (df's "Use%").
 */
export function usageMeter({
  dataDir,
  clock,
  cgroup = readCgroup,
}: UsageSources): () => Promise<ResourceUsage> {
  const boot: Reading = { times: { busy: 0, total: 0 }, cgroup: undefined, atMs: Number.NEGATIVE_INFINITY };
  /** The oldest is that which the next call is measured against. */
  let earlier: readonly Reading[] = [boot];
  return async () => {
    const [disk, limits] = await Promise.all([statfsOfNearest(dataDir()), cgroup()]);
    const stat = readKernelFileNow('/proc/stat');
    const now = { times: parseCpuTimes(stat), cgroup: limits, atMs: clock.monotonicMs() };
    const known = earlier.findLastIndex(({ atMs }) => now.atMs - atMs >= shortestWindowMs);
    earlier = earlier.slice(Math.max(0, known));
    const [before = boot] = earlier;
    // More often than once a second is of no use, and would be kept.
    if (now.atMs - (earlier.at(-1) ?? boot).atMs >= 1_000) earlier = [...earlier, now];
    const limitedCpu = limitedCpuPercent(before.cgroup?.cpu, limits.cpu, now.atMs - before.atMs);
    const cpu = limitedCpu ?? cpuPercent(before.times, now.times);
    const used = disk.blocks - disk.bfree;
    const { memory } = limits;
    return {
      cpuPercent: cpu,
      memoryPercent: memory
        ? share(memory.usedBytes, memory.limitBytes)
        : memoryPercent(readKernelFileNow('/proc/meminfo')),
      diskPercent: share(used, used + disk.bavail),
    };
  };
}

/** Before the first start of k3s its directory does not exist; the one above it is most likely on the same disk. */
async function statfsOfNearest(path: string): Promise<{ blocks: number; bfree: number; bavail: number }> {
  try {
    return await statfs(path);
  } catch (error) {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return statfsOfNearest(parent === '' ? '/' : parent);
  }
}
