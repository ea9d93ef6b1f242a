import type { IncomingMessage } from 'node:http';
import { parseJson } from './http.ts';
import type { Identity } from './identity.ts';
import { type Resource, resourceOf, resources } from './objects.ts';
import { forbidden, methodNotAllowed, Refusal } from './status.ts';

export interface Target {
  readonly resource: Resource;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
}

/** An administrator may ask as somebody else. */
export function impersonated(request: IncomingMessage, caller: Identity): Identity {
  const user = request.headers['impersonate-user'];
  if (typeof user !== 'string') return caller;
  if (!caller.groups.includes('system:masters'))
    throw forbidden(
      `users "${user}" is forbidden: User "${caller.username}" cannot impersonate resource "users" in API group "" at the cluster scope`,
    );
  const credential = request.headers['impersonate-extra-authentication.kubernetes.io%2fcredential-id'];
  return {
    username: user,
    groups: [...(request.headersDistinct['impersonate-group'] ?? []), 'system:authenticated'],
    ...(typeof credential === 'string' && { fingerprint: credential.replace('X509SHA256=', '') }),
  };
}

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  preconditions?: { uid?: string; resourceVersion?: string };
}

export function deleteOptions(body: Buffer, query: URLSearchParams): DeleteOptions {
  const options = body.length > 0 ? (parseJson(body) as DeleteOptions) : {};
  const grace = query.get('gracePeriodSeconds');
  return grace === null ? options : { ...options, gracePeriodSeconds: Number(grace) };
}

export function discovery(path: string, gitVersion: string): Record<string, unknown> | undefined {
  const groups = [...new Set(resources.map(({ group }) => group))].filter((group) => group !== '');
  const listed = (group: string) => ({
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion: group === '' ? 'v1' : `${group}/v1`,
    resources: resources
      .filter((resource) => resource.group === group)
      .flatMap((resource) => [
        apiResource(resource, resource.plural),
        ...(resource.hasStatus ? [apiResource(resource, `${resource.plural}/status`)] : []),
      ]),
  });
  const described = (group: string) => {
    const version = { groupVersion: `${group}/v1`, version: 'v1' };
    return { name: group, versions: [version], preferredVersion: version };
  };
  const [, major = '1', minor = '0'] = /^v(\d+)\.(\d+)/.exec(gitVersion) ?? [];
  if (path === '/version') return { major, minor, gitVersion, platform: 'stand-in' };
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  if (path === '/api/v1') return listed('');
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(described) };
  const group = groups.find((one) => path === `/apis/${one}` || path === `/apis/${one}/v1`);
  if (group === undefined) return undefined;
  return path.endsWith('/v1') ? listed(group) : { kind: 'APIGroup', apiVersion: 'v1', ...described(group) };
}

const apiResource = (resource: Resource, name: string) => ({
  name,
  singularName: name === resource.plural ? resource.singular : '',
  namespaced: resource.isNamespaced,
  kind: resource.kind,
  verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
  ...(resource.shortNames.length > 0 && name === resource.plural ? { shortNames: resource.shortNames } : {}),
});

export function parsePath(path: string): Target {
  const unknown = () => new Refusal(404, 'NotFound', 'the server could not find the requested resource');
  const core = /^\/api\/(v1)\/(.+)$/.exec(path);
  const grouped = /^\/apis\/([^/]+)\/([^/]+)\/(.+)$/.exec(path);
  const [group, version, rest] = core ? ['', core[1], core[2]] : [grouped?.[1], grouped?.[2], grouped?.[3]];
  if (group === undefined || version === undefined || rest === undefined) throw unknown();
  let parts = rest.split('/').map(decodeURIComponent);
  let namespace = '';
  // `namespaces/x` is the object, `namespaces/x/pods` what is in it.
  if (parts[0] === 'namespaces' && parts.length > 2 && parts[2] !== 'status') {
    namespace = parts[1] ?? '';
    parts = parts.slice(2);
  }
  const [plural = '', name = '', subresource = ''] = parts;
  const resource = resourceOf(group, version, plural);
  const subresources = [
    '',
    ...(resource?.hasStatus ? ['status'] : []),
    ...(plural === 'pods' ? ['eviction'] : []),
  ];
  if (!resource || parts.length > 3 || !subresources.includes(subresource)) throw unknown();
  if (!resource.isNamespaced && namespace !== '') throw unknown();
  return { resource, namespace, name, subresource };
}

export function verbOf(method: string, { resource, namespace, name }: Target, isWatch: boolean): string {
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (isWatch) return 'watch';
      return name === '' ? 'list' : 'get';
    case 'POST':
      if (resource.isNamespaced && namespace === '') throw methodNotAllowed();
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return name === '' ? 'deletecollection' : 'delete';
    default:
      throw methodNotAllowed();
  }
}
