import type { ApiCall } from './api-call.ts';
import { apiVersionOf, type KubeObject, qualified, type Resource } from './objects.ts';
import { fieldMatcher, labelMatcher, type Matches } from './selectors.ts';
import { notFound } from './status.ts';

/** The object that the request names; throws a 404 `Refusal` when there is none. */
export function existing({ store, target }: ApiCall): KubeObject {
  const { resource, namespace, name } = target;
  const found = store.get(resource, namespace, name);
  if (!found) throw notFound(qualified(resource), name);
  return found;
}

/** The list of the objects that the request selects, in the form of the API server. */
export function listOf({ store, target, query }: ApiCall): Record<string, unknown> {
  const { resource, namespace, name } = target;
  const matches = matcherOf(resource, name, query);
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

/** What the selectors of a query, and the name on the URL if there is one, let through. */
export function matcherOf(resource: Resource, name: string, query: URLSearchParams): Matches {
  const byLabel = labelMatcher(query.get('labelSelector'));
  const byField = fieldMatcher(resource.plural, query.get('fieldSelector'));
  return (object) => byLabel(object) && byField(object) && (name === '' || object.metadata.name === name);
}
