import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { ConfigurationError } from '#base';
import {
  type Flag,
  type FlagWord,
  lastValueOf,
  parseFlags,
  parseGoBool,
  valuesOf,
  variables,
  withoutFlag,
} from './k3s-flags.ts';
import type { Given } from './labels-and-taints.ts';

export interface AgentSources {
  /** The flags for k3s from our configuration and command line. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The flags in k3s' config files: k3s puts them before argv. */
  readonly files: readonly FlagWord[];
}

export interface Machine {
  readonly uid: number;
  readonly workingDirectory: string;
}

/** The settings of the agent that the supervisor needs. */
export interface AgentFacts {
  readonly dataDir: string;
  readonly isRootless: boolean;
  readonly kubeletArguments: readonly string[];
  readonly nodeIp: string | undefined;
  readonly nodeLabels: readonly Given[];
  readonly nodeTaints: readonly Given[];
  /** Path of the containerd socket that the settings name; undefined: k3s' own. */
  readonly containerdAddress: string | undefined;
  /** k3s writes its log elsewhere: its reasons for a failed join cannot be read. */
  readonly logsToFile: boolean;
}

export const originOfArgv = 'agent.args or the command line';

/** The settings that the stake and the gateway decide, each with the reason why no other source may set it. */
export const decidedSettings: Readonly<Record<string, string>> = {
  server: 'the gateway names the server when the node registers',
  token: 'the join credential comes from the gateway',
  'token-file': 'the join credential comes from the gateway',
  'cluster-secret': 'the join credential comes from the gateway',
  'node-name': 'the node is named by its node id, which the stake is bound to',
  'with-node-id': 'the node is named by its node id, which the stake is bound to',
};
/** Settings that are read before the stake is made. A plugin that sets one later would make that reading wrong. */
const settled = ['config', 'data-dir', 'rootless', 'container-runtime-endpoint', 'node-ip', 'log'];

/**
 * Rejects the settings that this program decides (`DAAS_AGENT_SETTING_CONFLICT`), wherever they are set, and reads what the
 * supervisor needs in k3s' own order: flags, config files, environment, default. A node name equal to the node id is allowed.
 */
