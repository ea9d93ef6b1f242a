import type { V1Role, V1RoleBinding } from '@kubernetes/client-node';
import { explainMissingSetup } from './admitted-names.ts';
import { absentIsFine, conflictIsFine } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { NAMES_GROUP } from './name-role.ts';
import { isSameSpec } from './policy-pair.ts';
import { ADDRESS_HOLDER, ADDRESSES } from './reported-addresses.ts';
import { MANAGED_BY, OURS } from './words.ts';

const rbac = 'rbac.authorization.k8s.io';
/** No node can have this name: beside it are the Roles of the nodes, each with the name of its node. */
const name = 'k3s-daas:operators-addresses';
const { namespace } = ADDRESS_HOLDER;
const metadata = { name, namespace, labels: { [MANAGED_BY]: OURS } };

export const isListOfAddresses = (role: V1Role): boolean => role.metadata?.name === name;

const roleOf = (addresses: readonly string[]): V1Role => ({
  apiVersion: `${rbac}/v1`,
  kind: 'Role',
  metadata,
  // A rule without names would hold for all addresses.
  rules:
    addresses.length === 0
      ? []
      : [
          {
            apiGroups: [NAMES_GROUP],
            resources: [ADDRESSES],
            verbs: ['hold'],
            resourceNames: [...addresses].sort(),
          },
        ],
});

const binding: V1RoleBinding = {
  apiVersion: `${rbac}/v1`,
  kind: 'RoleBinding',
  metadata,
  roleRef: { apiGroup: rbac, kind: 'Role', name },
  subjects: [{ kind: 'ServiceAccount', ...ADDRESS_HOLDER }],
};

/**
 * Lists the addresses of the operator's Nodes, in canonical form (RFC 5952): no staked Node may report one of them from now on.
 * @throws `DAAS_CLUSTER_NOT_SET_UP`.
 */
export async function holdAddresses(
  { api }: Pick<KubernetesContext, 'api'>,
  addresses: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const call = <T>(
    what: string,
    body: (given: Parameters<Parameters<typeof api.call>[1]>[0]) => Promise<T>,
  ) => api.call(`${what} the addresses of the operator’s Nodes`, body, { signal });
  const body = roleOf(addresses);
  const role = await absentIsFine(
    call('read', (given) => api.rbac.readNamespacedRole({ name, namespace }, given)),
  );
  if (!role)
    await call('list', (given) => api.rbac.createNamespacedRole({ namespace, body }, given)).catch(
      explainMissingSetup,
    );
  else if (!isSameSpec(role.rules, body.rules)) {
    const resourceVersion = role.metadata?.resourceVersion;
    const versioned = Object.assign({}, body, {
      metadata: { ...metadata, ...(resourceVersion && { resourceVersion }) },
    });
    await call('change', (given) =>
      api.rbac.replaceNamespacedRole({ name, namespace, body: versioned }, given),
    );
  }
  // It never changes.
  await conflictIsFine(
    call('bind', (given) => api.rbac.createNamespacedRoleBinding({ namespace, body: binding }, given)),
  );
}
