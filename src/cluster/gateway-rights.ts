import type {
  KubernetesObject,
  RbacV1Subject,
  V1ClusterRole,
  V1ClusterRoleBinding,
  V1Lease,
  V1Namespace,
  V1PolicyRule,
  V1Role,
  V1RoleBinding,
  V1Secret,
  V1ServiceAccount,
} from '@kubernetes/client-node';
import { CERTIFICATES, LISTINGS, NAMES_GROUP, NODE_NAMES } from './name-role.ts';
import { nameNamespaces } from './name-shards.ts';
import { nodePolicies } from './node-policies.ts';
import { gatewaySecretsPolicy } from './policy.ts';
import type { PolicyPair } from './policy-pair.ts';
import { ADDRESSES } from './reported-addresses.ts';
import { stakedNodeObjects, stakedNodesPolicy } from './staked-node-resource.ts';
import { tenantPolicies } from './tenant-policies.ts';
import type { TenantTerms } from './tenant-terms.ts';
import {
  CLIENT_CA_CONFIG_MAP,
  LEASE_NAMESPACE,
  MANAGED_BY,
  OURS,
  STATE_LEASE,
  STATE_NAMESPACE,
  SYSTEM_NAMESPACE,
} from './words.ts';

/** As whom the gateway speaks to the API server: the ServiceAccount that `setup` makes, or the user of a certificate. */
export type GatewayIdentity =
  | { readonly kind: 'service-account' }
  | { readonly kind: 'user'; readonly name: string };

/** What the operator's configuration adds to a set-up. */
export interface SetupTerms {
  /** What the keeper of people's namespaces may do; the strictest unless given. */
  readonly tenants?: TenantTerms | undefined;
  /** The definition of StakedNodes too. */
  readonly stakedNodes?: boolean | undefined;
}

const GATEWAY_NAME = 'k3s-daas-gateway';
const NAMES_ROLE = 'k3s-daas-gateway-names';
/** No node can have this name: beside it are the bindings of the nodes, each with the name of its node. */
const NAMES_BINDING = 'k3s-daas:gateway';
/** The Secret that holds the token of the gateway's ServiceAccount. */
export const GATEWAY_TOKEN = 'k3s-daas-gateway-token';

/** The user name that the API server gives this identity. */
export const usernameOf = (identity: GatewayIdentity): string =>
  identity.kind === 'user' ? identity.name : `system:serviceaccount:${SYSTEM_NAMESPACE}:${GATEWAY_NAME}`;

const rbac = 'rbac.authorization.k8s.io';
const labels = { [MANAGED_BY]: OURS };

/** Everything in the cluster: Nodes and their pods, and a look at the policies it relies on. */
const clusterRules: V1PolicyRule[] = [
  { apiGroups: [''], resources: ['nodes'], verbs: ['get', 'list', 'watch', 'patch', 'delete'] },
  { apiGroups: [''], resources: ['pods'], verbs: ['list', 'delete'] },
  { apiGroups: [''], resources: ['pods/eviction'], verbs: ['create'] },
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['validatingadmissionpolicies', 'validatingadmissionpolicybindings'],
    resourceNames: nodePolicies().map(({ policy }) => policy.metadata?.name ?? ''),
    verbs: ['get'],
  },
];

/**
 * In the namespaces of the names: their Roles and bindings. RBAC lets nobody give what they have not got themselves, so the
 * gateway holds what it gives; it is worth nothing to it, since it makes no Node and is no kubelet.
 */
const nameRules: V1PolicyRule[] = [
  {
    apiGroups: [rbac],
    resources: ['roles', 'rolebindings'],
    verbs: ['get', 'list', 'create', 'update', 'delete'],
  },
  { apiGroups: [NAMES_GROUP], resources: [LISTINGS, ADDRESSES], verbs: ['hold'] },
  { apiGroups: [NAMES_GROUP], resources: [NODE_NAMES], verbs: ['hold', 'register', 'annotate'] },
  {
    apiGroups: [NAMES_GROUP],
    resources: [CERTIFICATES],
    verbs: ['register', 'annotate', 'write', 'write-without-certificate'],
  },
];

/**
 * In kube-system: the CA of client certificates, and Secrets. Join credentials and node passwords have names that are not known
 * beforehand, so reading cannot be narrowed; writing is, by a policy on the types.
 */
