import type {
  KubernetesObject,
  V1ClusterRole,
  V1ClusterRoleBinding,
  V1PolicyRule,
  V1Secret,
  V1ServiceAccount,
} from '@kubernetes/client-node';
import { bindableRoles, personRoles } from './person-roles.ts';
import { celText, forbid, type PolicyPair, pair, strict } from './policy-pair.ts';
import { MANAGED_BY, NODE_TIER, OURS, SYSTEM_NAMESPACE, TENANT_OWNER, TENANT_PLACEMENT } from './words.ts';

const KEEPER = 'k3s-daas-tenants';
/** The Secret that holds the keeper's token. */
export const KEEPER_TOKEN = 'k3s-daas-tenants-token';
export const KEEPER_USER = `system:serviceaccount:${SYSTEM_NAMESPACE}:${KEEPER}`;

const rbac = 'rbac.authorization.k8s.io';
const labels = { [MANAGED_BY]: OURS };

/** Makes namespaces and what is in them, and changes a quota; binds the shipped roles alone. It reads no Secret and no pod. */
const keeperRules: V1PolicyRule[] = [
  { apiGroups: [''], resources: ['namespaces'], verbs: ['get', 'create'] },
  { apiGroups: [''], resources: ['resourcequotas', 'limitranges'], verbs: ['get', 'create', 'update'] },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['get', 'create'] },
  { apiGroups: [rbac], resources: ['rolebindings'], verbs: ['get', 'create'] },
  { apiGroups: [rbac], resources: ['clusterroles'], resourceNames: bindableRoles(), verbs: ['bind'] },
];

/**
 * The keeper of people's namespaces: an identity apart from that of the gateway's public part, bound to namespaces with our
 * label by a policy.
 */
export function tenantObjects(): KubernetesObject[] {
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
    rules: keeperRules,
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

const isOwned = (object: string) =>
  `has(${object}.metadata.labels) && '${TENANT_OWNER}' in ${object}.metadata.labels`;

/** The keeper writes in namespaces of people alone: RBAC cannot say so. */
export function keeperPolicy(): PolicyPair {
  return pair('k3s-daas-tenants', {
    failurePolicy: 'Fail',
    matchConstraints: {
      matchPolicy: 'Equivalent',
      namespaceSelector: {},
      objectSelector: {},
      resourceRules: [
        {
          apiGroups: ['*'],
          apiVersions: ['*'],
          operations: ['CREATE', 'UPDATE', 'DELETE'],
          resources: ['*/*'],
          scope: '*',
        },
      ],
    },
    matchConditions: [
      {
        name: 'by-the-keeper',
        expression: `request.userInfo.username == ${celText(KEEPER_USER)}`,
      },
    ],
    validations: [
      forbid(
        `only namespaces with the label ${TENANT_OWNER} are this account’s to write`,
        `request.operation != 'DELETE' && (request.resource.resource == 'namespaces' ? object.metadata.name.startsWith('seal-') && ${isOwned('object')} : namespaceObject != null && ${isOwned('namespaceObject')})`,
      ),
    ],
  });
}

/** Pods of people run on staked nodes, where the operator wants it so: never on a server, nor where no taint keeps them off. */
export function placementPolicy(): PolicyPair {
  const base = strict(['pods'], ['CREATE']);
  return pair('k3s-daas-tenant-placement', {
    ...base,
    matchConstraints: Object.assign({}, base.matchConstraints, {
      namespaceSelector: { matchLabels: { [TENANT_PLACEMENT]: 'staked' } },
    }),
    validations: [
      forbid(
        'pods of this namespace run on staked nodes',
        `has(object.spec.nodeSelector) && '${NODE_TIER}' in object.spec.nodeSelector && (!has(object.spec.nodeName) || object.spec.nodeName == '')`,
        `'pods of this namespace run on staked nodes: add nodeSelector ${NODE_TIER}=standard (or another tier), the toleration of the taint k3s-daas.io/staked, and no nodeName'`,
      ),
    ],
  });
}
