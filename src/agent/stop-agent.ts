import { DaasError, EXIT, type Journal } from '#base';
import { isAlive, type ProcessIdentity, parseProcessIdentity, processIdentity } from '#infrastructure';
import type { AgentContext } from './agent-context.ts';
import type { AgentRun } from './agent-run.ts';
import { notStopped } from './failures.ts';
import { countPods, isPodShim, killPods } from './pods.ts';
import type { AgentProcess } from './process.ts';
import {
  killProcess,
  type RunningProcess,
  runningProcesses,
  sendSignal,
  waitForEnd,
  withDescendants,
} from './process-table.ts';
import { endsWithin } from './waiting.ts';

/** How long the kernel may take to end a process after SIGKILL. */
const killDeadlineMs = 5_000;

/**
 * Ends a process of the run: one SIGTERM (a second one ends k3s at once), then SIGKILL at the deadline for the process and
 * its descendants, except pods.
 */
export async function endProcess(
  run: AgentRun,
  child: AgentProcess,
  identity: ProcessIdentity | undefined,
  context: AgentContext,
): Promise<void> {
  const { settings, clock, log } = context.options;
  context.enter({ kind: 'stopping', pid: child.pid });
  child.terminate();
  if (await endsWithin(child.ended, settings.stopDeadlineMs, clock, context.hurried)) return;
  log.warn('The agent did not end in time and is killed', { pid: child.pid });
  if (identity) run.killedPids.push(...(await killTree(identity)));
  if (await endsWithin(child.ended, killDeadlineMs, clock)) return;
  run.stopFailure = notStopped(child.pid);
  throw run.stopFailure;
}

/** What the next life of the host, or another host on a copy of this journal, has to know of the agent. */
export async function writeChild(journal: Journal, child: ProcessIdentity): Promise<void> {
  const host = await processIdentity(process.pid);
  if (host) await journal.write('host', host);
  await journal.write('child', child);
}

/** The journal is a copy: its host lives, and the agent is that one's. Stopping it would stop the honest node. */
async function refuseLivingHost(context: AgentContext, agentPid: number): Promise<void> {
  const host = parseProcessIdentity(context.options.journal.read('host'));
  if (!host || host.pid === process.pid || !(await isAlive(host))) return;
  throw new DaasError(
    'DAAS_NODE_CLONED',
    `another host (pid ${host.pid}) on this machine runs this node and its agent (pid ${agentPid}): this state directory is a copy of its. Give this one a node id, a wallet and an empty stateDir of its own`,
    { exitCode: EXIT.lockedOut, details: { pid: host.pid, agentPid } },
  );
}

/**
 * Stops the agent that an earlier life of the host left running: nothing reads its output, and it would clash with the next
 * one. Returns its pid if there was one.
 */
export async function stopLeftOver(context: AgentContext): Promise<number | undefined> {
  const { journal, settings, clock, log } = context.options;
  const identity = parseProcessIdentity(journal.read('child'));
  if (!identity || context.pid === identity.pid) return undefined;
  const wasAlive = await isAlive(identity);
  if (wasAlive) {
    await refuseLivingHost(context, identity.pid);
    log.info('Stopping the agent that an earlier life of the host left running', { pid: identity.pid });
    sendSignal(identity.pid, 'SIGTERM');
    if (!(await waitForEnd(identity, settings.stopDeadlineMs, clock))) {
      await killTree(identity);
      if (!(await waitForEnd(identity, killDeadlineMs, clock))) throw notStopped(identity.pid);
    }
  }
  await journal.remove('child');
  return wasAlive ? identity.pid : undefined;
}

/** Kills the pods of this k3s; returns the killed pids. Throws `DAAS_PODS_NOT_KILLED` when some are left. */
export async function killAllPods(context: AgentContext): Promise<number[]> {
  const address = await context.containerdAddress();
  const killed = await killPods(address, context.options.clock);
  const left = await countPods(address);
  if (left === 0) return killed;
  throw new DaasError(
    'DAAS_PODS_NOT_KILLED',
    `${left ?? 'an unknown number of'} pods of ${address} are still running after SIGKILL: end them by hand (k3s-killall.sh)`,
    { isRetryable: true, details: { killedPids: killed } },
  );
}

/** Kills a process and its descendants, except pods: they live on even where their shim is still below containerd. */
async function killTree({ pid, startTicks }: ProcessIdentity): Promise<number[]> {
  const all = await runningProcesses();
  const root = all.find((process) => process.pid === pid && process.startTicks === startTicks);
  if (!root) return [];
  const tree = withDescendants([root], all);
  const shims: RunningProcess[] = [];
  for (const process of tree) if (await isPodShim(process)) shims.push(process);
  const pods = new Set(withDescendants(shims, all).map((process) => process.pid));
  const killed: number[] = [];
  for (const process of tree)
    if (!pods.has(process.pid) && (await killProcess(process))) killed.push(process.pid);
  return killed;
}
