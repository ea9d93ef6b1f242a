import { errorFields, messageOf } from '#base';
import { type ProcessIdentity, processIdentity } from '#infrastructure';
import type { AgentContext } from './agent-context.ts';
import { type AgentPlan, refuseAdditions } from './agent-plan.ts';
import type { AgentRun } from './agent-run.ts';
import { crashing, joinDeadline, settingsRefused } from './failures.ts';
import { kubeletHealthzUrl } from './kubelet-health.ts';
import { launchAgent } from './launch-agent.ts';
import { isSettingFault } from './log-lines.ts';
import { knownServer, prepareStart, restoreCertificates } from './prepare-start.ts';
import type { AgentProcess } from './process.ts';
import { decideRestart } from './restart.ts';
import { endProcess, stopLeftOver, writeChild } from './stop-agent.ts';
import { endsWithin } from './waiting.ts';
import { becomeReady, type Milestone, untilOver, untilReadyOrOver } from './watch-agent.ts';

/** The shim of a pod may hold the output of k3s open for as long as the pod lives: do not wait longer for its last lines. */
const lastLinesMs = 1_000;

/** Keeps one agent running until its end is requested or a restart is useless. Never rejects. */
export async function supervise(run: AgentRun, context: AgentContext): Promise<void> {
  const { settings, clock, nodeId } = context.options;
  const { signal } = run.asked;
  const crashesMs: number[] = [];
  let deadlineMs = clock.monotonicMs() + settings.joinDeadlineMs;
  try {
    await stopLeftOver(context);
    for (;;) {
      signal.throwIfAborted();
      if (clock.monotonicMs() >= deadlineMs) throw joinDeadline(settings.joinDeadlineMs, nodeId, run);
      const wasReady = await superviseProcess(run, deadlineMs, context);
      crashesMs.push(clock.monotonicMs());
      if (wasReady) deadlineMs = clock.monotonicMs() + settings.joinDeadlineMs;
      await waitForRestart(run, crashesMs, context);
    }
  } catch (error) {
    if (!run.hasBeenReady) await restoreCertificates(context).catch(() => undefined);
    conclude(run, error, context);
  }
}

/** Throws when another start is useless. */
async function waitForRestart(
  run: AgentRun,
  crashesMs: readonly number[],
  context: AgentContext,
): Promise<void> {
  const { settings, clock, random, log } = context.options;
  if (run.lastFatal !== undefined && isSettingFault(run.lastFatal)) throw settingsRefused(run.lastFatal);
  const decision = decideRestart(crashesMs, settings.crashBudget, settings.restartDelay, random);
  if (decision.kind === 'give-up') throw crashing(decision.crashes, settings, run);
  const { delayMs } = decision;
  log.warn('The agent ended unasked, it will be started again', { delayMs, crashes: crashesMs.length });
  context.enter({ kind: 'waiting', restartInMs: delayMs, detail: 'the agent ended unasked' });
  await clock.sleep(delayMs, run.asked.signal);
}

function conclude(run: AgentRun, error: unknown, context: AgentContext): void {
  const { signal } = run.asked;
  if (signal.aborted) {
    run.ready.reject(signal.reason);
    context.enter({ kind: 'stopped', detail: messageOf(signal.reason) });
    return;
  }
  const failure = error instanceof Error ? error : new Error(String(error));
  context.options.log.error('The agent is given up', errorFields(failure));
  context.enter({ kind: 'stopped', detail: messageOf(failure) });
  if (run.hasBeenReady) run.failed.resolve(failure);
  else run.ready.reject(failure);
}

/** One process from its start to its end. Returns whether it was Ready; throws when its end is no crash. */
async function superviseProcess(run: AgentRun, deadlineMs: number, context: AgentContext): Promise<boolean> {
  const { settings, emit, journal, log, clock, nodeId } = context.options;
  const settled = await context.plan();
  refuseAdditions(settled, run.request);
  // The kubelet's own files may have changed since the last start.
  const plan = { ...settled, healthzUrl: await kubeletHealthzUrl(settled) };
  const hadJoinCredential = await prepareStart(run, plan, context);
  await context.options.checkServer?.(knownServer(context), run.asked.signal);
  run.asked.signal.throwIfAborted();
  const child = await launchAgent(run, plan, { hadJoinCredential }, context);
  const { pid } = child;
  run.pid = pid;
  const { how, wasReady } = await watchProcess(run, child, { plan, deadlineMs }, context);
  const end = await child.ended;
  // Its last lines decide whether a restart makes sense, and may still be on their way.
  if (how === 'ended') await endsWithin(child.drained, lastLinesMs, clock);
  await journal.remove('child');
  emit('agent.exited', { pid, ...end });
  if (how !== 'ended') {
    run.asked.signal.throwIfAborted();
    throw joinDeadline(settings.joinDeadlineMs, nodeId, run);
  }
  // The exit code decides nothing: k3s ends with 0 when its containerd died, and with 1 on a SIGTERM while it joins.
  log.warn('The agent ended', { pid, ...end });
  return wasReady;
}

/** From the launch until the process ends by itself, or is ended because of what happened. */
async function watchProcess(
  run: AgentRun,
  child: AgentProcess,
  goal: { readonly plan: AgentPlan; readonly deadlineMs: number },
  context: AgentContext,
): Promise<{ readonly how: Milestone; readonly wasReady: boolean }> {
  const { pid } = child;
  const { journal, emit } = context.options;
  let identity: ProcessIdentity | undefined;
  const over = new AbortController();
  const watched = { run, child, over: over.signal };
  let how: Milestone = 'asked';
  let wasReady = false;
  try {
    identity = await processIdentity(pid);
    // A host that is killed before this is written leaves an agent that dies of SIGPIPE at its next line.
    if (identity) await writeChild(journal, identity);
    context.enter({ kind: 'starting', pid });
    emit('agent.started', { pid });
    how = await untilReadyOrOver(watched, goal, context);
    if (how === 'ready') {
      wasReady = true;
      await becomeReady(run, { pid, plan: goal.plan }, context);
      how = await untilOver(watched);
    }
  } finally {
    over.abort();
    if (how !== 'ended') await endProcess(run, child, identity, context);
  }
  return { how, wasReady };
}
