import type { Machine } from '#seal';
import { ApiProblem } from './api-problem.ts';
import type { Audit } from './audit.ts';
import { refuseElsewhere } from './elsewhere.ts';
import type { Reconciler } from './reconciler.ts';
import type { Registry } from './registry.ts';
import type { Holder } from './verifier.ts';
import { isAdmitted, type Worker } from './worker.ts';

/** A node that takes itself out of the cluster, as an operator's `evict` would: bans nothing, and counts for no breaker. */
export interface Departures {
  /**
   * Idempotent: `left` once pods, Node, name and join credential are gone.
   * @throws `ApiProblem` node_in_use, or node_cloned, for a machine that does not run the node.
   */
  leave(holder: Holder, requestId: string): Promise<'leaving' | 'left'>;
}

export interface DeparturesOptions {
  readonly registry: Registry;
  readonly reconciler: Pick<Reconciler, 'evict' | 'nodes'>;
  readonly audit: Audit;
}

export function createDepartures({ registry, reconciler, audit }: DeparturesOptions): Departures {
  return {
    async leave({ worker, machine }, requestId) {
      const { nodeId } = worker;
      if (worker.status.kind === 'evicted') return 'left';
      if (isAdmitted(worker)) {
        refuseElsewhere(worker, machine, reconciler.nodes()?.get(nodeId));
        // A full disk does not keep a node in the cluster.
        audit.recordLockOut('node.leaves', { request_id: requestId, node_id: nodeId });
      }
      await reconciler.evict(nodeId, 'left', { lock: false });
      return registry.worker(nodeId)?.status.kind === 'evicted' ? 'left' : 'leaving';
    },
  };
}

/**
 * The same process registers again after its node has left: it has not heard yet that it has to stop. A host that somebody starts
 * later is another process.
 */
export function refuseAfterLeaving(
  { nodeId, status, machine }: Worker,
  applicant: Machine | undefined,
): void {
  const hasLeft = (status.kind === 'evicting' || status.kind === 'evicted') && status.reason === 'left';
  if (!hasLeft || !machine || applicant?.runId !== machine.runId) return;
  throw new ApiProblem(
    'node_left',
    `node ${nodeId} has left the cluster while this process ran: start its host again to come back`,
  );
}
