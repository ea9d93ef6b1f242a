import type { z } from 'zod';
import { ApiProblem } from './api-problem.ts';
import { type Ban, banKey, isOperators } from './bans.ts';
import { BREAKER_LOCK, resetBreaker } from './breaker.ts';
import { isStanding } from './claims.ts';
import type { Locks } from './locks.ts';
import { boundHolder } from './name-history.ts';
import { heldWorkers, type ViewSources } from './operator-views.ts';
import type { BanCommand, EvictCommand, NodeCommand, UnbanCommand } from './operator-wire.ts';
import type { Registry } from './registry.ts';
import { hasLeft, isAdmitted, type Worker } from './worker.ts';

/** What the operator's commands work with. */
export interface CommandContext extends ViewSources {
  readonly locks: Locks;
}

/** A command that was looked at and not carried out yet. */
export interface Prepared {
  /** One sentence each. Empty: there is nothing to do. */
  readonly actions: readonly string[];
  readonly carryOut: () => Promise<void>;
}

export function prepareEvict(
  { registry, reconciler }: CommandContext,
  { node_id: nodeId, lock }: z.infer<typeof EvictCommand>,
): Prepared {
  const worker = known(registry, nodeId);
  const isOut = worker.status.kind === 'evicted';
  const isNewLock = lock && worker.lockedAtMs === undefined;
  return {
    actions: [
      ...(isOut ? [] : [`evict ${nodeId}: name, join credential, pods, Node`]),
      ...(isNewLock ? [`refuse registrations of ${nodeId} until unlock`] : []),
    ],
    carryOut: () => reconciler.evict(nodeId, 'evicted', { lock }),
  };
}

export function prepareBan(
  { registry, reconciler, clock }: CommandContext,
  { target, reason }: z.infer<typeof BanCommand>,
): Prepared {
  const ban: Ban = { ...target, reason, sinceMs: clock.nowMs(), recordId: undefined };
  const running = registry
    .workers()
    .filter((worker) => isAdmitted(worker) && isHit(ban, worker))
    .map((worker) => worker.nodeId);
  const standing = registry.bans().get(banKey(ban));
  return {
    // One that a slash has set means less (`isShutOut`), and gives way.
    actions:
      standing && isOperators(standing)
        ? []
        : [`ban ${ban.subject} ${ban.value}`, ...running.map((nodeId) => `evict ${nodeId}`)],
    async carryOut() {
      await registry.decide({ bans: [ban] });
      for (const nodeId of running) reconciler.enqueue(nodeId);
    },
  };
}

export function prepareUnban(
  { registry }: CommandContext,
  { target }: z.infer<typeof UnbanCommand>,
): Prepared {
  const isBanned = registry.bans().has(banKey(target));
  return {
    actions: isBanned ? [`lift the ban of ${target.subject} ${target.value}`] : [],
    carryOut: () => registry.save({ lifted: [target] }),
  };
}

export function prepareRelease(
  context: CommandContext,
  { node_id: nodeId }: z.infer<typeof NodeCommand>,
): Prepared {
  const isUnbound = !context.registry.worker(nodeId) && !context.registry.claims().has(nodeId);
  const last = boundHolder(context.registry.history(nodeId), context.clock.nowMs());
  if (isUnbound && last) return prepareUnbinding(context, nodeId);
  const { registry, clock } = context;
  const claim = registry.claims().get(nodeId);
  const isClaimed = claim !== undefined && isStanding(claim, clock.nowMs());
  // A claimed name needs no worker of ours.
  const worker = isClaimed ? registry.worker(nodeId) : known(registry, nodeId);
  if (worker && !hasLeft(worker) && !isClaimed)
    throw new ApiProblem('request_invalid', `${nodeId} is ${worker.status.kind}: evict it first`);
  const isBound = worker !== undefined && hasLeft(worker);
  return {
    actions: [
      ...(isClaimed
        ? [`open the claimed name ${nodeId}: whoever has claimed it may have a certificate of it`]
        : []),
      ...(isBound ? [`free the name ${nodeId} of its binding to staker ${worker.staker}`] : []),
    ],
    carryOut: () => release(context, nodeId),
  };
}

function release({ registry, locks, clock }: CommandContext, nodeId: string): Promise<void> {
  return locks.run(nodeId, async () => {
    const claim = registry.claims().get(nodeId);
    // Kept, so that its Secret, which stands for a while, is not taken for a new claim.
    if (claim) await registry.save({ claims: [{ ...claim, releasedAtMs: clock.nowMs() }] });
    const now = registry.worker(nodeId);
    // An admission or an eviction may have begun since, which need what is known of the node.
    if (!now || !hasLeft(now)) return;
    await registry.forget(nodeId);
    await registry.save({ history: { ...registry.history(nodeId), releasedAtMs: clock.nowMs() } });
  });
}

/** Of a name whose worker is forgotten: before Kubernetes 1.32 it stays bound for as long as a certificate can live. */
function prepareUnbinding({ registry, locks, clock }: CommandContext, nodeId: string): Prepared {
  return {
    actions: [
      `free the name ${nodeId}: before Kubernetes 1.32 a certificate of an earlier holder can take it over`,
    ],
    carryOut: () =>
      locks.run(nodeId, async () => {
        if (!registry.worker(nodeId))
          await registry.save({ history: { ...registry.history(nodeId), releasedAtMs: clock.nowMs() } });
      }),
  };
}

export function prepareUnlock(
  { registry, locks }: CommandContext,
  { node_id: nodeId }: z.infer<typeof NodeCommand>,
): Prepared {
  const worker = known(registry, nodeId);
  const isClosed = worker.lockedAtMs !== undefined || worker.clone !== undefined;
  return {
    actions: isClosed ? [`accept registrations of ${nodeId} again`] : [],
    carryOut: () =>
      locks.run(nodeId, async () => {
        const now = registry.worker(nodeId);
        if (now) await registry.save({ worker: { ...now, lockedAtMs: undefined, clone: undefined } });
      }),
  };
}

export function prepareBreakerReset({ registry, reconciler, locks, clock }: CommandContext): Prepared {
  const isTripped = registry.breaker().trippedAtMs !== undefined;
  const evictions = heldWorkers(registry).map(({ nodeId }) => `evict ${nodeId} if its facts are still bad`);
  return {
    actions: isTripped ? ['reset the breaker', ...evictions] : [],
    async carryOut() {
      await locks.run(BREAKER_LOCK, () =>
        registry.save({ breaker: resetBreaker(heldWorkers(registry), clock.nowMs()) }),
      );
      reconciler.enqueueAll();
    },
  };
}

function known(registry: Registry, nodeId: string): Worker {
  const worker = registry.worker(nodeId);
  if (!worker)
    throw new ApiProblem(
      'not_found',
      `this gateway has admitted no node '${nodeId}', and touches no others: 'k3s-daas gateway nodes --all' lists its own`,
    );
  return worker;
}

/** Whether a ban evicts a node that runs. A banned staker keeps the existing nodes. */
function isHit({ subject, value }: Ban, worker: Worker): boolean {
  if (subject === 'node_id') return worker.nodeId === value;
  return subject === 'node_key' && worker.holderKey === value;
}