export function readAgentFacts(
  { argv, env, files }: AgentSources,
  nodeId: string,
  machine: Machine,
): AgentFacts {
  const flags = effectiveFlags({ argv, env, files });
  for (const flag of [...flags, ...variableFlags(env)]) refuse(flag, nodeId);
  const one = (name: string) => lastValueOf(name, flags, env);
  const endpoint = one('container-runtime-endpoint');
  const isRootless = parseGoBool(one('rootless') ?? '') ?? false;
  return {
    dataDir: dataDirectory(one('data-dir'), isRootless, machine, env.HOME),
    isRootless,
    kubeletArguments: valuesOf('kubelet-arg', flags).map(({ value }) => value),
    nodeIp: valuesOf('node-ip', flags)[0]?.value,
    nodeLabels: valuesOf('node-label', flags),
    nodeTaints: valuesOf('node-taint', flags),
    containerdAddress: endpoint?.replace(/^unix:\/\//, '') || undefined,
    logsToFile: (one('log') ?? '') !== '',
  };
}

/** Every flag that k3s will see, in its order. Variables are checked here; `lastValueOf` finds their values. */
export function effectiveFlags({ argv, env, files }: AgentSources): Flag[] {
  for (const flag of variableFlags(env)) if (decidedSettings[flag.name] === undefined) parseFlags([flag]);
  return parseFlags([...files, ...wordsOf(argv, originOfArgv)]);
}

/** An empty variable sets nothing: k3s reads an empty value, and our flag comes after it. */
function variableFlags(env: AgentSources['env']): Flag[] {
  return [...variables].flatMap(([name, variable]) => {
    const value = env[variable] ?? '';
    if (value === '') return [];
    const origin = `environment variable ${variable}`;
    const fix = `unset ${variable} (look in k3s-agent.service.env, /etc/default and /etc/sysconfig)`;
    return [{ name, given: name, value, text: `--${name}=${value}`, origin, fix }];
  });
}

function wordsOf(argv: readonly string[], origin: string): FlagWord[] {
  return argv.map((text) => ({ text, origin, fix: 'leave it out' }));
}

function refuse({ name, value, origin, fix }: Flag, nodeId: string): void {
  const reason = decidedSettings[name];
  // An empty value sets nothing, because our flag comes last and wins.
  if (reason === undefined || value === '') return;
  if (name === 'with-node-id' && parseGoBool(value) !== true) return;
  if (name === 'node-name' && value.toLowerCase() === nodeId) return;
  const place = origin === originOfArgv ? `--${name} (${origin})` : origin;
  // The value may be a token, so the message does not repeat it.
  throw new ConfigurationError(
    'DAAS_AGENT_SETTING_CONFLICT',
    `${place} sets ${name}, which is ours: ${reason}; ${origin === originOfArgv ? `leave --${name} out` : fix}`,
    { details: { setting: name, origin: place } },
  );
}

/**
 * k3s' own rules, with one exception: for a user other than root the default is in the home directory, because k3s' own
 * default belongs to root.
 */
function dataDirectory(
  given: string | undefined,
  isRootless: boolean,
  { uid, workingDirectory }: Machine,
  home: string | undefined,
): string {
  const isPlainUser = uid !== 0;
  const atHome = given === undefined ? isPlainUser : isRootless || isPlainUser;
  const path = given || (atHome ? '$HOME/.rancher/k3s' : '/var/lib/rancher/k3s');
  const expanded = path.replaceAll(/\$HOME|\$\{HOME\}|~/g, () => home ?? homedir());
  return resolve(workingDirectory, expanded);
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
  /** Flags that plugins add. */
  readonly pluginArguments: readonly string[];
}

/** argv of the k3s binary. Our flags come last: k3s takes the last of two values, and lists add up. Never a secret. */
export function composeArguments(composition: Composition): string[] {
  const { argv, dataDir, server, tokenFile, nodeId, nodeLabels, taints, pluginArguments } = composition;
  for (const flag of parseFlags(wordsOf(pluginArguments, 'the arguments that a plugin adds')))
    refusePluginFlag(flag, nodeId);
  return [
    'agent',
    ...withoutFlag('data-dir', argv),
    ...pluginArguments,
    // Always explicit: the launcher of k3s sets K3S_DATA_DIR to another directory for the agent.
    `--data-dir=${dataDir}`,
    `--server=${server}`,
    `--token-file=${tokenFile}`,
    `--node-name=${nodeId}`,
    '--with-node-id=false',
    ...Object.entries(nodeLabels).map(([key, value]) => `--node-label=${key}=${value}`),
    ...taints.map((taint) => `--node-taint=${taint}`),
  ];
}

function refusePluginFlag(flag: Flag, nodeId: string): void {
  const fix = 'remove the plugin from the configuration or mend it';
  const origin = `--${flag.name} among ${flag.origin}`;
  refuse({ ...flag, origin, fix }, nodeId);
  const isSettled =
    settled.includes(flag.name) ||
    (flag.name === 'kubelet-arg' && /^-*(?:healthz|config)/.test(flag.value.replaceAll('_', '-')));
  if (isSettled)
    throw new ConfigurationError(
      'DAAS_AGENT_SETTING_CONFLICT',
      `${origin} changes what was judged before the stake was made: set it in agent.args, or ${fix}`,
      { details: { setting: flag.name, origin } },
    );
}

/**
 * The environment for k3s, without our settings, keys and any join token: k3s passes it on to containerd and every shim.
 * NOTIFY_SOCKET stays, because k3s itself sends READY=1 (the unit needs NotifyAccess=all).
 */
export function childEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept = Object.entries(env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !notForTheChild.test(entry[0]),
  );
  return Object.fromEntries(kept);
}

/** K3S_NODE_NAME is removed too: `--node-name` sets the same. */
const notForTheChild =
  /^(?:K3S_DAAS_|SUI_|K3S_(?:AGENT_)?TOKEN|K3S_CLUSTER_SECRET|K3S_URL$|K3S_NODE_NAME$|STAKER_CONFIG_PATH$)/;
