import type { Identity } from './identity.ts';
import type { Target } from './request-target.ts';
import type { Store } from './store.ts';

/** What every request to the Kubernetes API works on. */
export interface ApiContext {
  readonly store: Store;
  readonly nowMs: () => number;
  /** The version in the answer of `/version`. */
  readonly gitVersion: string;
}

/** One request to an object or a collection, from an identity that the API knows. */
export interface ApiCall extends ApiContext {
  readonly identity: Identity;
  readonly target: Target;
  readonly query: URLSearchParams;
  /** The verb of authorization: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`. */
  readonly verb: string;
}
