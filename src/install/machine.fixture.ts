import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Finished, Machine } from './machine.ts';
import { plainUnit, plainVariables } from './plain-agent.fixture.ts';

/** Files in a directory, and a service manager that remembers what it is told. */
export class PretendedMachine implements Machine, AsyncDisposable {
  readonly root: string;
  readonly uid = 0;
  readonly ran: string[] = [];
  readonly active = new Set<string>();
  readonly enabled = new Set<string>();
  /** Beginnings of commands that fail, and what they print. */
  readonly failing = new Map<string, string>();

  private constructor(root: string) {
    this.root = root;
  }

  static async withSystemd(files: Readonly<Record<string, string>> = {}): Promise<PretendedMachine> {
    const machine = new PretendedMachine(await mkdtemp(join(tmpdir(), 'k3s-daas-install-')));
    await mkdir(join(machine.root, 'run/systemd/system'), { recursive: true });
    await machine.put({ '/usr/local/bin/k3s': 'a program', ...files });
    return machine;
  }

  static async withOpenrc(files: Readonly<Record<string, string>> = {}): Promise<PretendedMachine> {
    const machine = new PretendedMachine(await mkdtemp(join(tmpdir(), 'k3s-daas-install-')));
    await mkdir(join(machine.root, 'run/openrc'), { recursive: true });
    await machine.put({ '/sbin/openrc-run': 'a program', '/usr/local/bin/k3s': 'a program', ...files });
    return machine;
  }

  async put(files: Readonly<Record<string, string>>, mode = 0o644): Promise<void> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(this.root, path)), { recursive: true });
      await writeFile(join(this.root, path), text, { mode });
    }
  }

  async text(path: string): Promise<string | undefined> {
    return readFile(join(this.root, path), 'utf8').catch(() => undefined);
  }

  async mode(path: string): Promise<number> {
    return (await stat(join(this.root, path))).mode & 0o7777;
  }

  async run(argv: readonly [string, ...string[]]): Promise<Finished> {
    const command = argv.join(' ');
    const [program, verb, unit = ''] = argv;
    if (verb === '--version') return { exitCode: 0, output: 'systemd 252 (252.39)' };
    if (verb === 'is-active') return { exitCode: this.active.has(argv[3] ?? '') ? 0 : 3, output: '' };
    if (verb === 'show')
      return {
        exitCode: 0,
        output: `ActiveState=${this.active.has(unit) ? 'active' : 'inactive'}\nUnitFileState=${this.enabled.has(unit) ? 'enabled' : 'disabled'}`,
      };
    if (program === 'rc-service' && unit === 'status')
      return { exitCode: this.active.has(verb ?? '') ? 0 : 3, output: '' };
    this.ran.push(command);
    for (const [beginning, output] of this.failing)
      if (command.startsWith(beginning)) return { exitCode: 1, output };
    if (program === 'systemctl' && verb === 'restart') this.active.add(unit);
    if (program === 'systemctl' && verb === 'stop') this.active.delete(unit);
    if (program === 'systemctl' && verb === 'enable') this.enabled.add(unit);
    if (program === 'systemctl' && verb === 'disable') this.enabled.delete(unit);
    return { exitCode: 0, output: '' };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

/** What k3s' installer writes for `K3S_URL=… K3S_TOKEN=… sh -s - agent --node-label disk=ssd --debug` (install.sh). */
export const plainAgent = {
  '/etc/systemd/system/k3s-agent.service': plainUnit(['--node-label', 'disk=ssd', '--debug']),
  '/etc/systemd/system/k3s-agent.service.env': plainVariables({
    K3S_TOKEN: 'K10aa::node:secret-word',
    K3S_URL: 'https://k3s.example.com:6443',
    K3S_SELINUX: 'false',
  }),
  '/etc/rancher/k3s/config.yaml': `# of the operator\nserver: https://k3s.example.com:6443\nnode-label:\n  - rack=3 # left\ntoken: "secret-word"\nsnapshotter: native\n`,
};
