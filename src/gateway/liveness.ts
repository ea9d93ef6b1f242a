import type { ClusterNode } from '#domain';

/** How long a kubelet may be silent; Kubernetes itself waits 40 to 50 s before it calls a Node Unknown. */
const KUBELET_GRACE_MS = 40_000;

/**
 * Whether a kubelet runs behind this Node, as the API server knows it. Nothing that the node's own key can sign counts: its
 * thief would say that the agent is down, and get a join credential in its place.
 *
 * The condition is the node controller's, by its own clock. The Lease is needed after an outage of the server, when every
 * Node is called Unknown until its kubelet reports; its time is by the worker's clock, so one that is far off says nothing.
 */
export function isKubeletHeard(
  { isKubeletSilent }: Pick<ClusterNode, 'isKubeletSilent'>,
  leaseRenewedAtMs: number | undefined,
  nowMs: number,
): boolean {
  if (!isKubeletSilent) return true;
  return leaseRenewedAtMs !== undefined && Math.abs(nowMs - leaseRenewedAtMs) < KUBELET_GRACE_MS;
}
