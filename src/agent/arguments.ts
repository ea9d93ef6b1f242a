import { ConfigurationError } from '#base';

/** A key of a k3s config file, in the order in which k3s applies them. `key+` adds to a list instead of replacing it. */
export interface FileSetting {
  readonly file: string;
  readonly key: string;
  readonly values: readonly string[];
}

export interface AgentSources {
  /** The flags that were given to us for k3s. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly files: readonly FileSetting[];
}

/** What the supervisor has to know of the agent's settings. */
export interface AgentFacts {
  readonly dataDir: string;
  readonly isRootless: boolean;
  /** `http://<address>:<port>/healthz` of the kubelet. */
  readonly healthzUrl: string;
  /** Path of the containerd socket that the settings name; undefined: k3s' own. */
  readonly containerdAddress: string | undefined;
  /** k3s writes its log elsewhere: what it says about the join cannot be read. */
  readonly logsToFile: boolean;
}

/** Flags that take no value (docs/cli/agent.md of k3s); `=false` switches one off again. */
const switches = new Set([
  'debug',
  'alsologtostderr',
  'with-node-id',
  'selinux',
  'protect-kernel-defaults',
  'disable-default-registry-endpoint',
  'nonroot-devices',
  'enable-pprof',
  'rootless',
  'prefer-bundled-bin',
  'docker',
  'disable-apiserver-lb',
  'disable-selinux',
  'no-flannel',
  'help',
  'h',
]);
const aliases: Readonly<Record<string, string>> = {
  c: 'config',
  l: 'log',
  t: 'token',
  s: 'server',
  d: 'data-dir',
  i: 'node-ip',
};
const environmentOf: Readonly<Record<string, string>> = {
  'data-dir': 'K3S_DATA_DIR',
  server: 'K3S_URL',
  token: 'K3S_TOKEN',
  'token-file': 'K3S_TOKEN_FILE',
  'node-name': 'K3S_NODE_NAME',
  'cluster-secret': 'K3S_CLUSTER_SECRET',
};
/** What is decided by the stake and the gateway, and why nobody else may. */
const ours: Readonly<Record<string, string>> = {
  server: 'the gateway names the server when the node registers',
  token: 'the join credential comes from the gateway',
  'token-file': 'the join credential comes from the gateway',
  'cluster-secret': 'the join credential comes from the gateway',
  'node-name': 'the node is named by its node id, which the stake is bound to',
  'with-node-id': 'the node is named by its node id, which the stake is bound to',
};

interface Flag {
  readonly name: string;
  readonly value: string;
}

/**
 * Splits argv as Go's flag package does: one dash or two, `=value` or the next word. A flag that is not known here (k3s
 * is newer than we are) takes the next word unless that looks like a flag.
 */
function parseFlags(argv: readonly string[], origin: string): Flag[] {
  const flags: Flag[] = [];
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] as string;
    const match = /^--?([A-Za-z][^=]*)(?:=(.*))?$/s.exec(word);
    if (!match)
      throw new ConfigurationError(
        'DAAS_AGENT_ARGUMENT_INVALID',
        `${shown(word)} in ${origin} is not a flag of k3s agent: give flags only, without 'k3s agent' before them, each value after '=' or as the next word`,
        { details: { origin } },
      );
    const given = match[1] as string;
    const name = aliases[given] ?? given;
    const next = argv[index + 1];
    if (match[2] !== undefined) flags.push({ name, value: match[2] });
    else if (switches.has(name)) flags.push({ name, value: 'true' });
    else if (next === undefined || (next.startsWith('-') && !isKnownToTakeValue(name)))
      flags.push({ name, value: '' });
    else {
      flags.push({ name, value: next });
      index++;
    }
  }
  return flags;
}

/** A stray word may be a token: only what cannot be one is repeated. */
function shown(word: string): string {
  return /^[\w-]{1,15}$/.test(word) ? `'${word}'` : `a word of ${word.length} characters`;
}

/** These swallow the next word whatever it is, so that `--token --node-label` hides nothing from the checks below. */
function isKnownToTakeValue(name: string): boolean {
  return name in ours || name === 'config' || name === 'data-dir' || name === 'kubelet-arg';
}

/** Where k3s will read its config file from; files below `<path>.d` belong to it. */
export function configFilePath({ argv, env }: Pick<AgentSources, 'argv' | 'env'>): string {
  const flag = parseFlags(argv, 'agent.args').findLast(({ name }) => name === 'config')?.value;
  const path = flag ?? env.K3S_CONFIG_FILE ?? '/etc/rancher/k3s/config.yaml';
  if (/^https?:/.test(path))
    throw new ConfigurationError(
      'DAAS_K3S_CONFIG_REMOTE',
      // The rest of it may hold a password or a key.
      `the k3s config file is a URL on ${URL.parse(path)?.host ?? 'some host'} (${flag === undefined ? 'K3S_CONFIG_FILE' : '--config in agent.args'}): what it sets cannot be checked beforehand; put it in a local file`,
    );
  return path;
}

/**
 * Refuses what is ours (`DAAS_AGENT_SETTING_CONFLICT`) wherever it was set, and reads what the supervisor must know, in
 * k3s' own order: flags, config files, environment, default. A node name that equals the node id is no conflict.
 */
