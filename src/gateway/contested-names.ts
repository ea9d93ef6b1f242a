import type { Clock } from '#base';
import type { AdmittedName, ContestReason } from '#domain';
import type { Audit } from './audit.ts';
import { contestOf, type NameHistory, type Suspicion } from './name-history.ts';
import type { Registry } from './registry.ts';
import { isAdmitted, vouchesOf, type Worker } from './worker.ts';

type Known = Pick<Registry, 'history' | 'claims' | 'moment'>;

interface Sight {
  readonly registry: Known;
  readonly clock: Clock;
}

/** A worker's name as the cluster is to know it now. */
export function admittedNameOf(sight: Sight, worker: Worker): AdmittedName {
  const { nodeId, tier } = worker;
  return { nodeId, tier, vouches: vouchesOf(worker), isContested: isContested(sight, worker) };
}

/** Whether somebody else than this worker may have a living certificate of its name. */
export function isContested({ registry, clock }: Sight, worker: Worker): boolean {
  const { nodeId } = worker;
  const suspicion = { ...suspicionOf(registry, nodeId), nowMs: clock.nowMs() };
  return contestOf(registry.history(nodeId), worker, suspicion) !== undefined;
}

function suspicionOf(registry: Known, nodeId: string): Suspicion {
  return { claim: registry.claims().get(nodeId), unseenAtMs: registry.moment('names-unseen') };
}

/** Whether something has spoken against the name since then. */
export function isSuspectSince(registry: Known, nodeId: string, sinceMs: number): boolean {
  const { claim, unseenAtMs = 0 } = suspicionOf(registry, nodeId);
  const marks = registry.history(nodeId).marks.map(({ atMs }) => atMs);
  return Math.max(unseenAtMs, claim?.seenAtMs ?? 0, ...marks) >= sinceMs;
}

/** A mark of the same kind only becomes newer. */
export function withMark(history: NameHistory, reason: ContestReason, atMs: number): NameHistory {
  return { ...history, marks: [...history.marks.filter((mark) => mark.reason !== reason), { reason, atMs }] };
}

interface Relisting {
  readonly registry: Registry;
  readonly audit: Audit;
  readonly reconciler: { enqueue(nodeId: string): void };
}

/** Has names listed anew once they are contested; those that no worker holds are judged when one comes. */
export async function relistContested(
  { registry, audit, reconciler }: Relisting,
  nodeIds: readonly string[],
  reason: ContestReason,
): Promise<void> {
  const held = nodeIds
    .map((nodeId) => registry.worker(nodeId))
    .filter((worker) => worker !== undefined)
    .filter(isAdmitted);
  await Promise.all(
    held.map((worker) => {
      audit.recordLockOut('name.contested', { node_id: worker.nodeId, reason });
      return registry.decide({ worker: { ...worker, isListingDue: true } });
    }),
  );
  for (const { nodeId } of held) reconciler.enqueue(nodeId);
}
