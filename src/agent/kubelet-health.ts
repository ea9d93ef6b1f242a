import { readdir } from 'node:fs/promises';
import { isIP, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { ConfigurationError, hostPort, messageOf } from '#base';
import { readTrustedText } from '#infrastructure';
import { parseGoInteger } from './k3s-yaml.ts';

export interface KubeletSettings {
  /** Every `--kubelet-arg`, in the order in which k3s has them. */
  readonly kubeletArguments: readonly string[];
  readonly dataDir: string;
  /** `--node-ip`: with an IPv6 address first, k3s binds the health check to ::1. */
  readonly nodeIp: string | undefined;
}

/** `http://<address>:<port>/healthz`, from flags, else from the files that k3s hands to the kubelet, else k3s' default. */
export async function kubeletHealthzUrl(settings: KubeletSettings): Promise<string> {
  const flags = kubeletFlags(settings.kubeletArguments);
  const files = await readKubeletFiles(settings, flags);
  const port = portOf(flags.get('healthz-port') ?? files.healthzPort ?? '10248');
  const bound = flags.get('healthz-bind-address') ?? files.healthzBindAddress ?? defaultAddress(settings);
  if (bound !== '' && isIP(bound) === 0)
    throw new ConfigurationError(
      'DAAS_AGENT_HEALTHZ_OFF',
      `the kubelet's health check is bound to '${bound}' (healthz-bind-address), which is no IP address: give one, or leave it out`,
    );
  const address = bound === '' || bound === '0.0.0.0' ? '127.0.0.1' : bound === '::' ? '::1' : bound;
  return `http://${hostPort(address, port)}/healthz`;
}

function portOf(text: string): number {
  const port = Number(parseGoInteger(text) ?? 0n);
  if (port > 0 && port <= 65_535) return port;
  throw new ConfigurationError(
    'DAAS_AGENT_HEALTHZ_OFF',
    `the kubelet's health port is '${text}' (healthz-port of --kubelet-arg or of the kubelet's configuration), so that its health cannot be asked for: give a port between 1 and 65535, or leave it out (10248)`,
  );
}

/** What k3s writes into the first of the kubelet's files: the loopback of the Node's first address. */
function defaultAddress({ nodeIp }: KubeletSettings): string {
  const first = nodeIp?.split(',')[0]?.trim();
  if (first) return isIPv6(first) ? '::1' : '127.0.0.1';
  const outside = Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter(({ internal }) => !internal),
  );
  const isIPv6Alone =
    outside.some(({ family, address }) => family === 'IPv6' && !address.startsWith('fe80')) &&
    !outside.some(({ family }) => family === 'IPv4');
  return isIPv6Alone ? '::1' : '127.0.0.1';
}

/**
 * The kubelet's flags as k3s makes them of its list: dashes before the name and `+` or `-` behind it (append, prepend) go,
 * the kubelet takes the last of several, and `_` for `-`.
 */
function kubeletFlags(texts: readonly string[]): Map<string, string> {
  const values = new Map<string, string[]>();
  for (let index = 0; index < texts.length; index++) {
    const text = (texts[index] as string).replace(/^--/, '');
    const at = text.indexOf('=');
    // k3s searches for --config like this, and drops the argument after one that has no value.
    const isSplit = at < 0 && index + 1 < texts.length;
    const name = at < 0 ? text : text.slice(0, at);
    const plain = name.replace(/[-+]+$/, '').replaceAll('_', '-');
    const isFile = name === 'config' || name === 'config-dir';
    const value = at >= 0 ? text.slice(at + 1) : isFile && isSplit ? (texts[index + 1] as string) : 'true';
    const before = values.get(plain) ?? [];
    values.set(plain, name.endsWith('-') ? [value, ...before] : [...before, value]);
    if (isSplit) index++;
  }
  return new Map([...values].map(([name, all]) => [name, all.at(-1) as string]));
}

interface HealthzSettings {
  readonly healthzPort?: string | undefined;
  readonly healthzBindAddress?: string | undefined;
}

/** The kubelet merges `<data-dir>/agent/etc/kubelet.conf.d/**.conf` by path; k3s copies --config and --config-dir into it. */
async function readKubeletFiles(
  { dataDir }: KubeletSettings,
  flags: ReadonlyMap<string, string>,
): Promise<HealthzSettings> {
  const managed = join(dataDir, 'agent', 'etc', 'kubelet.conf.d');
  const sources = new Map<string, string>();
  const add = async (directory: string, below: string) => {
    for (const path of await filesBelow(directory)) sources.set(join(below, path), join(directory, path));
  };
  await add(managed, '.');
  const config = flags.get('config');
  if (config !== undefined && !config.startsWith(managed))
    sources.set('10-cli-config.conf', await expectFile(config, 'config'));
  const directory = flags.get('config-dir');
  if (directory !== undefined && !directory.startsWith(managed))
    await add(await expectDirectory(directory), '20-cli-config-dir');
  // k3s writes this one anew at each start.
  sources.delete('00-k3s-defaults.conf');
  let merged: HealthzSettings = {};
  for (const [path, source] of [...sources].sort(([one], [other]) => byPath(one, other)))
    if (path.endsWith('.conf')) merged = { ...merged, ...(await readHealthz(source)) };
  return merged;
}

/** The order of a directory walk: paths are compared part by part. */
function byPath(one: string, other: string): number {
  const [ours, theirs] = [one.split('/'), other.split('/')];
  const at = ours.findIndex((part, index) => part !== theirs[index]);
  return at < 0 ? 0 : Buffer.compare(Buffer.from(ours[at] ?? ''), Buffer.from(theirs[at] ?? ''));
}

async function filesBelow(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true, recursive: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map(({ parentPath, name }) => join(parentPath, name).slice(directory.length + 1));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

async function expectFile(path: string, flag: string): Promise<string> {
  await readText(path, flag);
  return path;
}

async function expectDirectory(path: string): Promise<string> {
  await readdir(path).catch((cause) => {
    throw unreadable(path, 'config-dir', cause);
  });
  return resolve(path);
}

async function readText(path: string, flag: string): Promise<string> {
  try {
    return await readTrustedText(path, { what: 'the configuration of the kubelet' });
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw unreadable(path, flag, cause);
  }
}

/** A value of null removes the value of an earlier file. */
async function readHealthz(path: string): Promise<HealthzSettings> {
  const text = await readText(path, 'config');
  let document: Record<string, unknown> | null;
  try {
    document = parse(text, { version: '1.1', prettyErrors: false }) as Record<string, unknown> | null;
  } catch (cause) {
    throw unreadable(path, 'config', cause);
  }
  const said = (key: keyof typeof defaults): HealthzSettings => {
    const value = document?.[key];
    if (value === null) return { [key]: defaults[key] };
    return typeof value === 'string' || typeof value === 'number' ? { [key]: String(value) } : {};
  };
  return { ...said('healthzPort'), ...said('healthzBindAddress') };
}

/** The kubelet's own default, after a null has removed the default of k3s. */
const defaults = { healthzPort: '10248', healthzBindAddress: '127.0.0.1' } as const;

function unreadable(path: string, flag: string, cause: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_K3S_CONFIG_UNREADABLE',
    `the kubelet's configuration ${path} (${flag} of --kubelet-arg, or a drop-in of k3s) cannot be read: ${messageOf(cause)}`,
    { cause },
  );
}
