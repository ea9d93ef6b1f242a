import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ApiCall, ApiContext } from './api-call.ts';
import { type Attributes, isAllowed, refusalOf } from './authorization.ts';
import { evict } from './eviction.ts';
import { parseJson, readBody, sendJson, sendText } from './http.ts';
import type { Identity } from './identity.ts';
import { remove } from './object-deletion.ts';
import { existing, listOf } from './object-reads.ts';
import { create, patch, update } from './object-writes.ts';
import { deleteOptions, discovery, impersonated, parsePath, verbOf } from './request-target.ts';
import { badRequest, methodNotAllowed, unauthorized } from './status.ts';
import { watch } from './watches.ts';

/** The part of the Kubernetes API that the gateway and the agents use, in the API server's words. */
export function createKubernetesApi(context: ApiContext) {
  return {
    /** Answers one request; throws a `Refusal`. `caller` is undefined for a request without valid credentials. */
    handle: (request: IncomingMessage, response: ServerResponse, caller: Identity | undefined) =>
      handle(context, request, response, caller),
  };
}

async function handle(
  context: ApiContext,
  request: IncomingMessage,
  response: ServerResponse,
  caller: Identity | undefined,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://api');
  // k3s turns anonymous requests off, health included.
  if (!caller) throw unauthorized();
  const identity = impersonated(request, caller);
  if (['/livez', '/readyz', '/healthz'].includes(url.pathname)) return sendText(response, 200, 'ok');
  const meta = discovery(url.pathname, context.gitVersion);
  if (meta) return sendJson(response, 200, meta);

  const call = callOf(context, request, url, identity);
  refuseForbidden(call);
  const body = await bodyOf(request);
  if (call.query.has('dryRun') && call.verb === 'delete')
    throw badRequest('this stand-in has no dry runs of deletions');
  if (call.verb === 'watch') return watch(call, response);
  sendJson(response, call.verb === 'create' ? 201 : 200, resultOf(call, request, body));
}

function callOf(context: ApiContext, request: IncomingMessage, url: URL, identity: Identity): ApiCall {
  const target = parsePath(url.pathname);
  const query = url.searchParams;
  const isWatch = ['true', '1'].includes(query.get('watch') ?? '');
  return { ...context, identity, target, query, verb: verbOf(request.method ?? 'GET', target, isWatch) };
}

function refuseForbidden({ store, identity, target, query, verb }: ApiCall): void {
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
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const hasBody = ['POST', 'PUT', 'PATCH', 'DELETE'].includes(request.method ?? '');
  return hasBody ? readBody(request) : Buffer.alloc(0);
}

/** What the answer to a verb holds; all but a watch have one. */
function resultOf(call: ApiCall, request: IncomingMessage, body: Buffer): unknown {
  switch (call.verb) {
    case 'get':
      return existing(call);
    case 'list':
      return listOf(call);
    case 'create':
      return (call.target.subresource === 'eviction' ? evict : create)(call, parseJson(body));
    case 'update':
      return update(call, parseJson(body));
    case 'patch':
      return patch(call, request.headers['content-type'] ?? '', parseJson(body));
    case 'delete':
      return remove(call, deleteOptions(body, call.query));
    default:
      throw methodNotAllowed();
  }
}
