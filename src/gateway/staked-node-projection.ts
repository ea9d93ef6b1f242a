import { type Clock, errorFields, type Log } from '#base';
import type { StakedNode, StakedNodeBoard } from '#domain';
import type { FactCache } from './fact-cache.ts';
import type { Registry } from './registry.ts';
import { stakedNodeOf } from './staked-node-view.ts';

export interface ProjectionOptions {
  readonly board: StakedNodeBoard;
  readonly registry: Pick<Registry, 'worker' | 'workers' | 'lastHeartbeat' | 'onWorkerChange'>;
  readonly facts: Pick<FactCache, 'factOf' | 'readingOf'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** Keeps the StakedNodes of the cluster as the workers are. Nothing waits for it, and what fails in here stays in here. */
export interface StakedNodeProjection {
  /** Something about this node may have changed. */
  changed(nodeId: string): void;
  allChanged(): void;
  /** Writes what has changed, until the signal aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

interface ProjectionContext extends ProjectionOptions {
  /** Node ids to look at. */
  readonly due: Set<string>;
  /** What is in the cluster, as JSON to compare; `undefined`: not listed yet, or not since a failure. */
  written: Map<string, StakedNode> | undefined;
  isFailing: boolean;
}

const tickMs = 1_000;
/** After a failure: the API server is away, or the definition was deleted. */
const pauseMs = 30_000;
/** Writes in one tick: this is no load for an API server that is busy with more important things. */
const mostInTick = 50;

export function createStakedNodeProjection(options: ProjectionOptions): StakedNodeProjection {
  const context: ProjectionContext = { ...options, due: new Set(), written: undefined, isFailing: false };
  const { registry, due } = context;
  const mark = (nodeId: string) => void due.add(nodeId);
  registry.onWorkerChange((before, after) => {
    const nodeId = after?.nodeId ?? before?.nodeId;
    if (nodeId !== undefined) mark(nodeId);
  });
  return {
    changed: mark,
    allChanged: () => {
      for (const { nodeId } of registry.workers()) mark(nodeId);
    },
    run: (signal) => run(context, signal),
  };
}

async function run(context: ProjectionContext, signal: AbortSignal): Promise<void> {
  const { clock, log } = context;
  while (!signal.aborted) {
    let waitMs = tickMs;
    try {
      await tick(context, signal);
      if (context.isFailing) log.info('StakedNodes are written again');
      context.isFailing = false;
    } catch (error) {
      if (signal.aborted) return;
      // Listed anew: what is there by then is not known.
      context.written = undefined;
      waitMs = pauseMs;
      if (!context.isFailing)
        log.warn('StakedNodes cannot be written; nothing else depends on them', errorFields(error));
      context.isFailing = true;
    }
    await clock.sleep(waitMs, signal).catch(() => undefined);
  }
}

async function tick(context: ProjectionContext, signal: AbortSignal): Promise<void> {
  const written = context.written ?? (await begin(context, signal));
  context.written = written;
  for (const nodeId of context.due.values().take(mostInTick).toArray()) {
    // Before it is read: a change meanwhile makes it due again, and after a failure all are.
    context.due.delete(nodeId);
    await writeOne(context, written, nodeId, signal);
  }
}

/** Everything is compared once with what is there; what belongs to no worker is removed with that. */
async function begin({ board, registry, due }: ProjectionContext, signal: AbortSignal) {
  const listed = await board.list(signal);
  for (const { nodeId } of [...listed, ...registry.workers()]) due.add(nodeId);
  return new Map(listed.map((node) => [node.nodeId, node]));
}

async function writeOne(
  { board, registry, facts, clock }: ProjectionContext,
  written: Map<string, StakedNode>,
  nodeId: string,
  signal: AbortSignal,
): Promise<void> {
  const worker = registry.worker(nodeId);
  const before = written.get(nodeId);
  if (!worker) {
    if (before) await board.remove(nodeId, signal);
    written.delete(nodeId);
    return;
  }
  const fact = facts.factOf(worker, registry.lastHeartbeat(nodeId)?.goodAtMs);
  const { record, token } = facts.readingOf(worker) ?? {};
  const node = stakedNodeOf(worker, { fact, record, token, nowMs: clock.nowMs(), before });
  if (before && isSame(before, node)) return;
  await board.write(node, signal);
  written.set(nodeId, node);
}

/** The API server returns members in another order. */
const isSame = (one: StakedNode, other: StakedNode) => textOf(one) === textOf(other);

function textOf({ spec, status }: StakedNode): string {
  const conditions = status.conditions.map(({ type, status: value, reason, message, lastTransitionTime }) => [
    type,
    value,
    reason,
    message,
    lastTransitionTime,
  ]);
  const { stake, state, tier, expires } = status;
  return JSON.stringify([
    spec.wallet,
    spec.stakeRecord,
    spec.sealToken,
    stake,
    state,
    tier,
    expires,
    conditions,
  ]);
}
