import type { KubernetesObject } from '@kubernetes/client-node';
import type { CallOptions, KubeApi } from './kube-api.ts';

/** Reading and writing one kind. The client's generic API takes no options for a call, and so no time-out. */
export interface ObjectVerbs {
  read(object: KubernetesObject, options: CallOptions): Promise<KubernetesObject>;
  create(object: KubernetesObject, options: CallOptions): Promise<unknown>;
  replace(object: KubernetesObject, options: CallOptions): Promise<unknown>;
  remove(object: KubernetesObject, options: CallOptions): Promise<unknown>;
}

type VerbsByKind = Readonly<Record<string, ObjectVerbs>>;

const nameOf = (object: KubernetesObject) => object.metadata?.name ?? '';
const namespaceOf = (object: KubernetesObject) => object.metadata?.namespace ?? '';
const named = (object: KubernetesObject) => ({ name: nameOf(object) });
const placed = (object: KubernetesObject) => ({ name: nameOf(object), namespace: namespaceOf(object) });
const inPlace = (body: KubernetesObject) => ({ namespace: namespaceOf(body), body: body as never });

/** The verbs of the kinds that the project writes. */
export function verbsOf(api: KubeApi, kind: string): ObjectVerbs {
  const roles = { ...roleVerbs(api), ...clusterRoleVerbs(api) };
  const verbs = {
    ...coreVerbs(api),
    ...roles,
    ...policyVerbs(api),
    ...limitVerbs(api),
    ...leaseVerbs(api),
    ...definitionVerbs(api),
  }[kind];
  if (!verbs) throw new RangeError(`the project writes no ${kind}`);
  return verbs;
}

const leaseVerbs = ({ coordination }: KubeApi): VerbsByKind => ({
  Lease: {
    read: (object, options) => coordination.readNamespacedLease(placed(object), options),
    create: (body, options) => coordination.createNamespacedLease(inPlace(body), options),
    replace: (body, options) => coordination.replaceNamespacedLease({ ...placed(body), body }, options),
    remove: (object, options) => coordination.deleteNamespacedLease(placed(object), options),
  },
});

const definitionVerbs = ({ extensions }: KubeApi): VerbsByKind => ({
  CustomResourceDefinition: {
    read: (object, options) => extensions.readCustomResourceDefinition(named(object), options),
    create: (body, options) => extensions.createCustomResourceDefinition({ body: body as never }, options),
    replace: (body, options) =>
      extensions.replaceCustomResourceDefinition({ ...named(body), body: body as never }, options),
    remove: (object, options) => extensions.deleteCustomResourceDefinition(named(object), options),
  },
});

const limitVerbs = ({ core, networking }: KubeApi): VerbsByKind => ({
  ResourceQuota: {
    read: (object, options) => core.readNamespacedResourceQuota(placed(object), options),
    create: (body, options) => core.createNamespacedResourceQuota(inPlace(body), options),
    replace: (body, options) => core.replaceNamespacedResourceQuota({ ...placed(body), body }, options),
    remove: (object, options) => core.deleteNamespacedResourceQuota(placed(object), options),
  },
  LimitRange: {
    read: (object, options) => core.readNamespacedLimitRange(placed(object), options),
    create: (body, options) => core.createNamespacedLimitRange(inPlace(body), options),
    replace: (body, options) => core.replaceNamespacedLimitRange({ ...placed(body), body }, options),
    remove: (object, options) => core.deleteNamespacedLimitRange(placed(object), options),
  },
  NetworkPolicy: {
    read: (object, options) => networking.readNamespacedNetworkPolicy(placed(object), options),
    create: (body, options) => networking.createNamespacedNetworkPolicy(inPlace(body), options),
    replace: (body, options) => networking.replaceNamespacedNetworkPolicy({ ...placed(body), body }, options),
    remove: (object, options) => networking.deleteNamespacedNetworkPolicy(placed(object), options),
  },
});

