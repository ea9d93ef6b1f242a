import type { V1ClusterRole, V1PolicyRule } from '@kubernetes/client-node';
import { MANAGED_BY, OURS } from './words.ts';

const READ = ['get', 'list', 'watch'];
const WRITE = ['create', 'update', 'patch', 'delete', 'deletecollection'];

const rule = (group: string, resources: readonly string[], verbs: readonly string[]): V1PolicyRule => ({
  apiGroups: [group],
  resources: [...resources],
  verbs: [...verbs],
});

/** Resources that can be read and written, by the name that permissions have for them. */
const readAndWrite: Readonly<Record<string, readonly [group: string, resources: readonly string[]]>> = {
  pods: ['', ['pods']],
  services: ['', ['services']],
  configmaps: ['', ['configmaps']],
  secrets: ['', ['secrets']],
  persistentvolumeclaims: ['', ['persistentvolumeclaims']],
  'deployments.apps': ['apps', ['deployments', 'deployments/scale']],
  'statefulsets.apps': ['apps', ['statefulsets', 'statefulsets/scale']],
  'replicasets.apps': ['apps', ['replicasets', 'replicasets/scale']],
  'jobs.batch': ['batch', ['jobs']],
  'cronjobs.batch': ['batch', ['cronjobs']],
  'ingresses.networking.k8s.io': ['networking.k8s.io', ['ingresses']],
};

/** What each permission means in a namespace. One that is not here grants nothing. */
export const PERMISSION_RULES: Readonly<Record<string, readonly V1PolicyRule[]>> = {
  ...Object.fromEntries(
    Object.entries(readAndWrite).flatMap(([name, [group, resources]]) => [
      [`${name}:read`, [rule(group, resources, READ)]],
      // Who writes reads: `kubectl apply` begins with it.
      [`${name}:write`, [rule(group, resources, [...READ, ...WRITE])]],
    ]),
  ),
  'pods:read': [rule('', ['pods', 'pods/log', 'pods/status'], READ)],
  'pods:write': [
    rule('', ['pods', 'pods/log', 'pods/status'], READ),
    rule('', ['pods', 'pods/eviction'], WRITE),
  ],
  'services:read': [
    rule('', ['services', 'endpoints'], READ),
    rule('discovery.k8s.io', ['endpointslices'], READ),
  ],
  'pods/log:read': [rule('', ['pods/log'], ['get'])],
  'pods/exec:create': [rule('', ['pods'], ['get']), rule('', ['pods/exec'], ['create', 'get'])],
  'pods/portforward:create': [rule('', ['pods'], ['get']), rule('', ['pods/portforward'], ['create', 'get'])],
  'events:read': [rule('', ['events'], READ), rule('events.k8s.io', ['events'], READ)],
  // Nodes are in no namespace: only a ClusterRoleBinding of the operator's own makes this count.
  'nodes:read': [rule('', ['nodes'], READ), rule('k3s-daas.io', ['stakednodes'], READ)],
};

/** Kubernetes' own role for all of a namespace: everything but its quota and itself. */
const ADMIN_ROLE = 'admin';
/** Names of roles have no slash. */
const roleName = (permission: string) => `k3s-daas:${permission.replaceAll('/', ':')}`;

/** The ClusterRole of a permission, unless the operator maps it to another; `undefined`: it grants nothing. */
export function roleOfPermission(permission: string): string | undefined {
  if (permission === '*:*') return ADMIN_ROLE;
  return Object.hasOwn(PERMISSION_RULES, permission) ? roleName(permission) : undefined;
}

/** The ClusterRoles that `setup` ships; nothing is bound to them but in the namespaces of people. */
export function personRoles(): V1ClusterRole[] {
  return Object.entries(PERMISSION_RULES).map(([permission, rules]) => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: roleName(permission), labels: { [MANAGED_BY]: OURS } },
    rules: [...rules],
  }));
}

/** The roles that the keeper of the namespaces may bind. */
export const bindableRoles = (): string[] => [ADMIN_ROLE, ...Object.keys(PERMISSION_RULES).map(roleName)];
