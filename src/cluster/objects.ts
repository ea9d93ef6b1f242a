import type { KubernetesObject } from '@kubernetes/client-node';
import type { CallOptions, KubeApi } from './kube-api.ts';

/** Reading and writing one kind. The client's generic API takes no options for a call, and so no time-out. */
export interface ObjectVerbs {
  read(object: KubernetesObject, options: CallOptions): Promise<KubernetesObject>;
  create(object: KubernetesObject, options: CallOptions): Promise<unknown>;
  replace(object: KubernetesObject, options: CallOptions): Promise<unknown>;
}

const nameOf = (object: KubernetesObject) => object.metadata?.name ?? '';
const namespaceOf = (object: KubernetesObject) => object.metadata?.namespace ?? '';
const placed = (object: KubernetesObject) => ({ name: nameOf(object), namespace: namespaceOf(object) });

/** The verbs of the kinds that `setup` writes. */
export function verbsOf({ core, rbac, admission }: KubeApi, kind: string): ObjectVerbs {
  switch (kind) {
    case 'ConfigMap':
      return {
        read: (object, options) => core.readNamespacedConfigMap(placed(object), options),
        create: (body, options) =>
          core.createNamespacedConfigMap({ namespace: namespaceOf(body), body }, options),
        replace: (body, options) => core.replaceNamespacedConfigMap({ ...placed(body), body }, options),
      };
    case 'Secret':
      return {
        read: (object, options) => core.readNamespacedSecret(placed(object), options),
        create: (body, options) =>
          core.createNamespacedSecret({ namespace: namespaceOf(body), body }, options),
        replace: (body, options) => core.replaceNamespacedSecret({ ...placed(body), body }, options),
      };
    case 'ServiceAccount':
      return {
        read: (object, options) => core.readNamespacedServiceAccount(placed(object), options),
        create: (body, options) =>
          core.createNamespacedServiceAccount({ namespace: namespaceOf(body), body }, options),
        replace: (body, options) => core.replaceNamespacedServiceAccount({ ...placed(body), body }, options),
      };
    case 'Role':
      return {
        read: (object, options) => rbac.readNamespacedRole(placed(object), options),
        create: (body, options) =>
          rbac.createNamespacedRole({ namespace: namespaceOf(body), body: body as never }, options),
        replace: (body, options) =>
          rbac.replaceNamespacedRole({ ...placed(body), body: body as never }, options),
      };
    case 'RoleBinding':
      return {
        read: (object, options) => rbac.readNamespacedRoleBinding(placed(object), options),
        create: (body, options) =>
          rbac.createNamespacedRoleBinding({ namespace: namespaceOf(body), body: body as never }, options),
        replace: (body, options) =>
          rbac.replaceNamespacedRoleBinding({ ...placed(body), body: body as never }, options),
      };
    case 'ClusterRole':
      return {
        read: (object, options) => rbac.readClusterRole({ name: nameOf(object) }, options),
        create: (body, options) => rbac.createClusterRole({ body: body as never }, options),
        replace: (body, options) =>
          rbac.replaceClusterRole({ name: nameOf(body), body: body as never }, options),
      };
    case 'ClusterRoleBinding':
      return {
        read: (object, options) => rbac.readClusterRoleBinding({ name: nameOf(object) }, options),
        create: (body, options) => rbac.createClusterRoleBinding({ body: body as never }, options),
        replace: (body, options) =>
          rbac.replaceClusterRoleBinding({ name: nameOf(body), body: body as never }, options),
      };
    case 'ValidatingAdmissionPolicy':
      return {
        read: (object, options) => admission.readValidatingAdmissionPolicy({ name: nameOf(object) }, options),
        create: (body, options) => admission.createValidatingAdmissionPolicy({ body }, options),
        replace: (body, options) =>
          admission.replaceValidatingAdmissionPolicy({ name: nameOf(body), body }, options),
      };
    case 'ValidatingAdmissionPolicyBinding':
      return {
        read: (object, options) =>
          admission.readValidatingAdmissionPolicyBinding({ name: nameOf(object) }, options),
        create: (body, options) =>
          admission.createValidatingAdmissionPolicyBinding({ body: body as never }, options),
        replace: (body, options) =>
          admission.replaceValidatingAdmissionPolicyBinding(
            { name: nameOf(body), body: body as never },
            options,
          ),
      };
    default:
      throw new RangeError(`setup writes no ${kind}`);
  }
}