const coreVerbs = ({ core }: KubeApi): VerbsByKind => ({
  Namespace: {
    read: (object, options) => core.readNamespace(named(object), options),
    create: (body, options) => core.createNamespace({ body }, options),
    replace: (body, options) => core.replaceNamespace({ ...named(body), body }, options),
    remove: (object, options) => core.deleteNamespace(named(object), options),
  },
  ConfigMap: {
    read: (object, options) => core.readNamespacedConfigMap(placed(object), options),
    create: (body, options) => core.createNamespacedConfigMap(inPlace(body), options),
    replace: (body, options) => core.replaceNamespacedConfigMap({ ...placed(body), body }, options),
    remove: (object, options) => core.deleteNamespacedConfigMap(placed(object), options),
  },
  Secret: {
    read: (object, options) => core.readNamespacedSecret(placed(object), options),
    create: (body, options) => core.createNamespacedSecret(inPlace(body), options),
    replace: (body, options) => core.replaceNamespacedSecret({ ...placed(body), body }, options),
    remove: (object, options) => core.deleteNamespacedSecret(placed(object), options),
  },
  ServiceAccount: {
    read: (object, options) => core.readNamespacedServiceAccount(placed(object), options),
    create: (body, options) => core.createNamespacedServiceAccount(inPlace(body), options),
    replace: (body, options) => core.replaceNamespacedServiceAccount({ ...placed(body), body }, options),
    remove: (object, options) => core.deleteNamespacedServiceAccount(placed(object), options),
  },
});

const roleVerbs = ({ rbac }: KubeApi): VerbsByKind => ({
  Role: {
    read: (object, options) => rbac.readNamespacedRole(placed(object), options),
    create: (body, options) => rbac.createNamespacedRole(inPlace(body), options),
    replace: (body, options) => rbac.replaceNamespacedRole({ ...placed(body), body: body as never }, options),
    remove: (object, options) => rbac.deleteNamespacedRole(placed(object), options),
  },
  RoleBinding: {
    read: (object, options) => rbac.readNamespacedRoleBinding(placed(object), options),
    create: (body, options) => rbac.createNamespacedRoleBinding(inPlace(body), options),
    replace: (body, options) =>
      rbac.replaceNamespacedRoleBinding({ ...placed(body), body: body as never }, options),
    remove: (object, options) => rbac.deleteNamespacedRoleBinding(placed(object), options),
  },
});

const clusterRoleVerbs = ({ rbac }: KubeApi): VerbsByKind => ({
  ClusterRole: {
    read: (object, options) => rbac.readClusterRole(named(object), options),
    create: (body, options) => rbac.createClusterRole({ body: body as never }, options),
    replace: (body, options) => rbac.replaceClusterRole({ ...named(body), body: body as never }, options),
    remove: (object, options) => rbac.deleteClusterRole(named(object), options),
  },
  ClusterRoleBinding: {
    read: (object, options) => rbac.readClusterRoleBinding(named(object), options),
    create: (body, options) => rbac.createClusterRoleBinding({ body: body as never }, options),
    replace: (body, options) =>
      rbac.replaceClusterRoleBinding({ ...named(body), body: body as never }, options),
    remove: (object, options) => rbac.deleteClusterRoleBinding(named(object), options),
  },
});

const policyVerbs = ({ admission }: KubeApi): VerbsByKind => ({
  ValidatingAdmissionPolicy: {
    read: (object, options) => admission.readValidatingAdmissionPolicy(named(object), options),
    create: (body, options) => admission.createValidatingAdmissionPolicy({ body }, options),
    replace: (body, options) => admission.replaceValidatingAdmissionPolicy({ ...named(body), body }, options),
    remove: (object, options) => admission.deleteValidatingAdmissionPolicy(named(object), options),
  },
  ValidatingAdmissionPolicyBinding: {
    read: (object, options) => admission.readValidatingAdmissionPolicyBinding(named(object), options),
    create: (body, options) =>
      admission.createValidatingAdmissionPolicyBinding({ body: body as never }, options),
    replace: (body, options) =>
      admission.replaceValidatingAdmissionPolicyBinding({ ...named(body), body: body as never }, options),
    remove: (object, options) => admission.deleteValidatingAdmissionPolicyBinding(named(object), options),
  },
});
