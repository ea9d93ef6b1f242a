import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../world/kubernetes.ts';
import { type Outcome, outcomeOf } from '../world/outcome.ts';
import { projectRoot } from '../world/program.ts';
import type { RealMachine } from '../world/real-machine.ts';

/** Debian's root directory (`debootstrap --include=systemd-sysv,perl`), or else that of this machine. */
const root = process.env.K3S_DAAS_TEST_ROOT ?? '/';

/** Why no systemd can be booted here; undefined: it can. */
export const noSystemd: string | undefined = problemOf(root);

/** Why no systemd of this root directory can be booted. */
export function problemOf(directory: string): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  if (!existsSync(join(directory, 'lib/systemd/systemd')))
    return 'needs systemd, or K3S_DAAS_TEST_ROOT: a directory made by debootstrap --include=systemd-sysv,perl,procps';
  // The mounts of systemd-machine.sh: a container may allow namespaces and yet none of these.
  const mounts = [
    'mount -t tmpfs tmpfs /mnt',
    'mkdir /mnt/upper /mnt/work /mnt/root /mnt/cgroup',
    'mount -t overlay overlay -o "lowerdir=$0,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/root',
    'mount -t cgroup2 none /mnt/cgroup',
    'mkdir "/mnt/cgroup/k3s-daas-try.$$"',
    'rmdir "/mnt/cgroup/k3s-daas-try.$$"',
  ].join(' && ');
  const namespaces = ['--mount', '--propagation=private', '--pid', '--fork', '--cgroup'];
  const { status } = spawnSync('unshare', [...namespaces, 'sh', '-c', mounts, directory], {
    timeout: 60_000,
  });
  return status === 0
    ? undefined
    : 'needs rights to make namespaces and to mount overlay and cgroup2 in them';
}

const scriptAt = (name: string) => join(projectRoot, 'integration', 'install', name);

/** A machine whose first process is a real systemd, booted from a root directory that is not written to. */
export class SystemdMachine implements AsyncDisposable {
  readonly #holder: ChildProcess;
  /** Of its first process, as the machine that the tests run on numbers it. */
  readonly pid: number;

  private constructor(holder: ChildProcess, pid: number) {
    this.#holder = holder;
    this.pid = pid;
  }

  /** `directories` are seen inside, read-only; `from` is a root directory other than that of `K3S_DAAS_TEST_ROOT`. */
  static async boot(directories: readonly string[] = [], from = root): Promise<SystemdMachine> {
    const work = await mkdtemp(join(tmpdir(), 'k3s-daas-systemd-'));
    const namespaces = ['--mount', '--propagation=private'];
    const script = scriptAt('systemd-machine.sh');
    const args = [...namespaces, script, from, work, projectRoot, ...directories];
    const machine = await SystemdMachine.#started('unshare', args);
    machine.#holder.once('exit', () => rmSync(work, { recursive: true, force: true }));
    return machine;
  }

  /** On a machine of namespaces, whose network and state directories it has; `scratch` is that machine's own directory of copies. */
  static bootIn(
    { enter }: RealMachine,
    scratch: string,
    directories: readonly string[],
  ): Promise<SystemdMachine> {
    const [program, ...args] = enter;
    return SystemdMachine.#started(program, [
      ...args,
      scriptAt('systemd-in-machine.sh'),
      scratch,
      ...directories,
    ]);
  }

  static async #started(program: string, args: readonly string[]): Promise<SystemdMachine> {
    const holder = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [holder.stdout, holder.stderr])
      stream?.on('data', (chunk) => {
        said += chunk;
      });
    const unsharer = await until('the machine to be made', async () => {
      if (holder.exitCode !== null) throw new Error(`no machine: ${said}`);
      return Number(/^holder (\d+)$/m.exec(said)?.[1]) || undefined;
    });
    const pid = await until('its first process', async () => {
      const children = readFileSync(`/proc/${unsharer}/task/${unsharer}/children`, 'utf8').trim();
      const first = Number(children.split(' ')[0]);
      return first && readFileSync(`/proc/${first}/comm`, 'utf8') === 'systemd\n' ? first : undefined;
    });
    const machine = new SystemdMachine(holder, pid);
    await until('systemd to be up', async () => {
      const { output } = await machine.run('systemctl', 'is-system-running');
      return /^(?:running|degraded)$/m.test(output) ? true : undefined;
    });
    return machine;
  }

  /** Runs a program in the machine, to its end. */
  run(...argv: readonly string[]): Promise<Outcome> {
    return this.runWith({}, ...argv);
  }

  runWith(env: Readonly<Record<string, string>>, ...argv: readonly string[]): Promise<Outcome> {
    return outcomeOf(
      spawn('nsenter', ['--target', String(this.pid), '--all', '--wd', ...argv], {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
          HOME: '/root',
          NO_COLOR: '1',
          ...env,
        },
      }),
    );
  }

  async write(path: string, text: string, mode = '0644'): Promise<void> {
    const script = 'umask 077; mkdir -p -m 0755 "$(dirname "$1")"; printf %s "$2" >"$1"; chmod "$3" "$1"';
    const { exitCode, output } = await this.run('sh', '-c', script, 'sh', path, text, mode);
    if (exitCode !== 0) throw new Error(`${path} cannot be written in the machine: ${output}`);
  }

  async read(path: string): Promise<string> {
    return (await this.run('cat', path)).output;
  }

  /** A property of a unit. */
  async unit(unit: string, property: string): Promise<string> {
    return (await this.run('systemctl', 'show', '--value', `--property=${property}`, unit)).output.trim();
  }

  /** Pods' shims, as this machine numbers them. */
  async shims(): Promise<readonly number[]> {
    const { output } = await this.run('pgrep', '-f', 'containerd-shim-runc-v2 -namespace');
    return output
      .split('\n')
      .filter(Boolean)
      .map(Number)
      .toSorted((one, other) => one - other);
  }

  async journal(unit: string): Promise<string> {
    return (await this.run('journalctl', '--no-pager', '-n', '60', '-o', 'cat', '-u', unit)).output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#holder.stdin?.end();
    await new Promise((resolve) => {
      if (this.#holder.exitCode !== null) resolve(undefined);
      else this.#holder.once('exit', resolve);
    });
  }
}
