import type { Clock, Log } from '#base';
import type { KubernetesNode, KubernetesPort } from '#domain';
import type { Audit } from './audit.ts';
import type { RunnableGatewayConfig } from './config.ts';
import type { EvictionReason } from './decision.ts';
import { decideEviction } from './eviction.ts';
import type { FactCache } from './fact-cache.ts';
import { runPasses } from './full-pass.ts';
import type { Locks } from './locks.ts';
import { expireAdmission } from './membership.ts';
import { nextStep, type Step } from './next-step.ts';
import { createNodeAddresses } from './node-addresses.ts';
import { reconcileWorker } from './reconcile-worker.ts';
import { type ReconcilerContext, scheduleNextLook, viewOf } from './reconciler-context.ts';
import { createRefusalTally } from './refusal-tally.ts';
import type { Registry } from './registry.ts';
import { watchNodes } from './seen-nodes.ts';
import { createSightings } from './sightings.ts';
import { createSweep } from './sweep.ts';
import { createWorkQueue } from './work-queue.ts';
import { type ExpiryReason, isAdmitted, type Worker } from './worker.ts';

/**
 * Brings the cluster to the state that facts and decisions ask for, driven by levels: facts that changed, Nodes that
 * were seen, time that passed and starts all lead to the same question: what has to be done about this node now?
 */
export interface Reconciler {
  /** Looks at a node from memory, and queues it if a step is due. */
  enqueue(nodeId: string): void;
  /** The same for all nodes, in slices between which other work gets the thread. */
  enqueueAll(): void;
  /** Takes a node out of the cluster at the operator's request, or its host's. Resolves when it is decided; the work follows. */
  evict(nodeId: string, reason: EvictionReason, options: { readonly lock: boolean }): Promise<void>;
  /** The Nodes by the watch; `undefined` before the first list. */
  nodes(): ReadonlyMap<string, KubernetesNode> | undefined;
  /** Grows whenever a Node reports other addresses than before, or goes. */
  addressChanges(): number;
  /** The admitted names as last read; `undefined` before that. */
  names(): ReadonlyMap<string, string> | undefined;
  /** Reads one of them anew: an administrator may have listed it since. Resolves with its listing. */
  readName(name: string, signal?: AbortSignal): Promise<string | undefined>;
  /** Takes back what an admission has done so far. The caller holds the node's lock. */
  expireAdmission(worker: Worker, reason: ExpiryReason, signal?: AbortSignal): Promise<void>;
  /** Watches and reconciles until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface ReconcilerOptions {
  readonly kubernetes: KubernetesPort;
  readonly registry: Registry;
  readonly facts: FactCache;
  readonly audit: Audit;
  readonly locks: Locks;
  readonly clock: Clock;
  /** 0 ≤ x < 1; spreads retries over time. */
  readonly random: () => number;
  readonly log: Log;
  /** A reload replaces its members: read them where they are used. */
  readonly config: Pick<RunnableGatewayConfig, 'cordonGraceMs' | 'onProposal'>;
  readonly fullPassMs?: number;
  /** Whether this gateway changes the cluster; it reads it in any case. Always, unless given. */
  readonly isActing?: () => boolean;
}

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { registry, clock, random, log, fullPassMs = 60_000, isActing = () => true } = options;
  const context: ReconcilerContext = {
    ...options,
    isActing,
    readings: { nodes: undefined, names: undefined, expectedSinceMs: new Map(), isPassDue: true },
    sightings: createSightings(),
    addresses: createNodeAddresses((name) => isStaked(registry, name)),
    sharedAddresses: createRefusalTally({
      audit: options.audit,
      nowMs: () => clock.nowMs(),
      windowMs: 3_600_000,
      mostKinds: 1_000,
    }),
    sweep: createSweep(
      () => registry.workers(),
      (nodeId) => enqueue(context, nodeId),
    ),
    queue: createWorkQueue({
      run: (nodeId, signal) => reconcileWorker(context, nodeId, signal),
      atOnce: 8,
      urgentAtOnce: 64,
      clock,
      random,
      log,
    }),
  };
  return {
    enqueue: (nodeId) => enqueue(context, nodeId),
    enqueueAll: () => context.sweep.askForAll(),
    evict: (nodeId, reason, { lock }) => evictByCommand(context, nodeId, reason, lock),
    nodes: () => context.readings.nodes,
    addressChanges: () => context.addresses.changes(),
    names: () => context.readings.names,
    readName: (name, signal) => readName(context, name, signal),
    expireAdmission: (worker, reason, signal) => expireAdmission(context, worker, reason, signal),
    async run(signal) {
      const onChange = (nodeId: string) => enqueue(context, nodeId);
      try {
        await Promise.all([watchNodes(context, onChange, signal), runPasses(context, fullPassMs, signal)]);
      } finally {
        context.sharedAddresses.flush({ isLast: true });
        await context.queue.close();
      }
    },
  };
}

function isStaked(registry: Registry, name: string): boolean {
  const worker = registry.worker(name);
  return worker !== undefined && isAdmitted(worker);
}

async function readName(
  { kubernetes, readings }: ReconcilerContext,
  name: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const listing = await kubernetes.admittedName(name, signal);
  // Before the first pass nothing is known of the others.
  if (listing !== undefined && readings.names) readings.names = new Map(readings.names).set(name, listing);
  return listing;
}

/** What the watch knows shows cheaply whether a closer look is worth a question to the API server. */
function enqueue(context: ReconcilerContext, nodeId: string): void {
  const worker = context.registry.worker(nodeId);
  if (!worker || !context.isActing()) return;
  const { nodes } = context.readings;
  const view = viewOf(context, worker, nodes?.get(nodeId));
  const step = nextStep(view);
  scheduleNextLook(context, view);
  // Before the first list no Node is known, which does not mean that there is none.
  const isGuess = step?.kind === 'expire-admission' && step.reason === 'node_deleted' && nodes === undefined;
  if (step && !isGuess) context.queue.add(nodeId, { isUrgent: locksOut(step) });
}

/**
 * Whether a step locks a node out, so that nothing else that waits comes before it. The end of an admission does not: its
 * host did nothing wrong, and a slash of the same node has to cut it off.
 */
function locksOut({ kind }: Step): boolean {
  return kind === 'evict' || kind === 'hold-eviction' || kind === 'remove-orphan';
}

function evictByCommand(
  context: ReconcilerContext,
  nodeId: string,
  reason: EvictionReason,
  lock: boolean,
): Promise<void> {
  const { queue, locks, registry, clock } = context;
  // Asked for first: urgent work begins at once, and the command would wait behind it for the API server.
  const decided = locks.run(nodeId, async () => {
    const worker = registry.worker(nodeId);
    if (!worker) return;
    if (worker.status.kind === 'evicting' || worker.status.kind === 'evicted') {
      if (lock) await registry.decide({ worker: { ...worker, lockedAtMs: clock.nowMs() } });
    } else await decideEviction(context, worker, { reason, isBan: false, lock });
    queue.add(nodeId, { isUrgent: true });
  });
  // Cuts off other work on the node, which has its lock.
  queue.add(nodeId, { isUrgent: true });
  return decided;
}