export function readAgentFacts(sources: AgentSources, nodeId: string): AgentFacts {
  const flags = parseFlags(sources.argv, 'agent.args');
  refuseOurs(sources, flags, nodeId);
  const effective = [...fileFlags(sources.files), ...flags];
  const one = (name: string) =>
    effective.findLast((flag) => flag.name === name)?.value ?? sources.env[environmentOf[name] ?? ''];
  const kubelet = effective.filter(({ name }) => name === 'kubelet-arg').map(({ value }) => value);
  const endpoint = one('container-runtime-endpoint');
  return {
    dataDir: one('data-dir') || '/var/lib/rancher/k3s',
    isRootless: isOn(one('rootless')),
    healthzUrl: healthzUrl(kubelet),
    containerdAddress: endpoint?.replace(/^unix:\/\//, '') || undefined,
    logsToFile: one('log') !== undefined,
  };
}

function refuseOurs({ env, files }: AgentSources, flags: readonly Flag[], nodeId: string): void {
  for (const { name, value } of flags)
    refuse(name, value, nodeId, `--${name} (agent.args or the command line)`, `leave --${name} out`);
  for (const { file, key, values } of files) {
    const name = aliases[key.replace(/\+$/, '')] ?? key.replace(/\+$/, '');
    refuse(name, values.at(-1) ?? '', nodeId, `'${key}' in ${file}`, `remove the key from ${file}`);
  }
  for (const [name, variable] of Object.entries(environmentOf)) {
    const value = env[variable];
    if (value !== undefined && value !== '')
      refuse(
        name,
        value,
        nodeId,
        `environment variable ${variable}`,
        `unset ${variable} (look in k3s-agent.service.env, /etc/default and /etc/sysconfig)`,
      );
  }
}

function refuse(name: string, value: string, nodeId: string, origin: string, fix: string): void {
  const reason = ours[name];
  if (reason === undefined) return;
  if (name === 'with-node-id' && !isOn(value)) return;
  if (name === 'node-name' && value.toLowerCase() === nodeId) return;
  // The value itself may be a token: it is never told.
  throw new ConfigurationError(
    'DAAS_AGENT_SETTING_CONFLICT',
    `${origin} sets ${name}, which is ours: ${reason}; ${fix}`,
    { details: { setting: name, origin } },
  );
}

function fileFlags(files: readonly FileSetting[]): Flag[] {
  const lists = new Map<string, readonly string[]>();
  for (const { key, values } of files) {
    const plain = key.replace(/\+$/, '');
    const name = aliases[plain] ?? plain;
    lists.set(name, key.endsWith('+') ? [...(lists.get(name) ?? []), ...values] : values);
  }
  return [...lists].flatMap(([name, values]) => values.map((value) => ({ name, value })));
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && /^(?:1|t|true)$/i.test(value);
}

function healthzUrl(kubelet: readonly string[]): string {
  const last = (key: string) => kubelet.findLast((text) => text.startsWith(`${key}=`))?.slice(key.length + 1);
  const port = last('healthz-port') ?? '10248';
  if (!/^[1-9]\d{0,4}$/.test(port) || Number(port) > 65_535)
    throw new ConfigurationError(
      'DAAS_AGENT_HEALTHZ_OFF',
      `--kubelet-arg=healthz-port=${port} leaves no port to ask the kubelet for its health: give one between 1 and 65535, or leave it out (10248)`,
    );
  const address = last('healthz-bind-address') ?? '127.0.0.1';
  const host = address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}/healthz`;
}

export interface Composition {
  /** The user's flags, checked by `readAgentFacts`. */
  readonly argv: readonly string[];
  readonly dataDir: string;
  readonly server: string;
  readonly tokenFile: string;
  readonly nodeId: string;
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly taints: readonly string[];
  /** What plugins add. */
  readonly pluginArguments: readonly string[];
}

/** argv of the k3s binary. Ours come last: of two values k3s takes the last, lists add up. Never a secret. */
export function composeArguments(composition: Composition): string[] {
  const { argv, dataDir, server, tokenFile, nodeId, nodeLabels, taints, pluginArguments } = composition;
  for (const { name, value } of parseFlags(pluginArguments, 'the arguments that a plugin adds'))
    refuse(
      name,
      value,
      nodeId,
      `--${name} among the arguments that a plugin adds`,
      'remove the plugin from the configuration or mend it',
    );
  return [
    'agent',
    ...argv,
    ...pluginArguments,
    // Said outright: the launcher of k3s sets K3S_DATA_DIR to something else on its way to the agent.
    `--data-dir=${dataDir}`,
    `--server=${server}`,
    `--token-file=${tokenFile}`,
    `--node-name=${nodeId}`,
    ...Object.entries(nodeLabels).map(([key, value]) => `--node-label=${key}=${value}`),
    ...taints.map((taint) => `--node-taint=${taint}`),
  ];
}

/**
 * A copy of the environment for k3s, which passes its own on to containerd and every shim: without our settings and keys,
 * without a join token. NOTIFY_SOCKET stays: k3s says READY=1 itself (the unit needs NotifyAccess=all).
 */
export function childEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !notForTheChild.test(entry[0]),
  );
  return Object.fromEntries(kept);
}

/** K3S_NODE_NAME goes too: it may only say what `--node-name` says anyway. */
const notForTheChild =
  /^(?:K3S_DAAS_|SUI_|K3S_(?:AGENT_)?TOKEN|K3S_CLUSTER_SECRET|K3S_URL$|K3S_NODE_NAME$|STAKER_CONFIG_PATH$)/;
