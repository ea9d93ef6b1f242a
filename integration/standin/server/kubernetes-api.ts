import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { admit } from './admission.ts';
import { type Attributes, isAllowed, refusalOf } from './authorization.ts';
import { parseJson, readBody, sendJson, sendText, startLines } from './http.ts';
import type { Identity } from './identity.ts';
import { initialStatus, parseObject, placeIn, prepare, taintNewNode } from './new-objects.ts';
import { apiVersionOf, at, isRecord, type KubeObject, qualified, type Resource } from './objects.ts';
import { applyPatch } from './patches.ts';
import { allowsDisruption, budgetsOf, markDeleted } from './pod-removal.ts';
import {
  type DeleteOptions,
  deleteOptions,
  discovery,
  impersonated,
  parsePath,
  type Target,
  verbOf,
} from './request-target.ts';
import { fieldMatcher, labelMatcher, type Matches } from './selectors.ts';
import {
  badRequest,
  conflict,
  invalid,
  methodNotAllowed,
  notFound,
  Refusal,
  unauthorized,
} from './status.ts';
import { named, type Store, type StoreEvent, timestamp } from './store.ts';

export interface KubernetesApiOptions {
  readonly store: Store;
  readonly nowMs: () => number;
  /** What `/version` says. */
  readonly gitVersion: string;
}

