import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { getContainerRuntimeClient, type StartedTestContainer } from 'testcontainers';

/** Why packets cannot be dropped in the containers' networks from here; undefined: they can. */
export const noCuts: string | undefined = problem();

function problem(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  for (const program of ['nft', 'nsenter'])
    if (spawnSync(program, ['--version'], { timeout: 10_000 }).status !== 0) return `needs ${program}`;
  return undefined;
}

interface End {
  readonly container: StartedTestContainer;
}

/**
 * Drops every packet between two containers, in both directions, without a word to either, as a cable that is cut: open connections
 * stay open and silent. Whom else they reach does not change. Resolves with what mends it.
 */
export async function cut(one: End, other: End, network: string): Promise<() => void> {
  const pid = await pidOf(one.container);
  const address = other.container.getIpAddress(network);
  const table = `k3s_daas_cut_${address.replaceAll('.', '_')}`;
  nft(
    pid,
    `table inet ${table} {
  chain in { type filter hook input priority -300; ip saddr ${address} drop; }
  chain out { type filter hook output priority -300; ip daddr ${address} drop; }
}`,
  );
  return () => nft(pid, `delete table inet ${table}`);
}

/** The first process of the container, as this machine numbers it: the engine is this machine's. */
async function pidOf(container: StartedTestContainer): Promise<number> {
  const { container: containers } = await getContainerRuntimeClient();
  const { State } = await containers.inspect(containers.getById(container.getId()));
  if (!readFileSync(`/proc/${State.Pid}/cgroup`, 'utf8').includes(container.getId()))
    throw new Error(`${State.Pid} is not the container's process: the Docker engine is another machine's`);
  return State.Pid;
}

function nft(pid: number, rules: string): void {
  const args = ['--target', String(pid), '--net', 'nft', '--file', '-'];
  const { status, stderr } = spawnSync('nsenter', args, { input: rules, encoding: 'utf8', timeout: 20_000 });
  if (status !== 0) throw new Error(`nft in the network of ${pid}: ${stderr}`);
}
