import { access, constants, mkdir, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { ConfigurationError, messageOf } from '#base';
import { type AgentFacts, configFilePath, readAgentFacts } from './arguments.ts';
import { readK3sConfig } from './k3s-config.ts';
import type { AgentSettings } from './settings.ts';

/** What stays the same from one start of the agent to the next. */
export interface AgentPlan extends AgentFacts {
  readonly containerdAddress: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads flags, environment and k3s' config files; refuses what is ours (`DAAS_AGENT_SETTING_CONFLICT`). */
export async function readPlan(
  settings: AgentSettings,
  env: Environment,
  nodeId: string,
): Promise<AgentPlan> {
  const argv = settings.args;
  const files = await readK3sConfig(configFilePath({ argv, env }));
  const facts = readAgentFacts({ argv, env, files }, nodeId);
  return {
    ...facts,
    dataDir: resolve(facts.dataDir),
    containerdAddress:
      settings.containerdAddress ?? facts.containerdAddress ?? '/run/k3s/containerd/containerd.sock',
  };
}

/** Where the binary is (`DAAS_AGENT_BINARY_MISSING`): a path, or a name on PATH and where k3s installs itself. */
export async function findBinary(binary: string, env: Environment): Promise<string> {
  const candidates = binary.includes('/')
    ? [isAbsolute(binary) ? binary : resolve(binary)]
    : [...(env.PATH ?? '').split(delimiter), '/usr/local/bin', '/opt/bin']
        .filter((directory) => directory !== '')
        .map((directory) => join(directory, binary));
  for (const candidate of candidates) if (await isProgram(candidate)) return candidate;
  throw new ConfigurationError(
    'DAAS_AGENT_BINARY_MISSING',
    `no k3s binary: '${binary}' (agent.binary) is no executable file${binary.includes('/') ? '' : ' on PATH, in /usr/local/bin or /opt/bin'}; install k3s, or set agent.binary to its path`,
    { details: { binary, candidates } },
  );
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** k3s demands root unless it is rootless, and a data directory it can write (`DAAS_AGENT_NO_RIGHTS`). */
export async function checkRights({ dataDir, isRootless }: AgentPlan): Promise<void> {
  if (!isRootless && process.getuid?.() !== 0)
    throw new ConfigurationError(
      'DAAS_AGENT_NO_RIGHTS',
      `k3s agent needs root, and this runs as uid ${process.getuid?.()}: start it as root (or pass --rootless in agent.args, which k3s calls experimental)`,
    );
  try {
    await mkdir(dataDir, { recursive: true });
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_AGENT_NO_RIGHTS',
      `k3s' data directory ${dataDir} (--data-dir) cannot be written by uid ${process.getuid?.()}: ${messageOf(cause)}`,
      { cause },
    );
  }
}
