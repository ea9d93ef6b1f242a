import { readdirSync, readFileSync } from 'node:fs';

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

const booleans = new Set(
  'debug alsologtostderr with-node-id selinux protect-kernel-defaults disable-default-registry-endpoint nonroot-devices enable-pprof rootless prefer-bundled-bin docker disable-apiserver-lb disable-selinux no-flannel'.split(
    ' ',
  ),
);
const lists = new Set(
  'node-label node-taint kubelet-arg kube-proxy-arg node-ip node-external-ip node-internal-dns node-external-dns airgap-extra-registry'.split(
    ' ',
  ),
);
const texts = new Set(
  'config v vmodule log token token-file server data-dir node-name image-credential-provider-bin-dir image-credential-provider-config lb-server-port container-runtime-endpoint image-service-endpoint default-runtime pause-image snapshotter private-registry bind-address resolv-conf flannel-iface flannel-conf flannel-cni-conf vpn-auth vpn-auth-file cluster-secret'.split(
    ' ',
  ),
);
const aliases: Record<string, string> = {
  c: 'config',
  l: 'log',
  t: 'token',
  s: 'server',
  d: 'data-dir',
  i: 'node-ip',
};
const environment: Record<string, string> = {
  token: 'K3S_TOKEN',
  'token-file': 'K3S_TOKEN_FILE',
  server: 'K3S_URL',
  'data-dir': 'K3S_DATA_DIR',
  'node-name': 'K3S_NODE_NAME',
  'lb-server-port': 'K3S_LB_SERVER_PORT',
  debug: 'K3S_DEBUG',
};

export async function readFlags(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  hostname: string,
): Promise<AgentFlags> {
  const given = parse(argv);
  const config = one(given, 'config') ?? env.K3S_CONFIG_FILE ?? '/etc/rancher/k3s/config.yaml';
  // k3s splices the files' values in right after `agent`: later ones, the real flags, win; lists add up.
  const all = parse([...(await fileArguments(config)), ...argv]);
  const text = (name: string, fallback: string) => one(all, name) ?? env[environment[name] ?? ''] ?? fallback;
  const flag = (name: string) => text(name, 'false') === 'true';
  const nodeName = text('node-name', hostname).toLowerCase();
  return {
    server: text('server', ''),
    token: text('token', ''),
    tokenFile: text('token-file', ''),
    dataDir: text('data-dir', '/var/lib/rancher/k3s'),
    nodeName,
    withNodeId: flag('with-node-id'),
    nodeLabels: many(all, 'node-label'),
    nodeTaints: many(all, 'node-taint'),
    nodeIp: one(all, 'node-ip') ?? '127.0.0.1',
    kubeletArguments: all.filter(([name]) => name === 'kubelet-arg').map(([, value]) => value),
    lbServerPort: Number(text('lb-server-port', '6444')),
    rootless: flag('rootless'),
    debug: flag('debug'),
  };
}

type Entry = readonly [name: string, value: string];

export class FlagError extends Error {}

/** Go's flag syntax: one or two dashes, `=value` or the next word; a boolean takes `=value` only. */
function parse(argv: readonly string[]): Entry[] {
  const entries: Entry[] = [];
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] as string;
    const match = /^--?([^=]+)(?:=(.*))?$/s.exec(word);
    if (!match) throw new FlagError(`unexpected argument ${word}`);
    const name = aliases[match[1] as string] ?? (match[1] as string);
    if (booleans.has(name)) entries.push([name, match[2] ?? 'true']);
    else if (lists.has(name) || texts.has(name)) {
      const value = match[2] ?? argv[++index];
      if (value === undefined) throw new FlagError(`flag needs an argument: -${match[1]}`);
      entries.push([name, value]);
    } else throw new FlagError(`flag provided but not defined: -${match[1]}`);
  }
  return entries;
}

function one(entries: readonly Entry[], name: string): string | undefined {
  return entries.findLast(([entry]) => entry === name)?.[1];
}

function many(entries: readonly Entry[], name: string): string[] {
  return entries.filter(([entry]) => entry === name).flatMap(([, value]) => value.split(','));
}

/** config.yaml, then config.yaml.d/*.yaml by name: the last value wins, `key+` appends to a list. */
async function fileArguments(path: string): Promise<string[]> {
  const files = [path, ...dropIns(`${path}.d`)];
  const values = new Map<string, string[]>();
  for (const file of files) {
    const content = readIfThere(file);
    if (content === undefined) continue;
    const { parse: parseYaml } = await import('yaml');
    const document = (parseYaml(content) ?? {}) as Record<string, unknown>;
    for (const [rawKey, value] of Object.entries(document)) {
      const key = aliases[rawKey.replace(/\+$/, '')] ?? rawKey.replace(/\+$/, '');
      if (!booleans.has(key) && !lists.has(key) && !texts.has(key)) continue;
      const words = (Array.isArray(value) ? value : [value]).map(String);
      values.set(key, rawKey.endsWith('+') ? [...(values.get(key) ?? []), ...words] : words);
    }
  }
  return [...values].flatMap(([key, words]) => words.map((word) => `--${key}=${word}`));
}

function dropIns(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.ya?ml$/.test(name))
      .sort()
      .map((name) => `${directory}/${name}`);
  } catch {
    return [];
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
