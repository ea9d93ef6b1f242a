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

interface StoreState {
  readonly nowMs: () => number;
  readonly objects: Map<string, KubeObject>;
  readonly listeners: Set<(event: StoreEvent) => void>;
  readonly events: StoreEvent[];
  revision: number;
  /** The last revision whose event is no longer kept. */
  droppedRevision: number;
}

/** Objects with one rising revision over all of them, as etcd gives them to the API server. In memory only. */
export function createStore(nowMs: () => number): Store {
  const state: StoreState = {
    nowMs,
    objects: new Map(),
    listeners: new Set(),
    events: [],
    revision: 1,
    droppedRevision: 1,
  };
  return {
    get revision() {
      return state.revision;
    },
    get: (resource, namespace, name) => structuredClone(state.objects.get(keyOf(resource, namespace, name))),
    list: (resource, namespace) => list(state, resource, namespace),
    create: (resource, object) => create(state, resource, object),
    replace: (resource, object) => replace(state, resource, object),
    markDeleted: (resource, object) => commit(state, 'MODIFIED', resource, structuredClone(object)),
    remove: (resource, namespace, name) => remove(state, resource, namespace, name),
    eventsAfter: (revision) => eventsAfter(state, revision),
    subscribe: (listener) => subscribe(state, listener),
  };
}

const keyOf = (resource: Resource, namespace: string, name: string) =>
  `${resource.plural}/${resource.isNamespaced ? namespace : ''}/${name}`;

const keyOfObject = (resource: Resource, { metadata }: KubeObject) =>
  keyOf(resource, metadata.namespace ?? '', metadata.name ?? '');

function list({ objects }: StoreState, resource: Resource, namespace?: string): KubeObject[] {
  return [...objects]
    .filter(([key]) => key.startsWith(`${resource.plural}/${namespace ? `${namespace}/` : ''}`))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([, object]) => structuredClone(object));
}

function create(state: StoreState, resource: Resource, given: KubeObject): KubeObject {
  const object = structuredClone(given);
  const { metadata } = object;
  if (state.objects.has(keyOfObject(resource, object)))
    throw alreadyExists(resource.plural, metadata.name ?? '');
  object.apiVersion = apiVersionOf(resource);
  object.kind = resource.kind;
  metadata.uid = randomUUID();
  metadata.creationTimestamp = timestamp(state.nowMs());
  delete metadata.deletionTimestamp;
  return commit(state, 'ADDED', resource, object);
}

function replace(state: StoreState, resource: Resource, given: KubeObject): KubeObject {
  const object = structuredClone(given);
  const current = state.objects.get(keyOfObject(resource, object));
  if (!current) throw notFound(resource.plural, object.metadata.name ?? '');
  refuseStale(resource, current, object);
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
  return commit(state, 'MODIFIED', resource, object);
}

function remove(
  state: StoreState,
  resource: Resource,
  namespace: string,
  name: string,
): KubeObject | undefined {
  const key = keyOf(resource, namespace, name);
  const current = state.objects.get(key);
  if (!current) return undefined;
  state.objects.delete(key);
  state.revision += 1;
  const last = structuredClone(current);
  last.metadata.resourceVersion = String(state.revision);
  publish(state, { type: 'DELETED', resource: resource.plural, object: last, before: current });
  return structuredClone(last);
}

function commit(
  state: StoreState,
  type: 'ADDED' | 'MODIFIED',
  resource: Resource,
  object: KubeObject,
): KubeObject {
  const key = keyOfObject(resource, object);
  const before = state.objects.get(key);
  state.revision += 1;
  object.metadata.resourceVersion = String(state.revision);
  state.objects.set(key, object);
  publish(state, { type, resource: resource.plural, object, before });
  return structuredClone(object);
}

/** Keeps the event of the current revision and hands it to the listeners. */
function publish(state: StoreState, change: Omit<StoreEvent, 'revision'>): void {
  const event: StoreEvent = { ...change, revision: state.revision };
  state.events.push(event);
  if (state.events.length > keptEvents)
    state.droppedRevision = state.events.shift()?.revision ?? state.droppedRevision;
  for (const listener of state.listeners) listener(event);
}

function eventsAfter({ events, droppedRevision }: StoreState, revision: number): StoreEvent[] | undefined {
  return revision < droppedRevision ? undefined : events.filter((event) => event.revision > revision);
}

function subscribe({ listeners }: StoreState, listener: (event: StoreEvent) => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Refuses with 409 a write that means another object of this name, or an older version. */
function refuseStale(resource: Resource, current: KubeObject, next: KubeObject): void {
  const { name = '', resourceVersion, uid } = next.metadata;
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
