import type { AgentContext } from './agent-context.ts';
import type { AgentPlan } from './agent-plan.ts';
import type { AgentRun } from './agent-run.ts';
import { kubeletCertificate } from './certificates.ts';
import type { AgentProcess } from './process.ts';
import { probeReadiness } from './readiness.ts';
import { aborted } from './waiting.ts';

/** What happens first to a process: it ends, the Node is Ready, the join deadline passes, or the end is requested. */
export type Milestone = 'ended' | 'ready' | 'late' | 'asked';

export interface Watched {
  readonly run: AgentRun;
  readonly child: AgentProcess;
  /** Aborts when the watch is over. */
  readonly over: AbortSignal;
}

/** Watches a process that starts: until it is Ready, or `deadlineMs` on the monotonic clock. */
export function untilReadyOrOver(
  watched: Watched,
  { plan, deadlineMs }: { readonly plan: AgentPlan; readonly deadlineMs: number },
  context: AgentContext,
): Promise<Milestone> {
  const { run, over } = watched;
  const { clock } = context.options;
  const leftMs = Math.max(0, deadlineMs - clock.monotonicMs());
  return Promise.race([
    untilOver(watched),
    untilReady({ run, plan, signal: over }, context),
    clock.sleep(leftMs, over).then(() => 'late' as const),
  ]);
}

/** Watches a process that is Ready. */
export function untilOver({ run, child, over }: Watched): Promise<Milestone> {
  return Promise.race([
    child.ended.then(() => 'ended' as const),
    aborted(run.asked.signal, over).then(() => 'asked' as const),
  ]);
}

export async function becomeReady(
  run: AgentRun,
  { pid, plan }: { readonly pid: number; readonly plan: AgentPlan },
  context: AgentContext,
): Promise<void> {
  const { journal, emit } = context.options;
  await journal.write('reached-ready', true);
  await kubeletCertificate(plan.dataDir).forgetAside();
  run.hasBeenReady = true;
  run.isRefused = false;
  context.enter({ kind: 'ready', pid });
  emit('agent.ready', { pid });
  run.ready.resolve();
}

async function untilReady(
  { run, plan, signal }: { run: AgentRun; plan: AgentPlan; signal: AbortSignal },
  { options: { clock, nodeId, probeIntervalMs = 500 } }: AgentContext,
): Promise<'ready'> {
  for (;;) {
    const readiness = await probeReadiness({ ...plan, nodeId }, signal);
    // The race is decided: this promise must not resolve any more.
    if (signal.aborted) return new Promise(() => undefined);
    if (readiness.isReady) return 'ready';
    run.lastDetail = readiness.detail;
    await clock.sleep(probeIntervalMs, signal).catch(() => undefined);
  }
}
