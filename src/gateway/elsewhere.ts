import type { KubernetesNode } from '#domain';
import type { Machine } from '#seal';
import { cloned, inUse } from './clones.ts';
import type { Worker } from './worker.ts';

/** When somebody on another machine may ask again: it may be the host's machine after a restart. */
const retryMs = 10_000;

/**
 * A thief of the node key must not end the node, nor have certificates vouched for.
 * @throws `ApiProblem` node_in_use, or node_cloned, for a proof that was made where the node does not run.
 */
export function refuseElsewhere(
  worker: Worker,
  machine: Machine | undefined,
  node: KubernetesNode | undefined,
): void {
  if (!isElsewhere(worker, machine, node)) return;
  throw worker.clone ? cloned(worker.nodeId) : inUse(worker.nodeId, retryMs);
}

/** The machine may have been restarted since the node registered, and its kubelet not. */
function isElsewhere(
  { machine: last, clone }: Worker,
  machine: Machine | undefined,
  node: KubernetesNode | undefined,
): boolean {
  const served = clone?.served.machine ?? last;
  if (!served || machine?.bootId === served.bootId) return false;
  const isRestarted =
    !clone && !node?.isReady && served.machineId !== undefined && machine?.machineId === served.machineId;
  return !isRestarted;
}
