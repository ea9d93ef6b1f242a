import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { parseEnvironmentFile, serviceVariables } from './environment-file.ts';
import { HELP_PATHS } from './help-files.ts';
import { carryFlags } from './k3s-setup.ts';
import {
  type FileFact,
  instead,
  isThere,
  linkTarget,
  type Machine,
  namesIn,
  readFileFact,
  readTrustedFile,
} from './machine.ts';
import { type InstallRecord, type Role, readRecord } from './record.ts';
import { commandOf } from './unit-words.ts';
import { environmentFileOf, GATEWAY_UNIT, OPENRC_DIR, SYSTEMD_DIR, WORKER_UNIT } from './units.ts';

export type ServiceManager =
  /** `isRunning`: not in the root of an image that is being built. */
  | { readonly kind: 'systemd'; readonly version: number; readonly isRunning: boolean }
  | { readonly kind: 'openrc'; readonly isRunning: boolean };

/** What a plan is made from; reading it changes nothing. */
export interface MachineFacts {
  readonly uid: number;
  readonly manager: ServiceManager | undefined;
  /** As k3s names its downloads; undefined where neither k3s nor this program has one. */
  readonly architecture: 'amd64' | 'arm64' | undefined;
  /** Every file that a plan may replace and that is there, by path. */
  readonly files: ReadonlyMap<string, FileFact>;
  /** Of the paths that a plan may replace, those with something else than a file, and what it is. */
  readonly notFiles: ReadonlyMap<string, string>;
  /** k3s' config file and its drop-ins, as the installed unit reads them. */
  readonly k3sConfigFiles: readonly string[];
  /** Path of the k3s binary. */
  readonly k3s: string | undefined;
  /** Of kubectl, crictl and ctr: those that are there. */
  readonly tools: ReadonlySet<string>;
  readonly links: ReadonlyMap<string, string>;
  /** What shows that this machine is a k3s server. */
  readonly serverSigns: readonly string[];
  /** Running units of other Kubernetes distributions. */
  readonly otherAgents: readonly string[];
  readonly isActive: boolean;
  readonly isEnabled: boolean;
  /** k3s' own. */
  readonly dataDir: string;
  /** The Node that this machine has been, from its kubelet's certificate. */
  readonly nodeName: string | undefined;
  readonly record: InstallRecord | undefined;
  /** The text of what the record has kept, by the path of the copy. */
  readonly copies: ReadonlyMap<string, string>;
}

export const unitOf = (role: Role): string => (role === 'worker' ? WORKER_UNIT : GATEWAY_UNIT);

export function unitPath(role: Role, manager: ServiceManager['kind']): string {
  return manager === 'systemd' ? `${SYSTEMD_DIR}/${unitOf(role)}.service` : `${OPENRC_DIR}/${unitOf(role)}`;
}

export const dropInPath = (role: Role): string =>
  `${SYSTEMD_DIR}/${unitOf(role)}.service.d/10-k3s-daas-keys.conf`;

/** The variables that the unit will run with. */
export function installedVariables(
  { files, manager }: Pick<MachineFacts, 'files' | 'manager'>,
  role: Role,
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const path = environmentFileOf(unitOf(role), manager?.kind ?? 'systemd');
  return serviceVariables(parseEnvironmentFile(files.get(path)?.text ?? ''), environment).variables;
}

/** What k3s' installer links to its binary. */
export const k3sTools = ['kubectl', 'crictl', 'ctr'] as const;

