import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';

/** What `k3s agent` was told, after its order of precedence: flags, then config files, then environment, then defaults. */
export interface AgentFlags {
  readonly server: string;
  readonly token: string;
  readonly tokenFile: string;
  readonly dataDir: string;
  readonly nodeName: string;
  readonly withNodeId: boolean;
  readonly nodeLabels: readonly string[];
  readonly nodeTaints: readonly string[];
  readonly nodeIp: string;
  readonly kubeletArguments: readonly string[];
  readonly lbServerPort: number;
  readonly rootless: boolean;
  readonly debug: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;
type Kind = 'switch' | 'number' | 'list' | 'text';
const kinds = new Map<string, Kind>();
for (const [kind, names] of [
  [
    'switch',
    'debug alsologtostderr with-node-id selinux protect-kernel-defaults disable-default-registry-endpoint nonroot-devices enable-pprof rootless prefer-bundled-bin docker disable-apiserver-lb help',
  ],
  ['number', 'v lb-server-port'],
  [
    'list',
    'node-label node-taint kubelet-arg kube-proxy-arg node-ip node-external-ip node-internal-dns node-external-dns airgap-extra-registry',
  ],
  [
    'text',
    'config vmodule log token token-file server data-dir node-name image-credential-provider-bin-dir image-credential-provider-config container-runtime-endpoint image-service-endpoint default-runtime pause-image snapshotter private-registry bind-address resolv-conf flannel-iface flannel-conf flannel-cni-conf vpn-auth vpn-auth-file',
  ],
] as const)
  for (const name of names.split(' ')) kinds.set(name, kind);
const longNames: Readonly<Record<string, string>> = {
  c: 'config',
  l: 'log',
  t: 'token',
  s: 'server',
  d: 'data-dir',
  i: 'node-ip',
  h: 'help',
};
const variables: Readonly<Record<string, string>> = {
  debug: 'K3S_DEBUG',
  token: 'K3S_TOKEN',
  'token-file': 'K3S_TOKEN_FILE',
  server: 'K3S_URL',
  'data-dir': 'K3S_DATA_DIR',
  'node-name': 'K3S_NODE_NAME',
  selinux: 'K3S_SELINUX',
  'lb-server-port': 'K3S_LB_SERVER_PORT',
  'resolv-conf': 'K3S_RESOLV_CONF',
  'vpn-auth': 'K3S_VPN_AUTH',
  'vpn-auth-file': 'K3S_VPN_AUTH_FILE',
};

export class FlagError extends Error {}
/** Not an error: the page of flags was asked for. */
export class HelpAsked extends Error {}

export type Values = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** k3s' two stages: its launcher judges argv, and then the agent judges the files' flags before argv's. */
export async function readValues(
  argv: readonly string[],
  env: Environment,
): Promise<{ readonly values: Values; readonly ignoredWords: readonly string[] }> {
  if (!argv.some((word) => ['--help', '-h', '--version', '-v'].includes(word))) await judgeFiles(env);
  parse(argv, env);
  return parse([...(await fileWords(configPath(argv, env))), ...argv], env);
}

/** The launcher looks for data-dir and debug in the file that the variable names, and ends when it cannot be read. */
export async function judgeFiles(env: Environment): Promise<void> {
  await wordsOf(configPath([], env));
}

export async function readFlags(
  argv: readonly string[],
  env: Environment,
  hostname: string,
): Promise<AgentFlags> {
  const { values } = await readValues(argv, env);
  const text = (name: string, fallback: string) => (values[name] as string | undefined) ?? fallback;
  const list = (name: string) => (values[name] as readonly string[] | undefined) ?? [];
  const split = (name: string) => list(name).flatMap((value) => value.split(','));
  const rootless = values.rootless === true;
  return {
    server: text('server', ''),
    token: text('token', ''),
    tokenFile: text('token-file', ''),
    dataDir: dataDirectory(text('data-dir', '/var/lib/rancher/k3s'), rootless, env),
    nodeName: (text('node-name', '') || hostname).toLowerCase(),
    withNodeId: values['with-node-id'] === true,
    nodeLabels: split('node-label'),
    nodeTaints: list('node-taint'),
    nodeIp: list('node-ip')[0] ?? '127.0.0.1',
    kubeletArguments: list('kubelet-arg'),
    lbServerPort: (values['lb-server-port'] as number | undefined) ?? 6444,
    rootless,
    debug: values.debug === true,
  };
}

export function dataDirectory(given: string, rootless: boolean, env: Environment): string {
  const isPlain = rootless || process.getuid?.() !== 0;
  const path = given || (isPlain ? '$HOME/.rancher/k3s' : '/var/lib/rancher/k3s');
  return path.replace(/\$HOME|\$\{HOME\}|~/g, () => env.HOME ?? '');
}

/** Go's flag package as urfave/cli uses it. The first word that is no flag ends the flags, in silence. */
function parse(
  argv: readonly string[],
  env: Environment,
): { readonly values: Values; readonly ignoredWords: readonly string[] } {
  const values: Record<string, string | number | boolean | string[]> = fromVariables(env);
  const forms = new Map<string, string>();
  let twoForms: string | undefined;
  let index = 0;
  for (; index < argv.length; index++) {
    const word = argv[index] as string;
    if (!word.startsWith('-') || word === '-') break;
    if (word === '--') {
      index++;
      break;
    }
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(word);
    if (!match) throw new FlagError(`bad flag syntax: ${word}`);
    const given = match[1] as string;
    const name = longNames[given] ?? given;
    const kind = kinds.get(name);
    if (!kind) throw new FlagError(`flag provided but not defined: -${given}`);
    const value = match[2] ?? (kind === 'switch' ? 'true' : argv[++index]);
    if (value === undefined) throw new FlagError(`flag needs an argument: -${given}`);
    if (kind === 'list') values[name] = [...((values[name] as string[] | undefined) ?? []), value];
    else values[name] = convert(kind, given, value);
    if ((forms.get(name) ?? given) !== given) twoForms ??= `${alias(name)} ${name}`;
    forms.set(name, given);
  }
  if (twoForms !== undefined) throw new FlagError(`Cannot use two forms of the same flag: ${twoForms}`);
  const ignoredWords = argv.slice(index);
  if (values.help === true) {
    if (ignoredWords[0] !== undefined) throw new Error(`No help topic for '${ignoredWords[0]}'`);
    throw new HelpAsked();
  }
  for (const name of Object.keys(values)) if (values[name] === false) delete values[name];
  return { values, ignoredWords };
}

function alias(name: string): string | undefined {
  return Object.keys(longNames).find((short) => longNames[short] === name);
}

function fromVariables(env: Environment): Record<string, string | number | boolean> {
  const values: Record<string, string | number | boolean> = {};
  for (const [name, variable] of Object.entries(variables)) {
    const value = env[variable];
    const kind = kinds.get(name) as Kind;
    if (value === undefined || (value === '' && kind !== 'text')) continue;
    try {
      values[name] = convert(kind, name, value);
    } catch {
      const [type, parser] = kind === 'switch' ? ['bool', 'ParseBool'] : ['int', 'ParseInt'];
      throw new FlagError(
        `could not parse "${value}" as ${type} value from environment variable "${variable}" for flag ${name}: strconv.${parser}: parsing "${value}": invalid syntax`,
      );
    }
  }
  return values;
}

function convert(kind: Kind, given: string, value: string): string | number | boolean {
  if (kind === 'switch') {
    if (/^(?:1|t|T|TRUE|true|True)$/.test(value)) return true;
    if (/^(?:0|f|F|FALSE|false|False)$/.test(value)) return false;
    throw new FlagError(`invalid boolean value "${value}" for -${given}: parse error`);
  }
  if (kind !== 'number') return value;
  const digits = value.replaceAll('_', '');
  const number = /^[-+]?0\d+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits || Number.NaN);
  if (!Number.isInteger(number))
    throw new FlagError(`invalid value "${value}" for flag -${given}: parse error`);
  return number;
}