const systemRules: V1PolicyRule[] = [
  { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch', 'create', 'delete'] },
  {
    apiGroups: [''],
    resources: ['configmaps'],
    resourceNames: [CLIENT_CA_CONFIG_MAP],
    verbs: ['get'],
  },
];

/** Whether a kubelet renews its Lease decides whether its node may have a join credential. */
const leaseRules: V1PolicyRule[] = [
  { apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get'] },
];

/**
 * In the namespace of the state: its Secrets, which are written anew and never deleted, and the one Lease, which `setup` makes. A
 * policy holds the Secrets to their type.
 */
const stateRules: V1PolicyRule[] = [
  { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'list', 'watch', 'create', 'update'] },
  {
    apiGroups: ['coordination.k8s.io'],
    resources: ['leases'],
    resourceNames: [STATE_LEASE],
    verbs: ['get', 'update'],
  },
];

/** The gateway's ServiceAccount and its token; nothing for an identity that comes from elsewhere. */
export function gatewayAccount(identity: GatewayIdentity): KubernetesObject[] {
  if (identity.kind === 'user') return [];
  const account: V1ServiceAccount = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: GATEWAY_NAME, namespace: SYSTEM_NAMESPACE, labels },
    automountServiceAccountToken: false,
  };
  const token: V1Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: GATEWAY_TOKEN,
      namespace: SYSTEM_NAMESPACE,
      labels,
      annotations: { 'kubernetes.io/service-account.name': GATEWAY_NAME },
    },
    type: 'kubernetes.io/service-account-token',
  };
  return [account, token];
}

const subjectsOf = (identity: GatewayIdentity): RbacV1Subject[] => [
  identity.kind === 'user'
    ? { kind: 'User', apiGroup: rbac, name: identity.name }
    : { kind: 'ServiceAccount', name: GATEWAY_NAME, namespace: SYSTEM_NAMESPACE },
];

/** The definition of StakedNodes, and the gateway's right to write them. */
export const gatewayStakedNodes = (identity: GatewayIdentity): KubernetesObject[] =>
  stakedNodeObjects(subjectsOf(identity));

/** Roles and bindings: the least that `KubernetesPort` needs. */
export function gatewayRights(identity: GatewayIdentity): KubernetesObject[] {
  const subjects = subjectsOf(identity);
  const metadata = { name: GATEWAY_NAME, labels };
  const apiVersion = `${rbac}/v1`;
  const clusterRole: V1ClusterRole = { apiVersion, kind: 'ClusterRole', metadata, rules: clusterRules };
  const namesRole: V1ClusterRole = {
    apiVersion,
    kind: 'ClusterRole',
    metadata: { name: NAMES_ROLE, labels },
    rules: nameRules,
  };
  const clusterBinding: V1ClusterRoleBinding = {
    apiVersion,
    kind: 'ClusterRoleBinding',
    metadata,
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: GATEWAY_NAME },
    subjects,
  };
  const inNamespace = (namespace: string, rules: V1PolicyRule[]): [V1Role, V1RoleBinding] => [
    { apiVersion, kind: 'Role', metadata: { ...metadata, namespace }, rules },
    {
      apiVersion,
      kind: 'RoleBinding',
      metadata: { ...metadata, namespace },
      roleRef: { apiGroup: rbac, kind: 'Role', name: GATEWAY_NAME },
      subjects,
    },
  ];
  return [
    clusterRole,
    clusterBinding,
    ...inNamespace(SYSTEM_NAMESPACE, systemRules),
    ...inNamespace(LEASE_NAMESPACE, leaseRules),
    ...inNamespace(STATE_NAMESPACE, stateRules),
    namesRole,
    ...nameNamespaces().map(
      (namespace): V1RoleBinding => ({
        apiVersion,
        kind: 'RoleBinding',
        metadata: { name: NAMES_BINDING, namespace, labels },
        roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: NAMES_ROLE },
        subjects,
      }),
    ),
  ];
}

/** The namespaces that hold the admitted names. */
export const namesHomes = (): V1Namespace[] =>
  nameNamespaces().map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } }));

/** Where `gateway.state.engine: kubernetes` keeps the state; empty with another engine. */
export const stateHome = (): V1Namespace => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: STATE_NAMESPACE, labels },
});

/** Without a holder: the gateways write who leads. */
export const stateLease = (): V1Lease => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: STATE_LEASE, namespace: STATE_NAMESPACE, labels },
});

/** The policies of a set-up cluster. */
export const allPolicies = (
  identity: GatewayIdentity,
  { tenants, stakedNodes }: SetupTerms = {},
): PolicyPair[] => [
  ...nodePolicies(),
  gatewaySecretsPolicy(usernameOf(identity)),
  ...tenantPolicies(tenants),
  ...(stakedNodes ? [stakedNodesPolicy(usernameOf(identity))] : []),
];
