import type {
  V1LimitRange,
  V1Namespace,
  V1NetworkPolicy,
  V1ResourceQuota,
  V1RoleBinding,
} from '@kubernetes/client-node';
import { namespaceOfWallet, ownGroup, type Tenant } from '#domain';
import { base58OfId } from './base58.ts';
import type { Placement, PodSecurityLevel } from './tenant-terms.ts';
import {
  MANAGED_BY,
  OURS,
  TENANT_OWNER,
  TENANT_PLACEMENT,
  TENANT_RECORDS,
  TENANT_TIER,
  TENANT_WALLET,
} from './words.ts';

export const QUOTA_NAME = 'k3s-daas-tier';
export const LIMITS_NAME = 'k3s-daas-defaults';
export const NETWORK_POLICY_NAMES = ['k3s-daas-deny', 'k3s-daas-within'] as const;
/** A binding's role cannot be changed: the name has permission and role, so that another role is another binding. */
export const ROLE_BINDING_PREFIX = 'k3s-daas:';

/** How the namespaces of people are to be. */
export interface TenantSettings {
  readonly placement: Placement;
  readonly podSecurity: PodSecurityLevel;
  /** `spec.hard` of the ResourceQuota, by tier. */
  readonly quota: Readonly<Record<Tenant['tier'], Readonly<Record<string, string>>>>;
}

const labels = { [MANAGED_BY]: OURS };
/** Records that are remembered of a namespace. */
const mostRecords = 8;

/** The labels that decide what may run in a namespace, and where. */
export function namespaceLabels(
  wallet: string,
  { placement, podSecurity }: TenantSettings,
): Record<string, string> {
  return {
    ...labels,
    [TENANT_OWNER]: base58OfId(wallet),
    [TENANT_PLACEMENT]: placement,
    'pod-security.kubernetes.io/enforce': podSecurity,
    'pod-security.kubernetes.io/warn': podSecurity,
  };
}

/** The records of a namespace after a login of this one, which goes to the end. */
export function recordsAfter(known: string | undefined, recordId: string): string {
  const others = (known ?? '').split(',').filter((id) => id !== '' && id !== recordId);
  return [...others, recordId].slice(-mostRecords).join(',');
}

export function namespaceOf(
  { wallet, tier, recordId }: Pick<Tenant, 'wallet' | 'tier' | 'recordId'>,
  settings: TenantSettings,
): V1Namespace {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name: namespaceOfWallet(wallet),
      labels: namespaceLabels(wallet, settings),
      annotations: { [TENANT_WALLET]: wallet, [TENANT_TIER]: tier, [TENANT_RECORDS]: recordId },
    },
  };
}

export function quotaOf(namespace: string, hard: Readonly<Record<string, string>>): V1ResourceQuota {
  return {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: QUOTA_NAME, namespace, labels },
    spec: { hard: { ...hard } },
  };
}

/** A quota on sizes refuses containers that name none: these are their sizes then. */
export function limitsOf(namespace: string): V1LimitRange {
  return {
    apiVersion: 'v1',
    kind: 'LimitRange',
    metadata: { name: LIMITS_NAME, namespace, labels },
    spec: {
      limits: [
        {
          type: 'Container',
          _default: { cpu: '500m', memory: '256Mi', 'ephemeral-storage': '1Gi' },
          defaultRequest: { cpu: '100m', memory: '128Mi', 'ephemeral-storage': '128Mi' },
        },
      ],
    },
  };
}

type NetworkPolicySpec = NonNullable<V1NetworkPolicy['spec']>;

/** Nothing in or out, but within the namespace and to the cluster's DNS. */
export function networkPoliciesOf(namespace: string): V1NetworkPolicy[] {
  const policy = (
    name: (typeof NETWORK_POLICY_NAMES)[number],
    rules: Pick<NetworkPolicySpec, 'ingress' | 'egress'>,
  ): V1NetworkPolicy => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace, labels },
    spec: { policyTypes: ['Ingress', 'Egress'], podSelector: {}, ...rules },
  });
  const dns = { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } };
  return [
    policy('k3s-daas-deny', {}),
    policy('k3s-daas-within', {
      ingress: [{ _from: [{ podSelector: {} }] }],
      egress: [
        { to: [{ podSelector: {} }] },
        {
          to: [dns],
          ports: [
            { port: 53, protocol: 'UDP' },
            { port: 53, protocol: 'TCP' },
          ],
        },
      ],
    }),
  ];
}

export function bindingOf(
  wallet: string,
  { permission, role }: Tenant['roles'][number],
): V1RoleBinding & { metadata: { name: string } } {
  const apiGroup = 'rbac.authorization.k8s.io';
  const name = `${ROLE_BINDING_PREFIX}${permission.replaceAll('/', ':')}:${role.replaceAll('/', ':')}`;
  return {
    apiVersion: `${apiGroup}/v1`,
    kind: 'RoleBinding',
    metadata: { name, namespace: namespaceOfWallet(wallet), labels },
    roleRef: { apiGroup, kind: 'ClusterRole', name: role },
    subjects: [{ kind: 'Group', apiGroup, name: ownGroup(wallet, permission) }],
  };
}

/** The permission that a binding of ours is for; `undefined` for another one. */
export function permissionOfBinding(wallet: string, { subjects }: V1RoleBinding): string | undefined {
  const [subject] = subjects ?? [];
  const head = ownGroup(wallet, '');
  return subject?.name.startsWith(head) ? subject.name.slice(head.length) : undefined;
}
