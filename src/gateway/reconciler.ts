import { type Clock, type Log, messageOf } from '#base';
import { type ClusterNode, type ClusterPort, isOperatorsName, type NodeChange, RESERVED } from '#domain';
import type { Audit } from './audit.ts';
import { type Ban, banOf } from './bans.ts';
import { askBreaker, BREAKER_LOCK, countsForBreaker } from './breaker.ts';
import type { EvictionReason } from './decision.ts';
import type { FactCache } from './facts.ts';
import type { Locks } from './locks.ts';
import { type DueListing, dueListings } from './operator-names.ts';
import { nextLookAtMs, nextStep, type Step, type WorkerView } from './plan.ts';
import type { Registry } from './registry.ts';
import { createSightings, type Sighting } from './sightings.ts';
import { inSlicesOf } from './slices.ts';
import { createSweep, SWEEP_SLICE } from './sweep.ts';
import { createWorkQueue } from './work-queue.ts';
import {
  credentialOf,
  hasLeft,
  isAdmitted,
  type LapseReason,
  type Worker,
  type WorkerStatus,
} from './worker.ts';

/**
 * Brings the cluster to what the facts and decisions ask for, driven by levels: facts that changed, Nodes that were
 * seen, time that passed and starts all lead to the same question, what has to be done about this node now.
 */
export interface Reconciler {
  /** Looks at a node, and does soon what has to be done. */
  settle(nodeId: string): void;
  /** The same for all of them, in slices that let others have the thread in between. */
  settleAll(): void;
  /** Takes a node out of the cluster, as the operator asks. Resolves when it is decided; the work follows. */
  evict(nodeId: string, reason: EvictionReason, options: { readonly lock: boolean }): Promise<void>;
  /** What the watch knows; `undefined` before the first list. */
  nodes(): ReadonlyMap<string, ClusterNode> | undefined;
  /** The admitted names as last read; `undefined` before that. */
  names(): ReadonlyMap<string, string> | undefined;
  /** Takes back what an admission has done so far. The caller holds the node's lock. */
  lapse(worker: Worker, reason: LapseReason, signal?: AbortSignal): Promise<void>;
  /** Watches and reconciles until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface ReconcilerOptions {
  readonly cluster: ClusterPort;
  readonly registry: Registry;
  readonly facts: FactCache;
  readonly audit: Audit;
  readonly locks: Locks;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** After how long a node gets no new pods whose stake does not stand, but does not evict it either. */
  readonly cordonGraceMs: number;
  readonly fullPassMs?: number;
}

/** Facts that no transaction takes back. */
const endings: ReadonlySet<string> = new Set(['stake_slashed', 'stake_unbonding', 'stake_withdrawn']);
const bindingTailMs = 24 * 3_600_000;

/** More steps for one node in one go than any path through the plan has. */
const mostSteps = 12;

