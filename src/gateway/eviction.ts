import { traced } from '#base';
import { isOperatorsName, type KubernetesNode } from '#domain';
import { revokeAccess, revokeCredentials, revokeName } from './access.ts';
import { bansFor } from './bans.ts';
import { askBreaker, BREAKER_LOCK, stakersThatCount, weighEviction } from './breaker.ts';
import type { EvictionReason } from './decision.ts';
import type { ReconcilerContext } from './reconciler-context.ts';
import { isAdmitted, type Worker, withStatus } from './worker.ts';

interface EvictionDecision {
  readonly reason: EvictionReason;
  readonly isBan: boolean;
  /** Registrations of the node wait for the operator's `unlock`. */
  readonly lock: boolean;
}

/** One attempt to carry out an eviction. */
interface Attempt {
  readonly nodeId: string;
  readonly reason: EvictionReason;
  readonly signal: AbortSignal;
  readonly failures: unknown[];
}

/** Begins an eviction if the breaker allows it, and carries it out. */
export async function continueEviction(
  context: ReconcilerContext,
  worker: Worker,
  {
    reason,
    isBan,
    isCertain = false,
  }: Pick<EvictionDecision, 'reason' | 'isBan'> & { readonly isCertain?: boolean },
  signal: AbortSignal,
): Promise<void> {
  if (worker.status.kind !== 'evicting') {
    const weight = weighEviction(reason, { isCertain, worker });
    if (weight.isHeld && !(await mayEvict(context, worker, { reason, ...weight }))) return;
    await decideEviction(context, worker, { reason, isBan, lock: false });
  }
  const { nodeId } = worker;
  await traced(
    'node.eviction',
    () => ({ attributes: { 'k3s_daas.node_id': nodeId, 'k3s_daas.reason': reason } }),
    () => carryOutEviction(context, { nodeId, reason, signal, failures: [] }),
  );
}

/** What the breaker refuses is held at the next look, since the breaker has tripped then. */
async function mayEvict(
  context: ReconcilerContext,
  worker: Worker,
  { reason, isCounted }: { readonly reason: EvictionReason; readonly isCounted: boolean },
): Promise<boolean> {
  if (!isAdmitted(worker)) return true;
  if (!isCounted) return context.registry.breaker().trippedAtMs === undefined;
  // One at a time: of several that read the same count, each would be allowed.
  return context.locks.run(BREAKER_LOCK, () => askForOne(context, worker, reason));
}

async function askForOne(
  { registry, clock, audit, log, sweep }: ReconcilerContext,
  { nodeId, staker }: Worker,
  reason: EvictionReason,
): Promise<boolean> {
  const before = registry.breaker();
  const { isAllowed, state } = askBreaker(before, {
    nodeId,
    staker,
    atMs: clock.nowMs(),
    stakers: stakersThatCount(registry.workers()),
  });
  if (state !== before) await registry.decide({ breaker: state });
  if (!isAllowed && before.trippedAtMs === undefined) {
    log.error('The breaker has tripped: too many nodes would be evicted at once', {
      event: 'breaker.tripped',
    });
    audit.recordLockOut('breaker.tripped', { node_id: nodeId, reason });
    sweep.askForAll();
  }
  return isAllowed;
}

/** From here on the node is refused and its host gets the directive to stop, whatever happens to this process. */
export async function decideEviction(
  { registry, clock, audit, log }: ReconcilerContext,
  worker: Worker,
  { reason, isBan, lock }: EvictionDecision,
): Promise<void> {
  const nowMs = clock.nowMs();
  const bans = isBan ? bansFor(worker, reason, nowMs) : [];
  audit.recordLockOut('eviction.decided', {
    node_id: worker.nodeId,
    stake_record: worker.recordId,
    reason,
    bans: bans.map((ban) => ban.subject).join(',') || undefined,
    locked: lock || undefined,
  });
  const decided = { ...worker, heldFor: undefined, lockedAtMs: lock ? nowMs : worker.lockedAtMs };
  await registry.decide({ worker: withStatus(decided, { kind: 'evicting', reason }, nowMs), bans });
  log.warn('Evicting a node', { event: 'node.evicting', nodeId: worker.nodeId, reason });
}

/**
 * Name, then credential, then Node: in another order a credential could bring the Node back. A step that fails or hangs
 * keeps only one other from being taken: while the name is admitted the Node is not deleted, since its password would go
 * with it and open the name to others. The Node runs nothing by then.
 */