/** The part of the Kubernetes API that the gateway and the agents use, in the API server's words. */
export function createKubernetesApi({ store, nowMs, gitVersion }: KubernetesApiOptions) {
  return { handle };

  /** Answers one request; throws a `Refusal`. `identity` is undefined for a request without valid credentials. */
  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    caller: Identity | undefined,
  ): Promise<void> {
    const url = new URL(request.url ?? '/', 'https://api');
    // k3s turns anonymous requests off, health included.
    if (!caller) throw unauthorized();
    const identity = impersonated(request, caller);
    if (['/livez', '/readyz', '/healthz'].includes(url.pathname)) return sendText(response, 200, 'ok');
    const meta = discovery(url.pathname, gitVersion);
    if (meta) return sendJson(response, 200, meta);

    const target = parsePath(url.pathname);
    const query = url.searchParams;
    const isWatch = ['true', '1'].includes(query.get('watch') ?? '');
    const verb = verbOf(request.method ?? 'GET', target, isWatch);
    const attributes: Attributes = {
      verb,
      group: target.resource.group,
      resource: target.resource.plural,
      subresource: target.subresource,
      namespace: target.namespace,
      name: target.name,
      fieldSelector: query.get('fieldSelector'),
    };
    if (!isAllowed(store, identity, attributes)) throw refusalOf(identity, attributes);

    const body = ['POST', 'PUT', 'PATCH', 'DELETE'].includes(request.method ?? '')
      ? await readBody(request)
      : Buffer.alloc(0);
    const isDryRun = query.has('dryRun');
    if (isDryRun && verb !== 'create') throw badRequest('this stand-in has dry runs of creations only');
    switch (verb) {
      case 'get':
        return sendJson(response, 200, existing(target));
      case 'list':
        return sendJson(response, 200, listOf(target, query));
      case 'watch':
        return watch(response, target, query);
      case 'create':
        return sendJson(response, 201, create(identity, target, parseJson(body), isDryRun));
      case 'update':
        return sendJson(response, 200, update(identity, target, parseJson(body)));
      case 'patch':
        return sendJson(
          response,
          200,
          patch(identity, target, request.headers['content-type'] ?? '', parseJson(body)),
        );
      case 'delete':
        return sendJson(response, 200, remove(identity, target, deleteOptions(body, query)));
      default:
        throw methodNotAllowed();
    }
  }

  function existing({ resource, namespace, name }: Target): KubeObject {
    const found = store.get(resource, namespace, name);
    if (!found) throw notFound(qualified(resource), name);
    return found;
  }

  function listOf({ resource, namespace, name }: Target, query: URLSearchParams): Record<string, unknown> {
    const matches = matcher(resource, name, query);
    return {
      kind: `${resource.kind}List`,
      apiVersion: apiVersionOf(resource),
      metadata: { resourceVersion: String(store.revision) },
      items: store
        .list(resource, namespace)
        .filter(matches)
        // Items of a list carry no kind of their own.
        .map(({ kind: _kind, apiVersion: _version, ...item }) => item),
    };
  }

  function watch(
    response: ServerResponse,
    { resource, namespace, name }: Target,
    query: URLSearchParams,
  ): void {
    const matches = matcher(resource, name, query);
    const from = query.get('resourceVersion') ?? '';
    const backlog = from === '' || from === '0' ? undefined : store.eventsAfter(Number(from));
    const lines = startLines(response);
    const send = (type: string, object: unknown) => lines.write({ type, object });
    if (from !== '' && from !== '0' && backlog === undefined) {
      const gone = new Refusal(410, 'Expired', `too old resource version: ${from} (${store.revision})`);
      send('ERROR', gone.toStatus());
      lines.end();
      return;
    }
    const tell = (event: StoreEvent) => {
      if (event.resource !== resource.plural) return;
      if (namespace && event.object.metadata.namespace !== namespace) return;
      const type = typeFor(event, matches);
      if (type) send(type, type === 'DELETED' ? deletedForm(event) : event.object);
    };
    if (backlog) backlog.forEach(tell);
    else for (const object of store.list(resource, namespace).filter(matches)) send('ADDED', object);

    lines.onEnd(store.subscribe(tell));
    const lifeMs = Math.min(Number(query.get('timeoutSeconds') ?? 1_800), 3_600) * 1_000;
    const end = setTimeout(() => lines.end(), lifeMs);
    lines.onEnd(() => clearTimeout(end));
    const bookmark = () =>
      send('BOOKMARK', {
        kind: resource.kind,
        apiVersion: apiVersionOf(resource),
        metadata: { resourceVersion: String(store.revision), creationTimestamp: null },
      });
    if (query.get('allowWatchBookmarks') !== 'true') return;
    const bookmarks = setInterval(bookmark, 60_000);
    lines.onEnd(() => clearInterval(bookmarks));
  }

  function create(identity: Identity, target: Target, body: unknown, isDryRun: boolean): KubeObject {
    if (target.subresource === 'eviction') return evict(identity, target, body) as unknown as KubeObject;
    if (target.subresource !== '') throw methodNotAllowed();
    const { resource, namespace } = target;
    const object = parseObject(resource, body);
    const { metadata } = object;
    if (!metadata.name && metadata.generateName)
      metadata.name = metadata.generateName + randomBytes(4).toString('hex').slice(0, 5);
    if (!metadata.name)
      throw invalid(resource.kind, '', 'metadata.name: Required value: name or generateName is required');
    if (!/^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$/i.test(metadata.name))
      throw invalid(
        resource.kind,
        metadata.name,
        `metadata.name: Invalid value: "${metadata.name}": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character`,
      );
    placeIn(resource, object, namespace);
    delete metadata.resourceVersion;
    delete metadata.uid;
    prepare(resource, object);
    if (resource.plural === 'nodes') taintNewNode(object);
    else if (resource.hasStatus) object.status = initialStatus(resource);
    admit(store, {
      identity,
      operation: 'CREATE',
      resource: resource.plural,
      name: metadata.name,
      object,
      oldObject: undefined,
    });
    return isDryRun ? object : store.create(resource, object);
  }

  function update(identity: Identity, target: Target, body: unknown): KubeObject {
    const current = existing(target);
    const object = parseObject(target.resource, body);
    if (object.metadata.name !== target.name)
      throw badRequest(
        `the name of the object (${object.metadata.name}) does not match the name on the URL (${target.name})`,
      );
    placeIn(target.resource, object, target.namespace);
    return write(identity, target, current, object);
  }

  function patch(identity: Identity, target: Target, contentType: string, body: unknown): KubeObject {
    const current = existing(target);
    const object = applyPatch(contentType, current, body);
    if (object.metadata.name !== target.name)
      throw badRequest('the name of the object does not match the name on the URL');
    return write(identity, target, current, object);
  }

  /** The common end of update and patch: the part that the subresource may change, admission, the store. */
  function write(identity: Identity, target: Target, current: KubeObject, given: KubeObject): KubeObject {
    const { resource, name, subresource } = target;
    let object = given;
    if (subresource === 'status') {
      // Through /status a Node's labels and annotations change too, its spec never.
      const { spec: _spec, ...rest } = given;
      object = { ...rest };
      if (current.spec !== undefined) object.spec = current.spec;
    } else if (subresource !== '') {
      throw methodNotAllowed();
    } else if (resource.hasStatus) {
      const { status: _status, ...rest } = given;
      object = rest;
      if (current.status !== undefined) object.status = current.status;
    }
    prepare(resource, object);
    admit(store, {
      identity,
      operation: 'UPDATE',
      resource: resource.plural + (subresource ? `/${subresource}` : ''),
      name,
      object,
      oldObject: current,
    });
    const written = store.replace(resource, object);
    // A pod waits for its kubelet, everything else for its finalizers.
    const isReleased =
      written.metadata.deletionTimestamp !== undefined && !written.metadata.finalizers?.length;
    if (isReleased && resource.plural !== 'pods') store.remove(resource, target.namespace, name);
    return written;
  }

  function remove(identity: Identity, target: Target, options: DeleteOptions): Record<string, unknown> {
    const { resource, namespace, name, subresource } = target;
    if (name === '' || subresource !== '') throw methodNotAllowed();
    const current = existing(target);
    checkPreconditions(resource, current, options);
    admit(store, {
      identity,
      operation: 'DELETE',
      resource: resource.plural,
      name,
      object: undefined,
      oldObject: current,
    });
    if (resource.plural === 'pods') return deletePod(current, options.gracePeriodSeconds);
    if (current.metadata.finalizers?.length)
      return { ...(current.metadata.deletionTimestamp ? current : markHeld(resource, current)) };
    store.remove(resource, namespace, name);
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: { name, kind: resource.plural, uid: current.metadata.uid },
    };
  }

  function checkPreconditions(
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

  function markHeld(resource: Resource, object: KubeObject): KubeObject {
    object.metadata.deletionTimestamp = timestamp(nowMs());
    object.metadata.deletionGracePeriodSeconds = 0;
    return store.markDeleted(resource, object);
  }

  /** A pod on a node is marked and waits for its kubelet to confirm; without grace, or without a node, it goes at once. */
  function deletePod(pod: KubeObject, wantedGraceS: number | undefined): KubeObject {
    const specGrace = at(pod, 'spec.terminationGracePeriodSeconds');
    const graceS = wantedGraceS ?? (typeof specGrace === 'number' ? specGrace : 30);
    const isRunning =
      Boolean(at(pod, 'spec.nodeName')) && !['Succeeded', 'Failed'].includes(String(at(pod, 'status.phase')));
    const { namespace = '', name = '' } = pod.metadata;
    if (graceS === 0 || !isRunning) {
      store.remove(named.pod, namespace, name);
      return pod;
    }
    if (pod.metadata.deletionTimestamp === undefined)
      return markDeleted(store, pod, timestamp(nowMs() + graceS * 1_000), graceS);
    return pod;
  }

  function evict(identity: Identity, target: Target, body: unknown): Record<string, unknown> {
    if (target.resource.plural !== 'pods') throw methodNotAllowed();
    const pod = existing(target);
    const options =
      isRecord(body) && isRecord(body.deleteOptions) ? (body.deleteOptions as DeleteOptions) : {};
    admit(store, {
      identity,
      operation: 'CREATE',
      resource: 'pods/eviction',
      name: target.name,
      object: undefined,
      oldObject: pod,
    });
    checkPreconditions(target.resource, pod, options);
    const budgets = budgetsOf(store, pod);
    if (budgets.length > 1)
      throw new Refusal(
        500,
        'InternalError',
        'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
      );
    if (budgets[0] && !allowsDisruption(store, budgets[0]))
      throw new Refusal(
        429,
        'TooManyRequests',
        "Cannot evict pod as it would violate the pod's disruption budget.",
        {
          causes: [
            {
              reason: 'DisruptionBudget',
              message: `The disruption budget ${budgets[0].metadata.name} needs the pod`,
            },
          ],
        },
      );
    deletePod(pod, options.gracePeriodSeconds);
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
  }
}

function matcher(resource: Resource, name: string, query: URLSearchParams): Matches {
  const byLabel = labelMatcher(query.get('labelSelector'));
  const byField = fieldMatcher(resource.plural, query.get('fieldSelector'));
  return (object) => byLabel(object) && byField(object) && (name === '' || object.metadata.name === name);
}

/** What a watcher with a selector sees of a change: an object may come into its sight, or go out of it. */
function typeFor({ type, object, before }: StoreEvent, matches: Matches): StoreEvent['type'] | undefined {
  const [isSeen, wasSeen] = [matches(object), before !== undefined && matches(before)];
  if (type === 'DELETED') return wasSeen ? 'DELETED' : undefined;
  if (isSeen) return wasSeen ? 'MODIFIED' : 'ADDED';
  return wasSeen ? 'DELETED' : undefined;
}

const deletedForm = ({ object, before }: StoreEvent): KubeObject => ({
  ...(before ?? object),
  metadata: { ...(before ?? object).metadata, resourceVersion: object.metadata.resourceVersion ?? '' },
});
