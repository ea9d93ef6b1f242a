import type {
  KubernetesObject,
  V1ClusterRole,
  V1ClusterRoleBinding,
  V1PolicyRule,
  V1Secret,
  V1ServiceAccount,
} from '@kubernetes/client-node';
import { bindableRoles, personRoles } from './person-roles.ts';
import { strictTerms, type TenantTerms } from './tenant-terms.ts';
import { MANAGED_BY, OURS, SYSTEM_NAMESPACE } from './words.ts';

const KEEPER = 'k3s-daas-tenants';
/** The Secret that holds the keeper's token. */
export const KEEPER_TOKEN = 'k3s-daas-tenants-token';
export const KEEPER_USER = `system:serviceaccount:${SYSTEM_NAMESPACE}:${KEEPER}`;

const rbac = 'rbac.authorization.k8s.io';
const labels = { [MANAGED_BY]: OURS };

/**
 * Makes namespaces and what limits them, and keeps it so; binds the shipped roles, and those that the operator maps, alone. It
 * reads no Secret and no pod. `tenantPolicies` narrows all of it to namespaces of people.
 */
function keeperRules({ ownRoles, removesNamespaces }: TenantTerms): V1PolicyRule[] {
  const keep = ['get', 'list', 'create', 'update'];
  const namespaces = removesNamespaces ? [...keep, 'delete'] : keep;
  const resourceNames = [...new Set([...bindableRoles(), ...ownRoles])];
  return [
    { apiGroups: [''], resources: ['namespaces'], verbs: namespaces },
    { apiGroups: [''], resources: ['resourcequotas', 'limitranges'], verbs: keep },
    { apiGroups: [''], resources: ['events'], verbs: ['create'] },
    { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: keep },
    { apiGroups: [rbac], resources: ['rolebindings'], verbs: [...keep, 'delete'] },
    { apiGroups: [rbac], resources: ['clusterroles'], resourceNames, verbs: ['bind'] },
  ];
}

/**
 * The keeper of people's namespaces: an identity apart from that of the gateway's public part, bound to namespaces with our
 * label by a policy.
 */
export function tenantObjects(terms: TenantTerms = strictTerms): KubernetesObject[] {
  const account: V1ServiceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: KEEPER, namespace: SYSTEM_NAMESPACE, labels },
    automountServiceAccountToken: false,
  };
  const token: V1Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: KEEPER_TOKEN,
      namespace: SYSTEM_NAMESPACE,
      labels,
      annotations: { 'kubernetes.io/service-account.name': KEEPER },
    },
    type: 'kubernetes.io/service-account-token',
  };
  const role: V1ClusterRole = {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRole',
    metadata: { name: KEEPER, labels },
    rules: keeperRules(terms),
  };
  const binding: V1ClusterRoleBinding = {
    apiVersion: `${rbac}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: KEEPER, labels },
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: KEEPER },
    subjects: [{ kind: 'ServiceAccount', name: KEEPER, namespace: SYSTEM_NAMESPACE }],
  };
  return [account, token, ...personRoles(), role, binding];
}
