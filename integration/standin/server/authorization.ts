import { type Identity, nodeNameOf } from './identity.ts';
import { at, isRecord, type KubeObject, resourceNamed } from './objects.ts';
import { pinnedField } from './selectors.ts';
import { forbidden, type Refusal } from './status.ts';
import { named, type Store } from './store.ts';

/** What is asked of the API, in the terms of its authorizers. */
export interface Attributes {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  readonly fieldSelector: string | null;
}

interface Rule {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

/** Node, then RBAC, as k3s configures its API server; `system:masters` passes before both. */
export function isAllowed(store: Store, identity: Identity, attributes: Attributes): boolean {
  if (identity.groups.includes('system:masters')) return true;
  const node = nodeNameOf(identity);
  if (node !== undefined && mayNode(store, node, attributes)) return true;
  return rulesFor(store, identity, attributes.namespace).some((rule) => allows(rule, attributes));
}

export function refusalOf(identity: Identity, attributes: Attributes): Refusal {
  const { verb, group, namespace } = attributes;
  const resource = attributes.resource + (attributes.subresource ? `/${attributes.subresource}` : '');
  const subject = `${attributes.resource}${group ? `.${group}` : ''}${attributes.name ? ` "${attributes.name}"` : ''}`;
  const scope = namespace ? `in the namespace "${namespace}"` : 'at the cluster scope';
  return forbidden(
    `${subject} is forbidden: User "${identity.username}" cannot ${verb} resource "${resource}" in API group "${group}" ${scope}`,
  );
}

/** The rules of the Node authorizer that a k3s agent lives by: its own Node, Lease and pods, and what those refer to. */
function mayNode(store: Store, node: string, attributes: Attributes): boolean {
  const { verb, resource, subresource, namespace, name, fieldSelector } = attributes;
  const isRead = verb === 'get' || verb === 'list' || verb === 'watch';
  switch (`${attributes.group}/${resource}`) {
    case '/nodes':
      if (subresource === 'status') return verb === 'update' || verb === 'patch';
      if (subresource !== '') return false;
      if (verb === 'get') return name === node;
      if (isRead) return name === node || pinnedField(fieldSelector, 'metadata.name') === node;
      return verb === 'create' || verb === 'update' || verb === 'patch';
    case '/pods':
      if (subresource === 'status') return verb === 'update' || verb === 'patch';
      if (subresource === 'eviction') return verb === 'create';
      if (subresource !== '') return false;
      if (verb === 'get') return at(store.get(named.pod, namespace, name), 'spec.nodeName') === node;
      if (isRead) return pinnedField(fieldSelector, 'spec.nodeName') === node;
      return verb === 'create' || verb === 'delete';
    case '/secrets':
    case '/configmaps':
      return (
        isRead && subresource === '' && name !== '' && isReferred(store, node, resource, namespace, name)
      );
    case '/services':
      return isRead;
    case '/events':
      return verb === 'create' || verb === 'update' || verb === 'patch';
    case 'coordination.k8s.io/leases':
      if (namespace !== 'kube-node-lease' || subresource !== '') return false;
      return verb === 'create' || (name === node && ['get', 'update', 'patch', 'delete'].includes(verb));
    default:
      return false;
  }
}

/** Whether a pod of the node names the Secret or ConfigMap in a volume or an environment. */
function isReferred(store: Store, node: string, resource: string, namespace: string, name: string): boolean {
  const keys =
    resource === 'secrets'
      ? ['secretName', 'secretKeyRef', 'secretRef']
      : ['configMap', 'configMapKeyRef', 'configMapRef'];
  const refers = (value: unknown): boolean => {
    if (Array.isArray(value)) return value.some(refers);
    if (!isRecord(value)) return false;
    return Object.entries(value).some(
      ([key, inner]) =>
        (keys.includes(key) && (inner === name || (isRecord(inner) && inner.name === name))) || refers(inner),
    );
  };
  return store
    .list(named.pod, namespace)
    .some((pod) => at(pod, 'spec.nodeName') === node && refers(pod.spec));
}

function rulesFor(store: Store, identity: Identity, namespace: string): Rule[] {
  const bindings = [
    ...store.list(resourceNamed('clusterrolebindings')),
    ...(namespace ? store.list(resourceNamed('rolebindings'), namespace) : []),
  ];
  return bindings
    .filter((binding) => subjectsOf(binding).some((subject) => isSubject(subject, identity)))
    .flatMap((binding) => {
      const [kind, name] = [at(binding, 'roleRef.kind'), String(at(binding, 'roleRef.name'))];
      const role =
        kind === 'ClusterRole'
          ? store.get(resourceNamed('clusterroles'), '', name)
          : store.get(resourceNamed('roles'), binding.metadata.namespace ?? '', name);
      return (role?.rules ?? []) as Rule[];
    });
}

const subjectsOf = (binding: KubeObject) =>
  (binding.subjects ?? []) as Array<{ kind: string; name: string; namespace?: string }>;

function isSubject(subject: { kind: string; name: string; namespace?: string }, identity: Identity): boolean {
  switch (subject.kind) {
    case 'User':
      return subject.name === identity.username;
    case 'Group':
      return identity.groups.includes(subject.name);
    case 'ServiceAccount':
      return identity.username === `system:serviceaccount:${subject.namespace}:${subject.name}`;
    default:
      return false;
  }
}

function allows(rule: Rule, { verb, group, resource, subresource, name }: Attributes): boolean {
  const full = subresource ? `${resource}/${subresource}` : resource;
  const has = (list: readonly string[] | undefined, value: string) =>
    list?.includes('*') || list?.includes(value) || false;
  return (
    has(rule.verbs, verb) &&
    has(rule.apiGroups, group) &&
    (has(rule.resources, full) ||
      (subresource !== '' && (rule.resources?.includes(`*/${subresource}`) ?? false))) &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(name))
  );
}