/** k3s looks for the words before it parses them, and the variable wins. */
function configPath(argv: readonly string[], env: Environment): string {
  if (env.K3S_CONFIG_FILE) return env.K3S_CONFIG_FILE;
  for (const [index, word] of argv.entries()) {
    if (word === '--config' || word === '-c') return argv[index + 1] ?? '';
    const value = /^(?:--config|-c)=(.*)$/s.exec(word)?.[1];
    if (value !== undefined) return value;
  }
  return '/etc/rancher/k3s/config.yaml';
}

/** A file that is away, also a drop-in that is a link to nowhere, makes k3s go on without any. */
async function fileWords(path: string): Promise<string[]> {
  try {
    return await wordsOf(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** config.yaml, then config.yaml.d/*.yaml by name: the last value wins, `key+` appends to a list. */
async function wordsOf(path: string): Promise<string[]> {
  if (path === '') return [];
  const values = new Map<string, { values: readonly string[]; isNull: boolean }>();
  for (const file of [...(isThere(path) ? [path] : []), ...dropIns(`${path}.d`)]) {
    const { parseK3sYaml } = await import('#agent');
    for (const entry of parseK3sYaml(readFileSync(file, 'utf8'))) {
      const key = entry.key.replace(/\+$/, '');
      const before = key === entry.key ? undefined : values.get(key);
      const items = [before, before && entry].flatMap((part) => (part && !part.isNull ? part.values : []));
      values.set(key, before ? { values: items, isNull: false } : entry);
    }
  }
  return [...values].flatMap(([key, entry]) =>
    entry.values.map((value) => `${key.length === 1 ? '-' : '--'}${key}=${value}`),
  );
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function dropIns(directory: string): string[] {
  if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) return [];
  return readdirSync(directory, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && /\.ya?ml$/i.test(entry.name))
    .map(({ name }) => name)
    .sort()
    .map((name) => `${directory}/${name}`);
}
