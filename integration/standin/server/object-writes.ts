import { randomBytes } from 'node:crypto';
import { admit } from './admission.ts';
import type { ApiCall } from './api-call.ts';
import { initialStatus, parseObject, placeIn, prepare, taintNewNode } from './new-objects.ts';
import { existing } from './object-reads.ts';
import { type KubeObject, type ObjectMeta, type Resource, resourceNamed } from './objects.ts';
import { applyPatch } from './patches.ts';
import type { Target } from './request-target.ts';
import { badRequest, invalid, methodNotAllowed, notFound } from './status.ts';

/** Creates the object and returns it as stored; a dry run stores nothing. Throws a `Refusal`. */
export function create({ store, identity, target, query }: ApiCall, body: unknown): KubeObject {
  if (target.subresource !== '') throw methodNotAllowed();
  const { resource, namespace } = target;
  const object = parseObject(resource, body);
  const { metadata } = object;
  const name = nameNew(resource, metadata);
  placeIn(resource, object, namespace);
  if (resource.isNamespaced && !store.get(resourceNamed('namespaces'), '', namespace))
    throw notFound('namespaces', namespace);
  delete metadata.resourceVersion;
  delete metadata.uid;
  prepare(resource, object);
  if (resource.plural === 'nodes') taintNewNode(object);
  else if (resource.hasStatus) object.status = initialStatus(resource);
  admit(store, {
    identity,
    operation: 'CREATE',
    resource: resource.plural,
    name,
    object,
    oldObject: undefined,
  });
  return query.has('dryRun') ? object : store.create(resource, object);
}

/** Fills in a name where a prefix is given, and refuses a name that Kubernetes does not take. */
function nameNew({ kind }: Resource, metadata: ObjectMeta): string {
  if (!metadata.name && metadata.generateName)
    metadata.name = metadata.generateName + randomBytes(4).toString('hex').slice(0, 5);
  const { name } = metadata;
  if (!name) throw invalid(kind, '', 'metadata.name: Required value: name or generateName is required');
  if (!/^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$/i.test(name))
    throw invalid(
      kind,
      name,
      `metadata.name: Invalid value: "${name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character`,
    );
  return name;
}

/** Replaces the object and returns it as stored; a dry run stores nothing. Throws a `Refusal`. */
export function update(call: ApiCall, body: unknown): KubeObject {
  const { target } = call;
  const current = existing(call);
  const object = parseObject(target.resource, body);
  if (object.metadata.name !== target.name)
    throw badRequest(
      `the name of the object (${object.metadata.name}) does not match the name on the URL (${target.name})`,
    );
  placeIn(target.resource, object, target.namespace);
  return write(call, current, object);
}

/** Changes the object by a patch of the given content type and returns it as stored; throws a `Refusal`. */
export function patch(call: ApiCall, contentType: string, body: unknown): KubeObject {
  const current = existing(call);
  const object = applyPatch(contentType, current, body);
  if (object.metadata.name !== call.target.name)
    throw badRequest('the name of the object does not match the name on the URL');
  return write(call, current, object);
}

/** The common end of update and patch: the part that the subresource may change, admission, the store. */
function write(
  { store, identity, target, query }: ApiCall,
  current: KubeObject,
  given: KubeObject,
): KubeObject {
  const { resource, namespace, name, subresource } = target;
  const object = writablePart(target, current, given);
  prepare(resource, object);
  admit(store, {
    identity,
    operation: 'UPDATE',
    resource: resource.plural + (subresource ? `/${subresource}` : ''),
    name,
    object,
    oldObject: current,
  });
  if (query.has('dryRun')) return object;
  const written = store.replace(resource, object);
  // A pod waits for its kubelet, everything else for its finalizers.
  const isReleased = written.metadata.deletionTimestamp !== undefined && !written.metadata.finalizers?.length;
  if (isReleased && resource.plural !== 'pods') store.remove(resource, namespace, name);
  return written;
}

/** What was given, with the current value of the part that this subresource leaves alone. */
function writablePart({ resource, subresource }: Target, current: KubeObject, given: KubeObject): KubeObject {
  if (subresource === 'status') {
    // Through /status a Node's labels and annotations change too, its spec never.
    const { spec: _spec, ...object } = given;
    return current.spec === undefined ? object : { ...object, spec: current.spec };
  }
  if (subresource !== '') throw methodNotAllowed();
  if (!resource.hasStatus) return given;
  const { status: _status, ...object } = given;
  return current.status === undefined ? object : { ...object, status: current.status };
}
