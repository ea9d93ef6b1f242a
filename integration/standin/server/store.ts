import { randomUUID } from 'node:crypto';
import { apiVersionOf, type KubeObject, type ObjectMeta, type Resource, resourceNamed } from './objects.ts';
import { alreadyExists, conflict, invalid, notFound } from './status.ts';

export interface StoreEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly resource: string;
  readonly object: KubeObject;
  /** The object before the change: a selector may have matched it then and not now. */
  readonly before: KubeObject | undefined;
  readonly revision: number;
}

export interface Store {
  readonly revision: number;
  get(resource: Resource, namespace: string, name: string): KubeObject | undefined;
  list(resource: Resource, namespace?: string): KubeObject[];
  create(resource: Resource, object: KubeObject): KubeObject;
  /** Replaces; refuses a stale `resourceVersion` or another `uid` with 409. */
  replace(resource: Resource, object: KubeObject): KubeObject;
  /** Takes over the deletion mark of this object, which `replace` leaves as it was. */
  markDeleted(resource: Resource, object: KubeObject): KubeObject;
  remove(resource: Resource, namespace: string, name: string): KubeObject | undefined;
  /** The events after a revision, or undefined when they are no longer kept (410). */
  eventsAfter(revision: number): StoreEvent[] | undefined;
  subscribe(listener: (event: StoreEvent) => void): () => void;
}

const keptEvents = 2_000;

/** Objects with one rising revision over all of them, as etcd gives them to the API server. In memory only. */
export function createStore(nowMs: () => number): Store {
  const objects = new Map<string, KubeObject>();
  const listeners = new Set<(event: StoreEvent) => void>();
  const events: StoreEvent[] = [];
  let revision = 1;
  let dropped = 1;

  const keyOf = (resource: Resource, namespace: string, name: string) =>
    `${resource.plural}/${resource.isNamespaced ? namespace : ''}/${name}`;

  function tell(
    type: StoreEvent['type'],
    resource: Resource,
    object: KubeObject,
    before: KubeObject | undefined,
  ): void {
    const event: StoreEvent = { type, resource: resource.plural, object, before, revision };
    events.push(event);
    if (events.length > keptEvents) dropped = events.shift()?.revision ?? dropped;
    for (const listener of listeners) listener(event);
  }

  function commit(type: 'ADDED' | 'MODIFIED', resource: Resource, object: KubeObject): KubeObject {
    const key = keyOf(resource, object.metadata.namespace ?? '', object.metadata.name ?? '');
    const before = objects.get(key);
    revision += 1;
    object.metadata.resourceVersion = String(revision);
    objects.set(key, object);
    tell(type, resource, object, before);
    return structuredClone(object);
  }

  return {
    get revision() {
      return revision;
    },
    get: (resource, namespace, name) => structuredClone(objects.get(keyOf(resource, namespace, name))),
    list: (resource, namespace) =>
      [...objects]
        .filter(([key]) => key.startsWith(`${resource.plural}/${namespace ? `${namespace}/` : ''}`))
        .sort(([one], [other]) => (one < other ? -1 : 1))
        .map(([, object]) => structuredClone(object)),
    create(resource, given) {
      const object = structuredClone(given);
      const { metadata } = object;
      const name = metadata.name ?? '';
      if (objects.has(keyOf(resource, metadata.namespace ?? '', name)))
        throw alreadyExists(resource.plural, name);
      object.apiVersion = apiVersionOf(resource);
      object.kind = resource.kind;
      metadata.uid = randomUUID();
      metadata.creationTimestamp = timestamp(nowMs());
      delete metadata.deletionTimestamp;
      return commit('ADDED', resource, object);
    },
    replace(resource, given) {
      const object = structuredClone(given);
      const name = object.metadata.name ?? '';
      const current = objects.get(keyOf(resource, object.metadata.namespace ?? '', name));
      if (!current) throw notFound(resource.plural, name);
      const { resourceVersion, uid } = object.metadata;
      if (uid !== undefined && uid !== current.metadata.uid)
        throw conflict(
          resource.plural,
          name,
          `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${current.metadata.uid}`,
        );
      if (resourceVersion !== undefined && resourceVersion !== current.metadata.resourceVersion)
        throw conflict(
          resource.plural,
          name,
          'the object has been modified; please apply your changes to the latest version and try again',
        );
      // What only the server writes stays as it was, whatever the caller sent.
      object.metadata = { ...object.metadata, ...serverWritten(current) };
      for (const field of ['deletionTimestamp', 'deletionGracePeriodSeconds'] as const)
        if (current.metadata[field] === undefined) delete object.metadata[field];
      refuseImmutableChange(resource, current, object);
      object.apiVersion = apiVersionOf(resource);
      object.kind = resource.kind;
      object.metadata.resourceVersion = current.metadata.resourceVersion ?? '';
      // A write that changes nothing makes no new version.
      if (JSON.stringify(current) === JSON.stringify(object)) return structuredClone(current);
      return commit('MODIFIED', resource, object);
    },
    markDeleted: (resource, object) => commit('MODIFIED', resource, structuredClone(object)),
    remove(resource, namespace, name) {
      const key = keyOf(resource, namespace, name);
      const current = objects.get(key);
      if (!current) return undefined;
      objects.delete(key);
      revision += 1;
      const last = structuredClone(current);
      last.metadata.resourceVersion = String(revision);
      tell('DELETED', resource, last, current);
      return structuredClone(last);
    },
    eventsAfter: (after) => (after < dropped ? undefined : events.filter((event) => event.revision > after)),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function serverWritten({ metadata }: KubeObject): Partial<ObjectMeta> {
  const { uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  return Object.fromEntries(
    Object.entries({ uid, creationTimestamp, deletionTimestamp, deletionGracePeriodSeconds }).filter(
      ([, value]) => value !== undefined,
    ),
  );
}

function refuseImmutableChange(resource: Resource, current: KubeObject, next: KubeObject): void {
  const name = next.metadata.name ?? '';
  if (resource.plural === 'secrets' && current.type !== next.type)
    throw invalid('Secret', name, `type: Invalid value: "${String(next.type)}": field is immutable`);
  if (resource.plural === 'secrets' || resource.plural === 'configmaps') {
    const isChanged =
      JSON.stringify(current.data ?? {}) !== JSON.stringify(next.data ?? {}) || next.immutable !== true;
    if (current.immutable === true && isChanged)
      throw invalid(resource.kind, name, 'data: Forbidden: field is immutable when `immutable` is set');
  }
  if (resource.plural === 'rolebindings' || resource.plural === 'clusterrolebindings')
    if (JSON.stringify(current.roleRef) !== JSON.stringify(next.roleRef))
      throw invalid(resource.kind, name, 'roleRef: Invalid value: cannot change roleRef');
}

/** RFC 3339 in whole seconds, as Kubernetes writes times. */
export const timestamp = (atMs: number): string => new Date(atMs).toISOString().replace(/\.\d{3}Z$/, 'Z');

/** Reads and writes by plural name, for code that is not a request. */
export const named = {
  node: resourceNamed('nodes'),
  pod: resourceNamed('pods'),
  secret: resourceNamed('secrets'),
  configMap: resourceNamed('configmaps'),
  lease: resourceNamed('leases'),
  budget: resourceNamed('poddisruptionbudgets'),
  policy: resourceNamed('validatingadmissionpolicies'),
  binding: resourceNamed('validatingadmissionpolicybindings'),
};