async function carryOutEviction(context: ReconcilerContext, attempt: Attempt): Promise<void> {
  const { kubernetes } = context;
  const { nodeId, reason, signal, failures } = attempt;
  await tryStep(attempt, () => revokeName(context, nodeId, signal));
  const isNameOpen = failures.length > 0;
  await tryStep(attempt, () => revokeCredentials(context, nodeId, signal));
  const read = await tryStep(attempt, () => kubernetes.node(nodeId, signal));
  // A Node that could not be read is taken to be as the watch saw it last.
  const node = read ?? (failures.length > 0 ? context.readings.nodes?.get(nodeId) : undefined);
  if (node) {
    await tryStep(attempt, () => emptyNode(context, node, reason, signal));
    if (!isNameOpen) await tryStep(attempt, () => deleteNode(context, node, signal));
  }
  if (failures.length > 0) throw failures[0];
  await kubernetes.releaseNodePassword(nodeId, signal);
  await completeEviction(context, attempt, node);
}

async function tryStep<T>({ signal, failures }: Attempt, step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    signal.throwIfAborted();
    failures.push(error);
    return undefined;
  }
}

async function completeEviction(
  { registry, clock, audit, log }: ReconcilerContext,
  { nodeId, reason }: Attempt,
  node: KubernetesNode | undefined,
): Promise<void> {
  const worker = registry.worker(nodeId);
  if (!worker) return;
  audit.recordLockOut('eviction.done', { node_id: nodeId, reason, node_uid: node?.uid });
  await registry.decide({ worker: withStatus(worker, { kind: 'evicted', reason }, clock.nowMs()) });
  log.warn('Evicted a node', { event: 'node.evicted', nodeId, reason, nodeUid: node?.uid });
}

/**
 * Removes an orphan: a Node that came back although its name is not admitted. Its listing is read anew first: the one that
 * the step was decided on may be older than the operator's `setup --ordinary`, and the Node would be theirs.
 */
export async function removeOrphan(
  context: ReconcilerContext,
  nodeId: string,
  reason: EvictionReason,
  signal: AbortSignal,
): Promise<void> {
  const { kubernetes, audit, log } = context;
  const listing = await kubernetes.admittedName(nodeId, signal);
  if (listing !== undefined && isOperatorsName(listing)) {
    // The next look at the node decides on this listing. On the older one the same step would be due again and again.
    context.readings.names = new Map(context.readings.names).set(nodeId, listing);
    return;
  }
  log.warn('A node came back that is not admitted: it is removed', {
    event: 'node.orphaned',
    nodeId,
    reason,
  });
  audit.recordLockOut('node.stray', { node_id: nodeId, reason });
  await revokeAccess(context, nodeId, signal);
  const node = await kubernetes.node(nodeId, signal);
  if (!node) return;
  const emptied = await Promise.allSettled([emptyNode(context, node, reason, signal)]);
  signal.throwIfAborted();
  await deleteNode(context, node, signal);
  for (const outcome of emptied) if (outcome.status === 'rejected') throw outcome.reason;
}

/** Removes the pods even if the taint cannot be set. */
async function emptyNode(
  { kubernetes, audit }: ReconcilerContext,
  { name, uid }: KubernetesNode,
  reason: EvictionReason,
  signal: AbortSignal,
): Promise<void> {
  const tainted = await Promise.allSettled([
    kubernetes.cordonAndTaint({ nodeId: name, reason }, signal).then(() => {
      audit.recordLockOut('node.tainted', { node_id: name, reason, node_uid: uid });
    }),
  ]);
  const pods = await kubernetes.removePods(name, signal);
  audit.recordLockOut('node.pods_removed', { node_id: name, pods });
  for (const outcome of tainted) if (outcome.status === 'rejected') throw outcome.reason;
}

async function deleteNode(
  { kubernetes, audit }: ReconcilerContext,
  { name, uid }: KubernetesNode,
  signal: AbortSignal,
): Promise<void> {
  const finalizers = await kubernetes.deleteNode({ nodeId: name, uid }, signal);
  if (finalizers.length > 0)
    audit.recordLockOut('node.finalizers_removed', {
      node_id: name,
      node_uid: uid,
      finalizers: finalizers.join(','),
    });
  audit.recordLockOut('node.deleted', { node_id: name, node_uid: uid });
}
