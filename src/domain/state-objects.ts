/**
 * Where a gateway's state is kept in Kubernetes: objects of one namespace, each with a text, and one Lease. Each write names
 * the version that was read, and the API server refuses it when another has written meanwhile; there is no write of two
 * objects at once.
 */
export interface StateObjects extends AsyncDisposable {
  /** All of them, as of one moment. @throws `DAAS_CLUSTER_…` */
  list(): Promise<readonly StateObject[]>;
  read(name: string): Promise<StateObject | undefined>;
  /** Without `version` it makes the object. @returns `undefined`: another has written it, and nothing was changed. */
  write(object: NewStateObject): Promise<StateObject | undefined>;
  /**
   * Reports all objects, then each version of the one of this name, until the signal aborts; when the watch breaks, all of them
   * again. Nothing that the listener throws ends it.
   */
  follow(name: string, listener: (news: StateObjectNews) => void, signal: AbortSignal): Promise<void>;
  /** @throws `DAAS_CLUSTER_NOT_SET_UP` when there is none. */
  readLease(): Promise<StateLease>;
  /** @returns `undefined`: another has written it, and nothing was changed. */
  writeLease(lease: StateLease): Promise<StateLease | undefined>;
}

export interface NewStateObject {
  readonly name: string;
  readonly text: string;
  readonly version?: string | undefined;
}

export interface StateObject {
  readonly name: string;
  readonly text: string;
  /** Changes with every write. */
  readonly version: string;
}

export type StateObjectNews =
  | { readonly kind: 'listed'; readonly objects: readonly StateObject[] }
  | { readonly kind: 'written'; readonly object: StateObject }
  | { readonly kind: 'deleted' };

/** A Lease of coordination.k8s.io/v1, as far as it says who leads. */
export interface StateLease {
  readonly version: string;
  /** `undefined`: nobody holds it. */
  readonly holder: string | undefined;
  readonly durationSeconds: number | undefined;
  readonly acquiredAtMs: number | undefined;
  readonly renewedAtMs: number | undefined;
  readonly transitions: number;
}