export interface Places {
  readonly binDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export async function lookAtMachine(machine: Machine, role: Role, places: Places): Promise<MachineFacts> {
  const manager = await managerOf(machine);
  const kind = manager?.kind ?? 'systemd';
  const files = new Map<string, FileFact>();
  const notFiles = new Map<string, string>();
  const note = async (path: string, mayBeReplaced = true) => {
    const file = await readFileFact(machine, path);
    const other = file ? undefined : await instead(machine, path);
    if (file) files.set(path, file);
    if (other !== undefined && mayBeReplaced) notFiles.set(path, other);
    return file;
  };
  const unit = await note(unitPath(role, kind));
  const variables = await note(environmentFileOf(unitOf(role), kind));
  await note(dropInPath(role));
  for (const path of HELP_PATHS) await note(path, false);
  const k3sConfigFiles = await configFilesOf(
    machine,
    unit?.text ?? '',
    variables?.text ?? '',
    places.environment,
  );
  // Beside a gateway it is the server's, which stays as it is.
  for (const path of k3sConfigFiles) await note(path, role === 'worker');
  const dataDir = dataDirOf(unit?.text ?? '', variables?.text ?? '', [...files.values()]);
  const record = await readRecord(machine, role);
  const copies = await copiesOf(machine, record);
  const tools = await toolsOf(machine, places.binDir);
  return {
    uid: machine.uid,
    manager,
    architecture: ({ x64: 'amd64', arm64: 'arm64' } as const)[process.arch as 'x64' | 'arm64'],
    files,
    notFiles,
    k3sConfigFiles: k3sConfigFiles.filter((path) => files.has(path)),
    k3s: await k3sBinary(machine, places.binDir),
    ...tools,
    serverSigns: await serverSigns(machine),
    otherAgents: await otherAgents(machine, manager),
    ...(await stateOf(machine, manager, unitOf(role))),
    dataDir,
    nodeName: await nodeNameOf(machine, dataDir),
    record,
    copies,
  };
}

async function managerOf(machine: Machine): Promise<ServiceManager | undefined> {
  const isRunning = await isThere(machine, '/run/systemd/system');
  if (isRunning || (await isThere(machine, '/lib/systemd/systemd'))) {
    const { output } = await machine.run(['systemctl', '--version'], { deadlineMs: 10_000 });
    return { kind: 'systemd', version: Number(/^systemd (\d+)/.exec(output)?.[1] ?? 0), isRunning };
  }
  if (!(await isThere(machine, '/sbin/openrc-run'))) return undefined;
  return { kind: 'openrc', isRunning: await isThere(machine, '/run/openrc') };
}

async function configFilesOf(
  machine: Machine,
  unit: string,
  variables: string,
  environment: Places['environment'],
): Promise<readonly string[]> {
  const named = carryFlags((commandOf(unit) ?? []).slice(2)).configFile;
  const path =
    environment.K3S_CONFIG_FILE ||
    parseEnvironmentFile(variables).K3S_CONFIG_FILE ||
    named ||
    '/etc/rancher/k3s/config.yaml';
  const dropIns = (await namesIn(machine, `${path}.d`)).filter((name) => /\.ya?ml$/i.test(name));
  return [path, ...dropIns.map((name) => join(`${path}.d`, name))];
}

async function copiesOf(machine: Machine, record: InstallRecord | undefined): Promise<Map<string, string>> {
  const copies = new Map<string, string>();
  for (const { copy } of record?.replaced ?? []) {
    if (copy === null) continue;
    const text = await readTrustedFile(machine, copy, 'what the installation has kept');
    if (text !== undefined) copies.set(copy, text);
  }
  return copies;
}

async function k3sBinary(machine: Machine, binDir: string): Promise<string | undefined> {
  for (const directory of new Set([binDir, '/usr/local/bin', '/opt/bin', '/usr/bin'])) {
    const path = join(directory, 'k3s');
    if (await isThere(machine, path)) return path;
  }
  return undefined;
}

async function toolsOf(machine: Machine, binDir: string): Promise<Pick<MachineFacts, 'tools' | 'links'>> {
  const tools = new Set<string>();
  const links = new Map<string, string>();
  for (const tool of k3sTools) {
    const path = join(binDir, tool);
    const target = await linkTarget(machine, path);
    if (target !== undefined) links.set(path, target);
    for (const directory of [binDir, '/usr/bin', '/usr/local/bin'])
      if (await isThere(machine, join(directory, tool))) tools.add(tool);
  }
  return { tools, links };
}

/** An agent has none of these. */
async function serverSigns(machine: Machine): Promise<readonly string[]> {
  const signs: string[] = [];
  for (const path of [`${SYSTEMD_DIR}/k3s.service`, `${OPENRC_DIR}/k3s`]) {
    const text = (await readFileFact(machine, path))?.text ?? '';
    if (/\bserver\b/.test(text)) signs.push(path);
  }
  for (const name of ['tls/server-ca.key', 'token', 'db']) {
    const path = `/var/lib/rancher/k3s/server/${name}`;
    if (await isThere(machine, path)) signs.push(path);
  }
  return signs;
}

async function otherAgents(
  machine: Machine,
  manager: ServiceManager | undefined,
): Promise<readonly string[]> {
  if (manager?.kind !== 'systemd' || !manager.isRunning) return [];
  const found: string[] = [];
  for (const unit of ['rke2-agent.service', 'rke2-server.service', 'kubelet.service', 'k0sworker.service']) {
    const { exitCode } = await machine.run(['systemctl', 'is-active', '--quiet', unit], {
      deadlineMs: 10_000,
    });
    if (exitCode === 0) found.push(unit);
  }
  return found;
}

async function stateOf(
  machine: Machine,
  manager: ServiceManager | undefined,
  unit: string,
): Promise<{ readonly isActive: boolean; readonly isEnabled: boolean }> {
  const succeeds = async (...argv: [string, ...string[]]) =>
    (await machine.run(argv, { deadlineMs: 10_000 })).exitCode === 0;
  if (manager?.kind === 'openrc')
    return {
      isActive: manager.isRunning && (await succeeds('rc-service', unit, 'status')),
      isEnabled: await isThere(machine, `/etc/runlevels/default/${unit}`),
    };
  if (!manager?.isRunning) return { isActive: false, isEnabled: false };
  const { output } = await machine.run(
    ['systemctl', 'show', unit, '--property=ActiveState', '--property=UnitFileState'],
    { deadlineMs: 10_000 },
  );
  return {
    // A unit that waits for its next try is not off.
    isActive: /^ActiveState=(?:active|activating|reloading)$/m.test(output),
    isEnabled: /^UnitFileState=enabled$/m.test(output),
  };
}

/** As the installed unit says; flags before files before variables. */
function dataDirOf(unit: string, variables: string, files: readonly FileFact[]): string {
  const words = (commandOf(unit) ?? []).join('\n');
  const flag = /^(?:--data-dir|-d)[=\n](.+)$/m.exec(words)?.[1];
  const key = files
    .map(({ path, text }) =>
      path.match(/\.ya?ml$/i) ? /^data-dir:\s*["']?([^"'\s]+)/m.exec(text)?.[1] : undefined,
    )
    .findLast((found) => found !== undefined);
  return flag ?? key ?? (parseEnvironmentFile(variables).K3S_DATA_DIR || '/var/lib/rancher/k3s');
}

async function nodeNameOf(machine: Machine, dataDir: string): Promise<string | undefined> {
  const file = await readFileFact(machine, `${dataDir}/agent/client-kubelet.crt`);
  if (!file) return undefined;
  try {
    return /^CN=system:node:(.+)$/m.exec(new X509Certificate(file.text).subject)?.[1];
  } catch {
    return undefined;
  }
}
