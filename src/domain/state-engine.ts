/**
 * Where a gateway's state is kept: text under keys such as `/workers/<node_id>`. The engines differ in who else writes;
 * one suite holds all of them to this.
 */
export interface StateEngine extends AsyncDisposable {
  /** It is part of what a sealed value is bound to. */
  readonly kind: StateEngineKind;
  /** The most changes that one write takes. */
  readonly mostChanges: number;
  /**
   * This process alone writes it, and a write costs no more than the disk: figures of heartbeats are kept there too, and a
   * write that rejects has written nothing.
   */
  readonly isLocal: boolean;
  read(key: string): Promise<string | undefined>;
  /** Everything whose key begins so, in the order of the keys, as of one moment. */
  list(prefix: string): Promise<readonly StateRecord[]>;
  /**
   * One transaction, durable when it resolves: all of it or nothing. `text: undefined` removes.
   * @throws `DAAS_GATEWAY_STORE_FAILED`; `DAAS_GATEWAY_NOT_LEADING` where another gateway leads.
   */
  write(changes: readonly TextChange[]): Promise<void>;
  /**
   * Reports everything that is written until the signal aborts, also what this process writes. It begins with the whole
   * state (`listed`), and so it does each time it has to begin anew. A local engine reports nothing.
   */
  follow(listener: (news: StateNews) => void, signal: AbortSignal): Promise<void>;
}

export type StateEngineKind = 'sqlite' | 'etcd' | 'kubernetes';
export type StateRecord = readonly [key: string, text: string];

export interface TextChange {
  readonly key: string;
  readonly text: string | undefined;
}

export type StateNews =
  | { readonly kind: 'listed'; readonly records: readonly StateRecord[] }
  | { readonly kind: 'changed'; readonly changes: readonly TextChange[] };
