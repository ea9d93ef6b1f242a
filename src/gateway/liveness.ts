import type { KubernetesNode } from '#domain';

/** How long a kubelet may be silent. Kubernetes itself waits 40 to 50 s before it marks a Node as Unknown. */
const KUBELET_GRACE_MS = 40_000;

/**
 * Whether a kubelet runs behind this Node, as the API server knows it. Nothing that the node's own key can sign counts: a
 * thief of the key would report that the agent is down, and get a join credential in its place.
 *
 * The Ready condition is set by the node controller, by its own clock. The Lease is needed after an outage of the server,
 * when every Node is Unknown until its kubelet reports. Its time is by the worker's clock: one that is far off does not
 * count.
 */
export function isKubeletHeard(
  { isKubeletSilent }: Pick<KubernetesNode, 'isKubeletSilent'>,
  leaseRenewedAtMs: number | undefined,
  nowMs: number,
): boolean {
  if (!isKubeletSilent) return true;
  return leaseRenewedAtMs !== undefined && Math.abs(nowMs - leaseRenewedAtMs) < KUBELET_GRACE_MS;
}
