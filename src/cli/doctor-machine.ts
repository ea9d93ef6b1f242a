import { bad, type Check, good, unknown, warn } from './doctor-check.ts';

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
/** A kubelet ends pods below a tenth of free space (its nodefs.available). */
const leastFree = 0.1;
const scarceFree = 0.15;

/** The machine under the agent: what a kubelet would say only in its log. */
export const machineChecks: readonly Check[] = [
  {
    id: 'root',
    group: 'machine',
    what: 'user',
    link: 'getting-started.md#a-worker',
    async judge({ uid }) {
      if (uid === 0) return good('root');
      return warn(
        `uid ${uid}: keys, state and the agent’s settings of root cannot be read`,
        'run this as root',
      );
    },
  },
  {
    id: 'kernel',
    group: 'machine',
    what: 'kernel and its modules',
    link: 'getting-started.md#a-worker',
    async judge(probes) {
      const text = (path: string) => probes.text(path);
      const release = (await text('/proc/sys/kernel/osrelease'))?.trim() ?? 'unknown';
      const missing: string[] = [];
      if (!(await text('/proc/filesystems'))?.includes('\toverlay\n')) missing.push('overlay');
      if ((await text('/proc/sys/net/bridge/bridge-nf-call-iptables')) === undefined)
        missing.push('br_netfilter');
      if (missing.length === 0) return good(`Linux ${release}, with overlay and br_netfilter`);
      // The unit loads them; a container or another service manager may not.
      return warn(
        `Linux ${release}, without ${missing.join(' and ')}`,
        `run \`modprobe ${missing.join(' ')}\`; the unit of k3s-daas does so at each start`,
      );
    },
  },
  {
    id: 'cgroups',
    group: 'machine',
    what: 'control groups',
    link: 'getting-started.md#a-worker',
    judge: judgeCgroups,
  },
  {
    id: 'ports',
    group: 'machine',
    what: 'ports of the agent',
    link: 'configuration.md#the-worker',
    async judge(probes) {
      const { healthPort } = await probes.worker();
      if (await probes.isAgentRunning()) return good('the agent runs and has them');
      const busy = await probes.listening();
      const wanted = [6444, 10_248, 10_250, 10_256, ...(healthPort === 0 ? [] : [healthPort])];
      const taken = wanted.filter((port) => busy.has(port));
      if (taken.length === 0) return good(`free: ${wanted.join(', ')}`);
      return bad(
        `in use by another program: ${taken.join(', ')}`,
        `find it with \`ss -ltnp\` and stop it; is a plain k3s agent running? \`k3s-daas install\` takes over`,
      );
    },
  },
  {
    id: 'disk',
    group: 'machine',
    what: 'disk space',
    link: 'operations.md#a-full-disk',
    async judge(probes) {
      const { stateDir } = await probes.worker();
      const places = [stateDir, '/var/lib/rancher/k3s'];
      const spaces = await Promise.all(places.map(async (path) => ({ path, ...(await probes.space(path)) })));
      const text = spaces.map(({ path, freeBytes }) => `${path}: ${gib(freeBytes)} free`).join(', ');
      const least = Math.min(...spaces.map(({ freeBytes, totalBytes }) => freeBytes / totalBytes));
      const fix =
        'free space there: below a tenth the kubelet ends pods, and a full disk keeps the host from starting';
      if (least < leastFree) return bad(text, fix);
      return least < scarceFree ? warn(text, fix) : good(text);
    },
  },
];

async function judgeCgroups(probes: Parameters<Check['judge']>[0]): ReturnType<Check['judge']> {
  const unified = await probes.text('/sys/fs/cgroup/cgroup.controllers');
  if (unified !== undefined) {
    const missing = ['cpu', 'memory', 'pids'].filter((name) => !unified.split(/\s/).includes(name));
    if (missing.length === 0) return good('cgroup v2 with cpu, memory and pids');
    return bad(
      `cgroup v2 without ${missing.join(', ')}`,
      'enable them for the root group; on a Raspberry Pi add `cgroup_memory=1 cgroup_enable=memory` to the kernel’s command line',
    );
  }
  const { version, dataDir } = await probes.k3s();
  const minor = Number(/^v1\.(\d+)\./.exec(version)?.[1] ?? 0);
  if (minor < 35) return good(`cgroup v1, which k3s ${version} takes`);
  const dropIn = `${dataDir}/agent/etc/kubelet.conf.d/10-cgroup-v1.conf`;
  if (/failCgroupV1:\s*false/.test((await probes.text(dropIn)) ?? ''))
    return warn(`cgroup v1, allowed by ${dropIn}`, 'move the machine to cgroup v2: Kubernetes drops v1');
  return unknown(
    `cgroup v1, and the kubelet of k3s ${version} refuses it unless its configuration says failCgroupV1: false`,
    `boot with \`systemd.unified_cgroup_hierarchy=1\`, or put \`failCgroupV1: false\` into ${dropIn}`,
  );
}
