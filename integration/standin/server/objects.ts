/** A Kubernetes object as JSON. */
export interface KubeObject {
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
  [member: string]: unknown;
}
export interface ObjectMeta {
  name?: string;
  namespace?: string;
  generateName?: string;
  uid?: string;
  resourceVersion?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  finalizers?: string[];
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: Array<{ apiVersion: string; kind: string; name: string; uid: string }>;
  [member: string]: unknown;
}

export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
  readonly hasStatus: boolean;
  readonly shortNames: readonly string[];
}

const resource = (
  group: string,
  plural: string,
  kind: string,
  { namespaced = true, status = false, shortNames = [] as string[] } = {},
): Resource => ({
  group,
  version: 'v1',
  plural,
  singular: kind.toLowerCase(),
  kind,
  isNamespaced: namespaced,
  hasStatus: status,
  shortNames,
});

/** What this stand-in serves; anything else is answered 404 as an API server does for a kind it has not got. */
export const resources: readonly Resource[] = [
  resource('', 'namespaces', 'Namespace', { namespaced: false, status: true, shortNames: ['ns'] }),
  resource('', 'nodes', 'Node', { namespaced: false, status: true, shortNames: ['no'] }),
  resource('', 'pods', 'Pod', { status: true, shortNames: ['po'] }),
  resource('', 'secrets', 'Secret'),
  resource('', 'configmaps', 'ConfigMap', { shortNames: ['cm'] }),
  resource('', 'services', 'Service', { shortNames: ['svc'] }),
  resource('', 'endpoints', 'Endpoints', { shortNames: ['ep'] }),
  resource('', 'serviceaccounts', 'ServiceAccount', { shortNames: ['sa'] }),
  resource('', 'events', 'Event', { shortNames: ['ev'] }),
  resource('coordination.k8s.io', 'leases', 'Lease'),
  resource('policy', 'poddisruptionbudgets', 'PodDisruptionBudget', { status: true, shortNames: ['pdb'] }),
  resource('rbac.authorization.k8s.io', 'roles', 'Role'),
  resource('rbac.authorization.k8s.io', 'rolebindings', 'RoleBinding'),
  resource('rbac.authorization.k8s.io', 'clusterroles', 'ClusterRole', { namespaced: false }),
  resource('rbac.authorization.k8s.io', 'clusterrolebindings', 'ClusterRoleBinding', { namespaced: false }),
  resource('admissionregistration.k8s.io', 'validatingadmissionpolicies', 'ValidatingAdmissionPolicy', {
    namespaced: false,
    status: true,
  }),
  resource(
    'admissionregistration.k8s.io',
    'validatingadmissionpolicybindings',
    'ValidatingAdmissionPolicyBinding',
    { namespaced: false },
  ),
];

export function resourceOf(group: string, version: string, plural: string): Resource | undefined {
  return resources.find((one) => one.group === group && one.version === version && one.plural === plural);
}

export function resourceNamed(plural: string): Resource {
  const found = resources.find((one) => one.plural === plural);
  if (!found) throw new Error(`this stand-in has no resource '${plural}'`);
  return found;
}

export const apiVersionOf = ({ group, version }: Resource): string =>
  group === '' ? version : `${group}/${version}`;

/** `nodes` or `leases.coordination.k8s.io`, as messages name a resource. */
export const qualified = ({ group, plural }: Resource): string =>
  group === '' ? plural : `${plural}.${group}`;

/** The value at a dotted path of an object, or undefined. */
export function at(object: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (value, key) =>
        typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined,
      object,
    );
}

/** The same as text; empty for what is not a plain value. */
export function textAt(object: unknown, path: string): string {
  const value = at(object, path);
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value as string) : '';
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The values of a Secret, decoded from base64. */
export const decodedData = (secret: KubeObject): Record<string, string> =>
  Object.fromEntries(
    Object.entries(isRecord(secret.data) ? secret.data : {}).map(([key, value]) => [
      key,
      Buffer.from(String(value), 'base64').toString('utf8'),
    ]),
  );
