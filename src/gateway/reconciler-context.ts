import type { Clock, Log } from '#base';
import { isOperatorsName, type KubernetesNode, type KubernetesPort } from '#domain';
import type { Audit } from './audit.ts';
import { banOf } from './bans.ts';
import type { RunnableGatewayConfig } from './config.ts';
import type { FactCache } from './fact-cache.ts';
import type { Locks } from './locks.ts';
import { nextLookAtMs, type WorkerView } from './next-step.ts';
import type { NodeAddresses } from './node-addresses.ts';
import type { RefusalTally } from './refusal-tally.ts';
import type { Registry } from './registry.ts';
import type { Sightings } from './sightings.ts';
import type { Sweep } from './sweep.ts';
import type { WorkQueue } from './work-queue.ts';
import type { Worker } from './worker.ts';

/** What every step of the reconciler works with. */
export interface ReconcilerContext {
  readonly kubernetes: KubernetesPort;
  readonly registry: Registry;
  readonly facts: FactCache;
  readonly audit: Audit;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly log: Log;
  /** A reload replaces its members. */
  readonly config: Pick<RunnableGatewayConfig, 'cordonGraceMs' | 'onProposal'>;
  /** Whether this gateway changes the cluster. */
  readonly isActing: () => boolean;
  readonly readings: ClusterReadings;
  readonly sightings: Sightings;
  readonly addresses: NodeAddresses;
  /** A Node can change its address as often as it likes: a line for a Node, address and hour. */
  readonly sharedAddresses: RefusalTally;
  readonly sweep: Sweep;
  readonly queue: WorkQueue;
}

/** The cluster as it was last read. */
interface ClusterReadings {
  /** By the watch; `undefined` before the first list. */
  nodes: Map<string, KubernetesNode> | undefined;
  /** The admitted names; `undefined` before they were first read. */
  names: ReadonlyMap<string, string> | undefined;
  /** Since when a name is listed as expected, by the monotonic clock. */
  readonly expectedSinceMs: Map<string, number>;
  /** The next pass is due now, not when its time has come. */
  isPassDue: boolean;
}

/** Everything that decides about a worker, from memory; the Node is given. */
export function viewOf(
  context: ReconcilerContext,
  worker: Worker,
  node: KubernetesNode | undefined,
): WorkerView {
  const { registry, facts, clock, readings } = context;
  const { cordonGraceMs, onProposal } = context.config;
  const lastHeartbeat = registry.lastHeartbeat(worker.nodeId);
  return {
    worker,
    node,
    fact: facts.factOf(worker, lastHeartbeat?.goodAtMs),
    ban: banOf(registry.bans(), { ...worker, isKnownName: true }),
    lastHeartbeat,
    isBreakerTripped: registry.breaker().trippedAtMs !== undefined,
    isOperatorsName: isOperatorsName(readings.names?.get(worker.nodeId)),
    nowMs: clock.nowMs(),
    cordonGraceMs,
    quarantineUntilMs: onProposal === 'quarantine' ? facts.proposedUntilMs(worker) : undefined,
  };
}

/** Schedules the look that time alone makes due. */
export function scheduleNextLook({ sweep, clock }: ReconcilerContext, view: WorkerView): void {
  const atMs = nextLookAtMs(view);
  sweep.lookAt(view.worker.nodeId, atMs && clock.monotonicMs() + atMs - view.nowMs);
}
