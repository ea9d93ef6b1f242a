/** A condition as Kubernetes writes them (meta/v1 Condition). */
export interface StakedNodeCondition {
  readonly type: 'Staked' | 'Admitted';
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
  /** RFC 3339, without fractions. */
  readonly lastTransitionTime: string;
}

/** What `kubectl get stakednodes` shows of a worker: a copy of what the gateway knows, which decides nothing. */
export interface StakedNode {
  readonly nodeId: string;
  readonly spec: {
    /** Sui address of the staker. */
    readonly wallet: string;
    /** Object id of the stake record. */
    readonly stakeRecord: string;
    readonly sealToken: string;
  };
  readonly status: {
    /** Such as `250 SUI`; empty while it was not read. */
    readonly stake: string;
    readonly state: string;
    readonly tier: string;
    /** The epoch of Sui at which the Seal token expires; empty while it was not read. */
    readonly expires: string;
    readonly conditions: readonly StakedNodeCondition[];
  };
}

/** Where the copies are kept. Every method throws `DAAS_CLUSTER_UNAVAILABLE`, or what the API server refused. */
export interface StakedNodeBoard {
  list(signal?: AbortSignal): Promise<readonly StakedNode[]>;
  write(node: StakedNode, signal?: AbortSignal): Promise<void>;
  remove(nodeId: string, signal?: AbortSignal): Promise<void>;
}
