import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GenericContainer } from 'testcontainers';
import type { Docker } from '../../scripts/images/images.ts';
import { furnishAgent } from '../world/real-k3s.ts';

/** A real k3s in the containers of workers. */
export interface RealAgent {
  /** Of the k3s-worker.Containerfile. */
  readonly image: string;
  /** The k3s binary, on this machine. */
  readonly binary: string;
  /** Image archives that every worker gets. */
  readonly archives: readonly string[];
}

const DATA = '/var/lib/rancher/k3s';
const BINARY = '/usr/local/bin/k3s';

/** `agent` in the settings of such a worker. */
export const realAgent = { binary: BINARY, args: [] };

/** Builds the image of such a worker from that of the other tests. */
export function buildK3sWorkerImage(
  { run }: Docker,
  { base, worker }: { base: string; worker: string },
): string {
  const image = 'k3s-daas-k3s-worker:test';
  const file = join(import.meta.dirname, 'k3s-worker.Containerfile');
  const named = ['--build-arg', `BASE=${base}`, '--build-arg', `WORKER=${worker}`, '--tag', image];
  run('build', '--quiet', '--network', 'host', '--file', file, ...named, import.meta.dirname);
  return image;
}

/** A container that may do what a kubelet and containerd do: what Docker calls privileged, but with the capabilities that there are. */
class MachineContainer extends GenericContainer {
  constructor(image: string, capabilities: readonly string[]) {
    super(image);
    this.hostConfig.CapAdd = [...capabilities];
    this.hostConfig.SecurityOpt = ['seccomp=unconfined', 'apparmor=unconfined'];
    this.hostConfig.MaskedPaths = [];
    this.hostConfig.ReadonlyPaths = [];
    // Docker's own types do not know it.
    Object.assign(this.hostConfig, { CgroupnsMode: 'private' });
    this.hostConfig.Devices = [
      { PathOnHost: '/dev/kmsg', PathInContainer: '/dev/kmsg', CgroupPermissions: 'rwm' },
    ];
    this.hostConfig.DeviceCgroupRules = ['a *:* rwm'];
  }
}

/** The container of a worker, with k3s' files below `home`. `bundle` is where the server has unpacked the same k3s. */
export async function realWorkerContainer(
  { image, binary, archives }: RealAgent,
  { home, bundle }: { readonly home: string; readonly bundle: string },
): Promise<GenericContainer> {
  const files = join(home, 'files');
  const file = (path: string) => join(files, path);
  await mkdir(file(DATA), { recursive: true });
  await mkdir(file('/var/lib/kubelet'), { recursive: true });
  await furnishAgent({ file }, bundle, archives);
  return new MachineContainer(image, capabilitiesOf(await readFile('/proc/self/status', 'utf8')))
    .withTmpFs({ '/run': 'rw' })
    .withBindMounts([
      { source: home, target: '/etc/k3s-daas' },
      { source: file(DATA), target: DATA },
      { source: bundle, target: join(DATA, 'data') },
      { source: file('/var/lib/kubelet'), target: '/var/lib/kubelet' },
      { source: binary, target: BINARY, mode: 'ro' },
    ]);
}

/** capabilities(7) by their number; a Docker of 2020 knows these. */
const CAPABILITIES = [
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE',
  'NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO',
  'SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME',
  'SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG',
  'WAKE_ALARM BLOCK_SUSPEND AUDIT_READ',
].flatMap((names) => names.split(' '));

/** Those that a process of this machine can have: an engine in a sandbox cannot give more. */
function capabilitiesOf(status: string): readonly string[] {
  const bounding = BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return CAPABILITIES.filter((_name, bit) => ((bounding >> BigInt(bit)) & 1n) === 1n);
}
