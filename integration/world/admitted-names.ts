import { listingOfRole, nameNamespaces } from '#cluster';
import type { KubernetesApi } from './kubernetes.ts';

/** The listed names, read as an administrator would. */
export async function admittedNamesOf(kubernetes: KubernetesApi): Promise<ReadonlyMap<string, string>> {
  const names = new Map<string, string>();
  for (const namespace of nameNamespaces()) {
    const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/roles`;
    for (const role of (await kubernetes.get(path)).body.items) {
      const listing = listingOfRole(role);
      if (listing !== undefined) names.set(role.metadata.name, listing);
    }
  }
  return names;
}
