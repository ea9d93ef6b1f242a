import { join } from 'node:path';
import { readKernelFile } from '#infrastructure';

/** What a container around this host allows it, and has used of it. Members are undefined where nothing is limited. */
export interface CgroupReading {
  readonly memory: { readonly usedBytes: number; readonly limitBytes: number } | undefined;
  /** `limitCpus`: 1.5 is one and a half; `usedMs`: since the cgroup was made. */
  readonly cpu: { readonly usedMs: number; readonly limitCpus: number } | undefined;
}

/** v1 says "no limit" with a number near 2^63, rounded to pages. */
const unlimitedBytes = 2 ** 60;

/**
 * Reads the limits of the cgroup that this process sees as the root (cgroups(7)): on a machine that is none, and nothing is
 * limited; in a container it is the container's own. A limit on a unit below is not the node's: pods run beside it.
 */
export async function readCgroup(root = '/sys/fs/cgroup'): Promise<CgroupReading> {
  const read = (path: string) => readKernelFile(join(root, path)).catch(() => undefined);
  // The file exists in a v2 hierarchy alone.
  return (await read('cgroup.controllers')) === undefined ? readV1(read) : readV2(read);
}

type Read = (path: string) => Promise<string | undefined>;

async function readV2(read: Read): Promise<CgroupReading> {
  const [max, current, stat, cpuMax, cpuStat] = await Promise.all([
    read('memory.max'),
    read('memory.current'),
    read('memory.stat'),
    read('cpu.max'),
    read('cpu.stat'),
  ]);
  const [quota, period] = (cpuMax ?? 'max').trim().split(' ').map(Number);
  return {
    memory: memoryOf(Number(max), Number(current) - fieldOf(stat, 'inactive_file')),
    cpu: cpuOf(quota, period, fieldOf(cpuStat, 'usage_usec') / 1_000),
  };
}

async function readV1(read: Read): Promise<CgroupReading> {
  const [limit, usage, stat, quota, period, cpuUsage] = await Promise.all([
    read('memory/memory.limit_in_bytes'),
    read('memory/memory.usage_in_bytes'),
    read('memory/memory.stat'),
    read('cpu/cpu.cfs_quota_us'),
    read('cpu/cpu.cfs_period_us'),
    read('cpuacct/cpuacct.usage'),
  ]);
  return {
    memory: memoryOf(Number(limit), Number(usage) - fieldOf(stat, 'total_inactive_file')),
    cpu: cpuOf(Number(quota), Number(period), Number(cpuUsage) / 1_000_000),
  };
}

/** Page cache that the kernel can take back at once does not count, as for the kubelet. */
function memoryOf(limitBytes: number, usedBytes: number): CgroupReading['memory'] {
  if (!(limitBytes > 0) || limitBytes >= unlimitedBytes || !Number.isFinite(usedBytes)) return undefined;
  return { limitBytes, usedBytes: Math.max(0, usedBytes) };
}

function cpuOf(quota: number | undefined, period: number | undefined, usedMs: number): CgroupReading['cpu'] {
  if (!quota || !period || !(quota > 0) || !(period > 0) || !Number.isFinite(usedMs)) return undefined;
  return { usedMs, limitCpus: quota / period };
}

function fieldOf(text: string | undefined, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text ?? '')?.[1] ?? 0);
}
