import { admit } from './admission.ts';
import type { ApiCall } from './api-call.ts';
import { existing } from './object-reads.ts';
import { type KubeObject, type Resource, resources } from './objects.ts';
import { deletePod } from './pod-removal.ts';
import type { DeleteOptions } from './request-target.ts';
import { conflict, methodNotAllowed } from './status.ts';
import { timestamp } from './store.ts';

/** Deletes the object, or marks it while a kubelet or a finalizer holds it; returns the answer, throws a `Refusal`. */
export function remove(call: ApiCall, options: DeleteOptions): Record<string, unknown> {
  const { store, identity, target } = call;
  const { resource, namespace, name, subresource } = target;
  if (name === '' || subresource !== '') throw methodNotAllowed();
  const current = existing(call);
  checkPreconditions(resource, current, options);
  admit(store, {
    identity,
    operation: 'DELETE',
    resource: resource.plural,
    name,
    object: undefined,
    oldObject: current,
  });
  if (resource.plural === 'pods') return { ...deletePod(call, current, options.gracePeriodSeconds) };
  if (current.metadata.finalizers?.length)
    return { ...(current.metadata.deletionTimestamp ? current : markHeld(call, current)) };
  store.remove(resource, namespace, name);
  if (resource.plural === 'namespaces') emptyNamespace(call, name);
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name, kind: resource.plural, uid: current.metadata.uid },
  };
}

/** What the namespace controller does a moment later. */
function emptyNamespace({ store }: ApiCall, namespace: string): void {
  for (const resource of resources.filter(({ isNamespaced }) => isNamespaced))
    for (const { metadata } of store.list(resource, namespace))
      store.remove(resource, namespace, metadata.name ?? '');
}

/** Refuses with 409 when the object is not the one, or not the version, that the caller means. */
export function checkPreconditions(
  resource: Resource,
  current: KubeObject,
  { preconditions }: DeleteOptions,
): void {
  const name = current.metadata.name ?? '';
  for (const [field, label] of [
    ['uid', 'UID'],
    ['resourceVersion', 'ResourceVersion'],
  ] as const) {
    const wanted = preconditions?.[field];
    if (wanted !== undefined && wanted !== current.metadata[field])
      throw conflict(
        resource.plural,
        name,
        `Precondition failed: ${label} in precondition: ${wanted}, ${label} in object meta: ${current.metadata[field]}`,
      );
  }
}

function markHeld({ store, nowMs, target }: ApiCall, object: KubeObject): KubeObject {
  object.metadata.deletionTimestamp = timestamp(nowMs());
  object.metadata.deletionGracePeriodSeconds = 0;
  return store.markDeleted(target.resource, object);
}