export function createReconciler(options: ReconcilerOptions): Reconciler {
  const { cluster, registry, facts, audit, locks, clock, random, log } = options;
  const { cordonGraceMs, fullPassMs = 60_000 } = options;
  let watched: Map<string, ClusterNode> | undefined;
  let names: ReadonlyMap<string, string> | undefined;
  let isPassDue = true;
  const sightings = createSightings();
  const expectedSinceMs = new Map<string, number>();
  const sweep = createSweep(() => registry.workers(), settle);
  const queue = createWorkQueue({ run: settleLocked, atOnce: 8, urgentAtOnce: 64, clock, random, log });

  function settleLocked(nodeId: string, signal: AbortSignal): Promise<void> {
    return locks.run(nodeId, async () => {
      for (let count = 0; count < mostSteps; count += 1) {
        if (signal.aborted) return;
        const known = registry.worker(nodeId);
        const due = known && lockOutStep(known);
        if (due) {
          await take(due, known, signal);
          continue;
        }
        // Only now: a lock-out waits for no listing.
        await sightings.follow(nodeId, (listing) => relist(listing, signal));
        const worker = registry.worker(nodeId);
        if (!worker) return;
        // Asked of the API server itself: the watch may be behind what we have just done.
        const view = viewOf(worker, await cluster.node(nodeId, signal));
        const step = nextStep(view);
        if (!step) return noteNextLook(view);
        await take(step, worker, signal);
      }
      throw new Error('the steps do not come to an end');
    });
  }

  /**
   * Whether a node goes is decided without asking the API server: while that is away or hangs, the node is refused and
   * its host is told to stop all the same.
   */
  function lockOutStep(worker: Worker): Step | undefined {
    const step = nextStep(viewOf(worker, undefined));
    return step?.kind === 'evict' || step?.kind === 'hold' ? step : undefined;
  }

  function viewOf(worker: Worker, node: ClusterNode | undefined): WorkerView {
    const presence = registry.presence(worker.nodeId);
    return {
      worker,
      node,
      fact: facts.factOf(worker, presence?.goodAtMs),
      ban: banOf(registry.bans(), { ...worker, isKnownName: true }),
      presence,
      isBreakerTripped: registry.breaker().trippedAtMs !== undefined,
      isOperatorsName: isOperatorsName(names?.get(worker.nodeId)),
      nowMs: clock.nowMs(),
      cordonGraceMs,
    };
  }

  async function take(step: Step, worker: Worker, signal: AbortSignal): Promise<void> {
    const { nodeId } = worker;
    switch (step.kind) {
      case 'evict':
        return beginOrGoOn(step, worker, signal);
      case 'hold':
        log.warn('A node is held: the breaker has tripped, the operator decides', {
          event: 'node.held',
          node: nodeId,
          reason: step.reason,
        });
        audit.recordLockOut('node.held', { node_id: nodeId, reason: step.reason });
        return registry.decide({ worker: { ...worker, heldFor: step.reason } });
      case 'unhold':
        await audit.note('node.unheld', { node_id: nodeId });
        return registry.save({ worker: { ...worker, heldFor: undefined } });
      case 'lapse':
        return lapse(worker, step.reason, signal);
      case 'remove-node':
        return removeStray(step.reason, worker, signal);
      case 'welcome':
        return welcome(worker);
      case 'mark':
        return cluster.markNode({ nodeId, recordId: worker.recordId }, signal);
      case 'taint':
        return taint(step.reason, worker, signal);
      case 'revoke-credential':
        return revokeSpent(worker, signal);
      default:
        return step satisfies never;
    }
  }

  async function taint(reason: string | undefined, { nodeId }: Worker, signal: AbortSignal): Promise<void> {
    await cluster.holdNode({ nodeId, reason }, signal);
    audit.record(reason === undefined ? 'node.hold_taint_removed' : 'node.hold_tainted', {
      node_id: nodeId,
      reason,
    });
    if (reason === undefined) log.info('A node gets new pods again', { event: 'node.let_go', node: nodeId });
    else log.warn('A node gets no new pods', { event: 'node.hold_tainted', node: nodeId, reason });
  }

  async function beginOrGoOn(
    { reason, isBan }: Extract<Step, { kind: 'evict' }>,
    worker: Worker,
    signal: AbortSignal,
  ): Promise<void> {
    if (worker.status.kind !== 'evicting' && !(await mayEvict(worker, reason))) return;
    if (worker.status.kind !== 'evicting') await decideEviction(worker, reason, { isBan, lock: false });
    await carryOutEviction(worker.nodeId, reason, signal);
  }

  /** Asks the breaker. What it refuses is held at the next look, since the breaker has tripped then. */
  async function mayEvict(worker: Worker, reason: EvictionReason): Promise<boolean> {
    if (!isAdmitted(worker) || !countsForBreaker(reason)) return true;
    // One at a time: of several that read the same count, each would be allowed.
    return locks.run(BREAKER_LOCK, () => askForOne(worker, reason));
  }

  async function askForOne(worker: Worker, reason: EvictionReason): Promise<boolean> {
    const before = registry.breaker();
    const { isAllowed, state } = askBreaker(before, {
      nodeId: worker.nodeId,
      atMs: clock.nowMs(),
      workers: registry.admittedCount(),
    });
    if (state !== before) await registry.decide({ breaker: state });
    if (!isAllowed && before.trippedAtMs === undefined) {
      log.error('The breaker has tripped: too many nodes would go at once', { event: 'breaker.tripped' });
      audit.recordLockOut('breaker.tripped', { node_id: worker.nodeId, reason });
      settleAll();
    }
    return isAllowed;
  }

  /** From here on the node is refused and told to stop, whatever happens to this process. */
  async function decideEviction(
    worker: Worker,
    reason: EvictionReason,
    { isBan, lock }: { readonly isBan: boolean; readonly lock: boolean },
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
    await registry.decide({
      worker: withStatus(
        { ...worker, heldFor: undefined, lockedAtMs: lock ? nowMs : worker.lockedAtMs },
        { kind: 'evicting', reason },
        nowMs,
      ),
      bans,
    });
    log.warn('Evicting a node', { event: 'node.evicting', node: worker.nodeId, reason });
  }

  /**
   * Name, then credential, then Node: in the other order a credential could bring the Node back. A step that fails or
   * hangs keeps the others from nothing but this: while the name is admitted the Node is not deleted, since its password
   * would go with it and the name be open to others. It runs nothing by then.
   */
  async function carryOutEviction(
    nodeId: string,
    reason: EvictionReason,
    signal: AbortSignal,
  ): Promise<void> {
    const failures: unknown[] = [];
    const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        failures.push(error);
        return undefined;
      }
    };
    await attempt(() => closeName(nodeId, signal));
    const isNameOpen = failures.length > 0;
    await attempt(() => revokeCredentials(nodeId, signal));
    const node = (await attempt(() => cluster.node(nodeId, signal))) ?? knownIfUnread(nodeId, failures);
    if (node) {
      await attempt(() => emptyNode(node, reason, signal));
      if (!isNameOpen) await attempt(() => deleteNode(node, signal));
    }
    if (failures.length > 0) throw failures[0];
    await cluster.releaseNodePassword(nodeId, signal);
    const worker = registry.worker(nodeId);
    if (!worker) return;
    audit.recordLockOut('eviction.done', { node_id: nodeId, reason, node_uid: node?.uid });
    await registry.decide({ worker: withStatus(worker, { kind: 'evicted', reason }, clock.nowMs()) });
    log.warn('Evicted a node', { event: 'node.evicted', node: nodeId, reason, uid: node?.uid });
  }

  /** A Node that could not be read is taken to be as the watch saw it last. */
  function knownIfUnread(nodeId: string, failures: readonly unknown[]): ClusterNode | undefined {
    return failures.length > 0 ? watched?.get(nodeId) : undefined;
  }

  async function closeDoor(nodeId: string, signal?: AbortSignal): Promise<void> {
    await closeName(nodeId, signal);
    await revokeCredentials(nodeId, signal);
  }

  async function closeName(nodeId: string, signal?: AbortSignal): Promise<void> {
    // A name that an administrator has reserved since stays: it is no longer ours to free.
    if (isOperatorsName((await cluster.admittedNames(signal)).get(nodeId))) return;
    await cluster.removeName(nodeId, signal);
    audit.recordLockOut('name.removed', { node_id: nodeId });
  }

  async function revokeCredentials(nodeId: string, signal?: AbortSignal): Promise<void> {
    for (const credential of await cluster.joinCredentials(signal)) {
      if (credential.nodeId !== nodeId) continue;
      await cluster.revokeJoinCredential(credential.id, signal);
      audit.recordLockOut('credential.revoked', { node_id: nodeId, credential: credential.id });
    }
  }

  /** A taint that cannot be set keeps no pod on the Node. */
  async function emptyNode(node: ClusterNode, reason: EvictionReason, signal: AbortSignal): Promise<void> {
    const tainted = await Promise.allSettled([
      cluster.cordonAndTaint({ nodeId: node.name, reason }, signal).then(() => {
        audit.recordLockOut('node.tainted', { node_id: node.name, reason, node_uid: node.uid });
      }),
    ]);
    const pods = await cluster.removePods(node.name, signal);
    audit.recordLockOut('node.pods_removed', { node_id: node.name, pods });
    for (const outcome of tainted) if (outcome.status === 'rejected') throw outcome.reason;
  }

  async function deleteNode(node: ClusterNode, signal: AbortSignal): Promise<void> {
    await cluster.deleteNode({ nodeId: node.name, uid: node.uid }, signal);
    audit.recordLockOut('node.deleted', { node_id: node.name, node_uid: node.uid });
  }

  /** A Node that came back although its name is not admitted. */
  async function removeStray(reason: EvictionReason, worker: Worker, signal: AbortSignal): Promise<void> {
    const { nodeId } = worker;
    log.warn('A node came back that is not admitted', { event: 'node.stray', node: nodeId, reason });
    audit.recordLockOut('node.stray', { node_id: nodeId, reason });
    await closeDoor(nodeId, signal);
    const node = await cluster.node(nodeId, signal);
    if (!node) return;
    const emptied = await Promise.allSettled([emptyNode(node, reason, signal)]);
    signal.throwIfAborted();
    await deleteNode(node, signal);
    for (const outcome of emptied) if (outcome.status === 'rejected') throw outcome.reason;
  }

  async function lapse(worker: Worker, reason: LapseReason, signal?: AbortSignal): Promise<void> {
    await closeDoor(worker.nodeId, signal);
    await cluster.releaseNodePassword(worker.nodeId, signal);
    audit.recordLockOut('admission.lapsed', { node_id: worker.nodeId, reason });
    await registry.decide({ worker: withStatus(worker, { kind: 'lapsed', reason }, clock.nowMs()) });
    log.info('An admission has ended', { event: 'node.lapsed', node: worker.nodeId, reason });
  }

  async function welcome(worker: Worker): Promise<void> {
    const status = { kind: 'member', credential: credentialOf(worker) } as const;
    // It is there already: nothing is let in by this, and its credential is revoked after it.
    audit.record('node.appeared', { node_id: worker.nodeId });
    await registry.decide({ worker: withStatus(worker, status, clock.nowMs()) });
    log.info('A node has appeared', { event: 'node.appeared', node: worker.nodeId });
  }

  async function revokeSpent(worker: Worker, signal: AbortSignal): Promise<void> {
    const credential = credentialOf(worker);
    if (!credential) return;
    await cluster.revokeJoinCredential(credential.id, signal);
    audit.recordLockOut('credential.revoked', { node_id: worker.nodeId, credential: credential.id });
    await registry.decide({
      worker: withStatus(worker, { kind: 'member', credential: undefined }, worker.statusSinceMs),
    });
  }

  function settleAll(): void {
    sweep.askForAll();
  }

  /** The watch's view tells cheaply whether a closer look is worth a question to the API server. */
  function settleIfDue(worker: Worker): void {
    const view = viewOf(worker, watched?.get(worker.nodeId));
    const step = nextStep(view);
    noteNextLook(view);
    // Before the first list no Node is known, which does not mean that there is none.
    const isGuess = step?.kind === 'lapse' && step.reason === 'node_deleted' && watched === undefined;
    if (step && !isGuess) queue.add(worker.nodeId, { isUrgent: isLockOut(step) });
  }

  function noteNextLook(view: WorkerView): void {
    const atMs = nextLookAtMs(view);
    sweep.lookAt(view.worker.nodeId, atMs && clock.monotonicMs() + atMs - view.nowMs);
  }

  function settle(nodeId: string): void {
    const worker = registry.worker(nodeId);
    if (worker) settleIfDue(worker);
  }

  function onNodes(change: NodeChange): void {
    if (change.kind === 'listed') {
      onList(change.nodes);
      return;
    }
    watched ??= new Map();
    const { name } = change.node;
    const isThere = change.kind !== 'deleted';
    if (isThere) watched.set(name, change.node);
    else watched.delete(name);
    if (change.kind === 'added') noteCame(name);
    if (!isThere) note(name, 'gone');
    settle(name);
  }

  function onList(nodes: readonly ClusterNode[]): void {
    const before = watched;
    watched = new Map(nodes.map((node) => [node.name, node]));
    for (const [name, { uid }] of before ?? []) if (watched.get(name)?.uid !== uid) note(name, 'gone');
    if (before) for (const { name, uid } of nodes) if (before.get(name)?.uid !== uid) noteCame(name);
    // Names are judged by their Nodes: the first pass had none to judge by.
    if (!before) isPassDue = true;
    settleAll();
  }

  /** A Node of a worker is not the operator's: its name is not looked up. */
  function noteCame(name: string): void {
    const worker = registry.worker(name);
    if (!(worker && isAdmitted(worker))) note(name, 'came');
  }

  function note(name: string, sighting: Sighting): void {
    sightings.add(name, sighting);
    queue.add(name);
  }

  async function relist({ name, from, to }: DueListing, signal: AbortSignal): Promise<void> {
    if (!(await cluster.relistName({ name, from, to }, signal))) return;
    audit.record('name.relisted', { node_id: name, from, to });
    log.warn('A name of the operator has another listing now', {
      event: 'name.relisted',
      node: name,
      from,
      to,
    });
  }

  /** The watch may be behind a list that was written with the newest Node in view: the API server has the last word. */
  async function relistDue(due: DueListing, signal: AbortSignal): Promise<void> {
    if (due.to === RESERVED && (await cluster.node(due.name, signal))) return;
    await relist(due, signal);
  }

  /** What no event tells: names and credentials that should not be there, time that has passed. */
  async function fullPass(signal: AbortSignal): Promise<void> {
    names = await cluster.admittedNames(signal);
    for (const [nodeId, tier] of names) if (isLeftOverName(nodeId, tier)) await dropName(nodeId, signal);
    if (watched) {
      const nowMs = clock.monotonicMs();
      for (const due of dueListings({ names, nodes: watched, firstSeenAtMs: expectedSinceMs, nowMs }))
        await relistDue(due, signal);
    }
    for (const { id, nodeId } of await cluster.joinCredentials(signal)) {
      if (isExpected(nodeId, id)) continue;
      await locks.run(nodeId, async () => {
        // An admission may just have made it: only now, with the lock, is its worker's word final.
        if (isExpected(nodeId, id)) return;
        await cluster.revokeJoinCredential(id, signal);
        audit.recordLockOut('credential.revoked', { node_id: nodeId, credential: id, reason: 'left_over' });
      });
    }
    const listed = names;
    await inSlicesOf(SWEEP_SLICE, registry.workers(), async (worker) => {
      if (isAdmitted(worker) && !listed.has(worker.nodeId)) await restoreName(worker.nodeId, signal);
      await forgetIfOver(worker);
    });
    settleAll();
  }

  /** The binding of a name ends with its record and its Node; it is kept a day longer, so that its host hears why. */
  async function forgetIfOver({ nodeId }: Worker): Promise<void> {
    const isOver = () => {
      const worker = registry.worker(nodeId);
      if (!worker || !hasLeft(worker)) return false;
      if (worker.lockedAtMs !== undefined || watched?.has(nodeId) !== false) return false;
      const fact = facts.factOf(worker, undefined);
      const hasEnded = fact.kind === 'bad' && endings.has(fact.reason);
      return hasEnded && clock.nowMs() - worker.statusSinceMs > bindingTailMs;
    };
    if (!isOver()) return;
    await locks.run(nodeId, async () => {
      if (!isOver()) return;
      await audit.note('name.unbound', { node_id: nodeId });
      await registry.forget(nodeId);
    });
  }

  /** Names with a tier are ours alone; one without an admitted worker is what a crash or a lost store left behind. */
  function isLeftOverName(nodeId: string, tier: string): boolean {
    const worker = registry.worker(nodeId);
    if (worker) return !isAdmitted(worker) && worker.status.kind !== 'admitting' && tier === worker.tier;
    return !isOperatorsName(tier) && watched !== undefined && !watched.has(nodeId);
  }

  function isExpected(nodeId: string, credentialId: string): boolean {
    const worker = registry.worker(nodeId);
    return worker !== undefined && credentialOf(worker)?.id === credentialId;
  }

  function dropName(nodeId: string, signal: AbortSignal): Promise<void> {
    return locks.run(nodeId, async () => {
      const worker = registry.worker(nodeId);
      if (worker && isAdmitted(worker)) return;
      await cluster.removeName(nodeId, signal);
      audit.recordLockOut('name.removed', { node_id: nodeId, reason: 'left_over' });
    });
  }

  function restoreName(nodeId: string, signal: AbortSignal): Promise<void> {
    return locks.run(nodeId, async () => {
      const worker = registry.worker(nodeId);
      // Only beside its Node: without one, the password that reserves the name may be gone too.
      if (worker?.status.kind !== 'member' || !(await cluster.node(nodeId, signal))) return;
      await cluster.admitName({ nodeId, tier: worker.tier }, signal);
      await audit.note('name.restored', { node_id: nodeId });
    });
  }

  async function watchLoop(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await cluster.watchNodes(onNodes, signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn('The watch on nodes has failed', { detail: messageOf(error) });
      }
      await clock.sleep(1_000, signal).catch(() => undefined);
    }
  }

  async function passLoop(signal: AbortSignal): Promise<void> {
    let nextPassMs = 0;
    while (!signal.aborted) {
      try {
        if (isPassDue || clock.monotonicMs() >= nextPassMs) {
          isPassDue = false;
          await fullPass(signal);
          nextPassMs = clock.monotonicMs() + fullPassMs;
        } else sweep.lookAround(clock.monotonicMs());
      } catch (error) {
        isPassDue = true;
        if (!signal.aborted) log.warn('A pass over the cluster has failed', { detail: messageOf(error) });
      }
      // Credentials end without an event.
      await clock.sleep(Math.min(2_000, fullPassMs), signal).catch(() => undefined);
    }
  }

  return {
    settle,
    settleAll,
    evict(nodeId, reason, { lock }) {
      // Cuts off other work on the node, which has its lock.
      queue.add(nodeId, { isUrgent: true });
      return locks.run(nodeId, async () => {
        const worker = registry.worker(nodeId);
        if (!worker) return;
        if (worker.status.kind === 'evicting' || worker.status.kind === 'evicted') {
          if (lock) await registry.decide({ worker: { ...worker, lockedAtMs: clock.nowMs() } });
        } else await decideEviction(worker, reason, { isBan: false, lock });
        queue.add(nodeId, { isUrgent: true });
      });
    },
    nodes: () => watched,
    names: () => names,
    lapse,
    async run(signal) {
      try {
        await Promise.all([watchLoop(signal), passLoop(signal)]);
      } finally {
        await queue.close();
      }
    },
  };
}

/** What takes a node out of the cluster, rather than into it. */
function isLockOut({ kind }: Step): boolean {
  return kind === 'evict' || kind === 'hold' || kind === 'remove-node' || kind === 'lapse';
}

export function withStatus(worker: Worker, status: WorkerStatus, nowMs: number): Worker {
  return { ...worker, status, statusSinceMs: nowMs };
}

/**
 * What a slash bans: the node id, the key that signed an admitted registration for the record, and new names of the
 * staker. His other nodes are judged by their own facts.
 */
export function bansFor(
  worker: Pick<Worker, 'nodeId' | 'holderKey' | 'staker' | 'recordId'>,
  reason: string,
  sinceMs: number,
): readonly Ban[] {
  const common = { reason, sinceMs, recordId: worker.recordId };
  return [
    { subject: 'node_id', value: worker.nodeId, ...common },
    { subject: 'node_key', value: worker.holderKey, ...common },
    { subject: 'staker', value: worker.staker, ...common },
  ];
}
