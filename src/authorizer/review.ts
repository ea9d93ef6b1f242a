import { membersOf } from '#base';
import { type AccessRequest, type Denial, EXTRA_KEYS } from './judge-access.ts';

/** The versions of SubjectAccessReview that an API server can ask in; the answer is in the one that was asked. */
const VERSIONS = ['authorization.k8s.io/v1', 'authorization.k8s.io/v1beta1'];

export interface Review {
  readonly apiVersion: string;
  readonly request: AccessRequest;
}

/** Reads a SubjectAccessReview; `undefined` for anything else. v1beta1 calls `groups` `group`. */
export function readReview(text: string): Review | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { apiVersion, kind, spec } = membersOf(json);
  if (kind !== 'SubjectAccessReview' || typeof apiVersion !== 'string' || !VERSIONS.includes(apiVersion))
    return undefined;
  const { user, groups, group, extra, resourceAttributes } = membersOf(spec);
  const resource = resourceAttributes === undefined ? undefined : membersOf(resourceAttributes);
  return {
    apiVersion,
    request: {
      user: textOf(user),
      groups: textsOf(groups ?? group),
      extra: extraOf(membersOf(extra)),
      resource: resource && {
        verb: textOf(resource.verb),
        group: textOf(resource.group),
        resource: textOf(resource.resource),
        subresource: textOf(resource.subresource),
        name: textOf(resource.name),
      },
    },
  };
}

/**
 * A refusal says `k3s-daas/<code> <subject> <request id>`: it reaches the caller and the API server's audit log, so nothing
 * in it comes from a stranger but the name that was asked with.
 */
export function refusalOf(apiVersion: string, { code, subject }: Denial, requestId: string): string {
  const status = { allowed: false, denied: true, reason: `k3s-daas/${code} ${subject} ${requestId}` };
  return JSON.stringify({ apiVersion, kind: 'SubjectAccessReview', status });
}

/** No opinion, by version: by far the most answers. */
const noOpinions: ReadonlyMap<string, string> = new Map(
  VERSIONS.map((apiVersion) => [
    apiVersion,
    JSON.stringify({ apiVersion, kind: 'SubjectAccessReview', status: { allowed: false } }),
  ]),
);

export function noOpinionOf(apiVersion: string): string {
  return noOpinions.get(apiVersion) ?? '';
}

/** What decides, and nothing else of it. */
function extraOf(extra: Readonly<Record<string, unknown>>): AccessRequest['extra'] {
  const known: Record<string, readonly string[]> = {};
  for (const key of EXTRA_KEYS) if (key in extra) known[key] = textsOf(extra[key]);
  return known;
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const isText = (value: unknown): value is string => typeof value === 'string';

/** The array itself where it holds nothing else, as that of an API server does: a copy of each would cost more than the answer. */
function textsOf(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return [];
  return value.every(isText) ? value : value.filter(isText);
}
