import { errorFields } from '#base';
import { KubeStatusError } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { LEASE_NAMESPACE } from './words.ts';

/** When the kubelet of a Node last renewed its Lease; `undefined` without one, or without the right to read it. */
export async function leaseRenewedAtMs(
  { api, log }: KubernetesContext,
  name: string,
  signal: AbortSignal | undefined,
): Promise<number | undefined> {
  try {
    const lease = await api.call(
      `read the Lease of node ${name}`,
      (given) => api.coordination.readNamespacedLease({ name, namespace: LEASE_NAMESPACE }, given),
      { signal },
    );
    // The client makes an invalid Date of a time that it cannot read.
    const atMs = lease.spec?.renewTime ? new Date(lease.spec.renewTime).getTime() : Number.NaN;
    return Number.isNaN(atMs) ? undefined : atMs;
  } catch (error) {
    if (!(error instanceof KubeStatusError) || (error.status !== 404 && error.status !== 403)) throw error;
    // A cluster that an earlier version set up gives no right to read Leases: the Ready condition alone decides there.
    if (error.status === 403) log.warn('The Leases of nodes cannot be read', errorFields(error));
    return undefined;
  }
}
