import { join } from 'node:path';
import { readKernelFile, readKernelFileNow } from '#infrastructure';

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
  const read: Read = {
    now: (path) => textOf(() => readKernelFileNow(join(root, path))),
    later: (path) => readKernelFile(join(root, path)).catch(() => undefined),
  };
  // The file exists in a v2 hierarchy alone.
  return read.now('cgroup.controllers') === undefined ? readV1(read) : readV2(read);
}

interface Read {
  readonly now: (path: string) => string | undefined;
  /** What the kernel first adds up. */
  readonly later: (path: string) => Promise<string | undefined>;
}

function textOf(read: () => string): string | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** What is used is read only where it is limited: on most machines nothing is. */
async function readV2({ now, later }: Read): Promise<CgroupReading> {
  const limitBytes = Number(now('memory.max'));
  const [quota, period] = (now('cpu.max') ?? 'max').trim().split(' ').map(Number);
  const [memoryStat, cpuStat] = await Promise.all([
    isLimit(limitBytes) ? later('memory.stat') : undefined,
    isQuota(quota, period) ? later('cpu.stat') : undefined,
  ]);
  return {
    memory: memoryOf(limitBytes, () => Number(now('memory.current')) - fieldOf(memoryStat, 'inactive_file')),
    cpu: cpuOf(quota, period, () => fieldOf(cpuStat, 'usage_usec') / 1_000),
  };
}

async function readV1({ now, later }: Read): Promise<CgroupReading> {
  const limitBytes = Number(now('memory/memory.limit_in_bytes'));
  const [quota, period] = [now('cpu/cpu.cfs_quota_us'), now('cpu/cpu.cfs_period_us')].map(Number);
  const memoryStat = isLimit(limitBytes) ? await later('memory/memory.stat') : undefined;
  return {
    memory: memoryOf(
      limitBytes,
      () => Number(now('memory/memory.usage_in_bytes')) - fieldOf(memoryStat, 'total_inactive_file'),
    ),
    cpu: cpuOf(quota, period, () => Number(now('cpuacct/cpuacct.usage')) / 1_000_000),
  };
}

const isLimit = (bytes: number) => bytes > 0 && bytes < unlimitedBytes;
const isQuota = (quota?: number, period?: number) => Number(quota) > 0 && Number(period) > 0;

/** Page cache that the kernel can take back at once does not count, as for the kubelet. */
function memoryOf(limitBytes: number, used: () => number): CgroupReading['memory'] {
  if (!isLimit(limitBytes)) return undefined;
  const usedBytes = used();
  return Number.isFinite(usedBytes) ? { limitBytes, usedBytes: Math.max(0, usedBytes) } : undefined;
}

function cpuOf(
  quota: number | undefined,
  period: number | undefined,
  used: () => number,
): CgroupReading['cpu'] {
  if (!quota || !period || !isQuota(quota, period)) return undefined;
  const usedMs = used();
  return Number.isFinite(usedMs) ? { usedMs, limitCpus: quota / period } : undefined;
}

function fieldOf(text: string | undefined, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text ?? '')?.[1] ?? 0);
}
