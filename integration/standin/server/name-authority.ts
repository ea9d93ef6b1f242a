import { NAMES_GROUP, namespaceOfName } from '#cluster';
import { isAllowed } from './authorization.ts';
import type { Identity } from './identity.ts';
import type { Store } from './store.ts';

/** What the policies ask of the authorizers about a node name: `authorizer.group(…)….check(verb)`. */
export function holds(
  store: Store,
  identity: Identity,
  node: string,
  [resource, name, verb]: readonly [resource: string, name: string, verb: string],
): boolean {
  return isAllowed(store, identity, {
    verb,
    group: NAMES_GROUP,
    resource,
    subresource: '',
    namespace: namespaceOfName(node),
    name,
    fieldSelector: null,
  });
}
