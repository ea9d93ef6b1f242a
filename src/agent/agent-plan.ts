import { createHash } from 'node:crypto';
import { access, constants, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { ConfigurationError, messageOf } from '#base';
import { trustedPath } from '#infrastructure';
import {
  type AgentFacts,
  childEnvironment,
  composeArguments,
  originOfArgv,
  readAgentFacts,
} from './arguments.ts';
import { askK3s, findBinary } from './binary.ts';
import { configFilePath, readK3sConfig } from './k3s-config.ts';
import { kubeletHealthzUrl } from './kubelet-health.ts';
import { refuseLabels, refuseTaints } from './labels-and-taints.ts';
import type { AgentSettings } from './settings.ts';

/** What stays the same from one start of the agent to the next. */
export interface AgentPlan extends AgentFacts {
  readonly containerdAddress: string;
  readonly healthzUrl: string;
  /** The file from which k3s takes something, and the flags that it makes of it. */
  readonly configFile: string | undefined;
  readonly fileWords: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads flags, environment and k3s' config files as k3s does; refuses what is ours (`DAAS_AGENT_SETTING_CONFLICT`) and
 * what k3s or its kubelet would refuse after the stake was made.
 */
export async function readPlan(
  settings: AgentSettings,
  env: Environment,
  nodeId: string,
): Promise<AgentPlan> {
  const argv = settings.args;
  const configFile = configFilePath({ argv, env });
  const files = await readK3sConfig(configFile);
  const machine = { uid: process.getuid?.() ?? 0, workingDirectory: process.cwd() };
  const facts = readAgentFacts({ argv, env, files }, nodeId, machine);
  refuseLabels(facts.nodeLabels);
  refuseTaints(facts.nodeTaints);
  return {
    ...facts,
    healthzUrl: await kubeletHealthzUrl(facts),
    containerdAddress:
      settings.containerdAddress ?? facts.containerdAddress ?? '/run/k3s/containerd/containerd.sock',
    configFile: files.length === 0 ? undefined : configFile,
    fileWords: files.map(({ text }) => text),
  };
}

/** That k3s was asked about these words and had nothing against them. */
export interface Acceptance {
  /** Of the binary as it lies on the disk, and of every word. */
  readonly fingerprint: string;
  readonly version: string;
}

export interface Inspection extends Acceptance {
  readonly plan: AgentPlan;
  readonly binary: string;
}

export interface InspectOptions {
  readonly signal?: AbortSignal;
  /** What an earlier life found: k3s is not asked again about the same. */
  readonly accepted?: Acceptance | undefined;
}

/**
 * All that can be said about the agent before money moves, and nothing is changed by it: settings, rights, and what k3s
 * itself says about its flags and files.
 */
export async function inspectAgent(
  settings: AgentSettings,
  env: Environment,
  nodeId: string,
  { signal, accepted }: InspectOptions = {},
): Promise<Inspection> {
  const plan = await readPlan(settings, env, nodeId);
  const binary = await findBinary(settings.binary, env);
  await checkRights(plan);
  const words = [...plan.fileWords, ...wordsToJudge(settings.args, plan.dataDir, nodeId)];
  const { size, mtimeMs, ino } = await stat(binary);
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([binary, size, mtimeMs, ino, plan.configFile, words]))
    .digest('hex');
  if (accepted?.fingerprint === fingerprint) return { plan, binary, ...accepted };
  const version = await askK3s({
    binary,
    words,
    configFile: plan.configFile,
    env: childEnvironment(env),
    signal,
  });
  return { plan, binary, version, fingerprint };
}

/** argv as it will be, but for what the gateway will answer: of these words the form alone is judged. */
function wordsToJudge(argv: readonly string[], dataDir: string, nodeId: string): string[] {
  const [, ...words] = composeArguments({
    argv,
    dataDir,
    server: 'https://127.0.0.1:6443',
    tokenFile: '/nonexistent',
    nodeId,
    nodeLabels: {},
    taints: [],
    pluginArguments: [],
  });
  return words;
}

/** Labels and taints that the gateway and plugins add are judged like those of the settings. */
export function refuseAdditions(
  plan: AgentPlan,
  { nodeLabels, taints }: { nodeLabels: Readonly<Record<string, string>>; taints: readonly string[] },
): void {
  const origin = 'the gateway or a plugin';
  refuseLabels(Object.entries(nodeLabels).map(([key, value]) => ({ value: `${key}=${value}`, origin })));
  refuseTaints([...plan.nodeTaints, ...taints.map((value) => ({ value, origin }))]);
}

/** k3s demands root unless it is rootless, and a data directory it can write (`DAAS_AGENT_NO_RIGHTS`). Changes nothing. */
export async function checkRights({ dataDir, isRootless }: AgentFacts): Promise<void> {
  const uid = process.getuid?.();
  if (!isRootless && uid !== 0)
    throw new ConfigurationError(
      'DAAS_AGENT_NO_RIGHTS',
      `k3s agent needs root, and this runs as uid ${uid}: start it as root (or pass --rootless in ${originOfArgv}, which k3s calls experimental)`,
    );
  try {
    // k3s runs what lies in it as root.
    trustedPath(dataDir, { what: "k3s' data directory", origin: '--data-dir' }, { mayBeMissing: true });
    await expectWritable(dataDir);
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(
      'DAAS_AGENT_NO_RIGHTS',
      `k3s' data directory ${dataDir} (--data-dir) cannot be written by uid ${uid}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** The directory, or the nearest above it, in which it can be made. */
async function expectWritable(directory: string): Promise<void> {
  try {
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const parent = dirname(resolve(directory));
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === directory) throw error;
    return expectWritable(parent);
  }
  if (!(await stat(directory)).isDirectory()) throw new Error(`${directory} is not a directory`);
}
