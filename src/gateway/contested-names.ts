import type { Clock } from '#base';
import type { AdmittedName, ContestedNames, ContestReason } from '#domain';
import type { Audit } from './audit.ts';
import { contestOf, type NameHistory } from './name-history.ts';
import type { Registry } from './registry.ts';
import { isAdmitted, vouchesOf, type Worker } from './worker.ts';

/** A worker's name as the cluster is to know it now. */
export function admittedNameOf(
  { registry, clock }: { readonly registry: Registry; readonly clock: Clock },
  worker: Worker,
): AdmittedName {
  const { nodeId, tier } = worker;
  const contest = contestOf(registry.history(nodeId), worker, clock.nowMs());
  return { nodeId, tier, vouches: vouchesOf(worker), isContested: contest !== undefined };
}

/** A mark of the same kind only becomes newer. */
export function withMark(history: NameHistory, reason: ContestReason, atMs: number): NameHistory {
  return { ...history, marks: [...history.marks.filter((mark) => mark.reason !== reason), { reason, atMs }] };
}

interface ContestContext {
  readonly registry: Registry;
  readonly audit: Audit;
  readonly clock: Clock;
  /** Has the name listed anew. */
  readonly enqueue: (nodeId: string) => void;
}

/** Where claims and blind moments are noted. A name that somebody holds is listed anew at once. */
export function createContestedNames({ registry, audit, clock, enqueue }: ContestContext): ContestedNames {
  return {
    async markContested(nodeId, reason) {
      const history = withMark(registry.history(nodeId), reason, clock.nowMs());
      audit.recordLockOut('name.contested', { node_id: nodeId, reason });
      const worker = registry.worker(nodeId);
      const isHeld = worker !== undefined && isAdmitted(worker);
      await registry.decide({ history, ...(isHeld && { worker: { ...worker, isListingDue: true } }) });
      if (isHeld) enqueue(nodeId);
    },
  };
}
