import type { Secret } from '#base';

/**
 * What the gateway asks of Kubernetes. The gateway decides and orders the steps, the cluster layer carries each one out.
 * Every method is idempotent: it may be repeated after a crash at any moment. Failures to reach the API server are
 * retryable `DaasError`s with code `DAAS_CLUSTER_UNAVAILABLE`.
 */
export interface ClusterPort {
  node(name: string, signal?: AbortSignal): Promise<ClusterNode | undefined>;
  nodes(signal?: AbortSignal): Promise<readonly ClusterNode[]>;
  /**
   * When the kubelet of this Node last renewed its Lease, by the kubelet's own clock; `undefined` when there is no Lease, or
   * the gateway may not read it.
   */
  leaseRenewedAtMs(name: string, signal?: AbortSignal): Promise<number | undefined>;
  /**
   * Tells every change of a Node until the signal aborts, and, each time the watch begins anew, the whole list first
   * (`listed`), so that a listener can act on levels and never misses a change for good.
   */
  watchNodes(listener: (change: NodeChange) => void, signal: AbortSignal): Promise<void>;

  /** k3s' `<node>.node-password.k3s`, which reserves the name for whoever knows the password. */
  nodePassword(nodeId: string, signal?: AbortSignal): Promise<NodePasswordSecret | undefined>;
  /**
   * Makes the password Secret anew with this hash (they are immutable: the old one is deleted), marked as ours. The name
   * leaves the admitted ones first, so that nobody can register it in between: admit it again afterwards.
   */
  reserveNodePassword(
    request: { nodeId: string; hash: string; recordId: string },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Deletes the password Secret if it carries our mark. */
  releaseNodePassword(nodeId: string, signal?: AbortSignal): Promise<void>;

  /**
   * The listed names (the policy's ConfigMap): staked ones with their tier, the operator's as `ordinary`, `expected` or
   * `reserved`. To admit or remove one of the operator's throws `DAAS_NAME_RESERVED`; without a set-up cluster it is
   * `DAAS_CLUSTER_NOT_SET_UP`.
   */
  admittedNames(signal?: AbortSignal): Promise<ReadonlyMap<string, string>>;
  admitName(request: { nodeId: string; tier: string }, signal?: AbortSignal): Promise<void>;
  removeName(nodeId: string, signal?: AbortSignal): Promise<void>;
  /** Lists one of the operator's names as `to` if it is listed as `from` now; tells whether it was. */
  relistName(request: { name: string; from: string; to: string }, signal?: AbortSignal): Promise<boolean>;

  /** A bootstrap-token Secret in kube-system, marked with node id and record. */
  createJoinCredential(
    request: { nodeId: string; recordId: string; expiresAtMs: number },
    signal?: AbortSignal,
  ): Promise<IssuedJoinCredential>;
  revokeJoinCredential(id: string, signal?: AbortSignal): Promise<void>;
  /** The join credentials that this gateway made and that still exist. */
  joinCredentials(signal?: AbortSignal): Promise<readonly LiveJoinCredential[]>;

  /** Sets the label `k3s-daas.node-restriction.kubernetes.io/stake=<record id, base58>` on the Node. */
  markNode(request: { nodeId: string; recordId: string }, signal?: AbortSignal): Promise<void>;
  /** Unschedulable, and the taint `k3s-daas.io/evicted=<reason>:NoExecute`. */
  cordonAndTaint(request: { nodeId: string; reason: string }, signal?: AbortSignal): Promise<void>;
  /** The taint `k3s-daas.io/held=<reason>:NoSchedule`, or none without a reason: what runs there goes on. */
  holdNode(request: { nodeId: string; reason: string | undefined }, signal?: AbortSignal): Promise<void>;
  /** Evicts every pod of the Node through the eviction API, then deletes what is left without grace; returns the count. */
  removePods(nodeId: string, signal?: AbortSignal): Promise<number>;
  /** Deletes the Node; with `uid`, only if it is still that one. */
  deleteNode(request: { nodeId: string; uid?: string }, signal?: AbortSignal): Promise<void>;
}

export interface ClusterNode {
  readonly name: string;
  readonly uid: string;
  readonly isReady: boolean;
  /** The Ready condition is Unknown: the cluster has not heard the kubelet for its grace period (40 to 50 s). */
  readonly isKubeletSilent: boolean;
  /** Record id (0x…) of our mark, if the Node carries it. */
  readonly stakeRecordId: string | undefined;
  readonly createdAtMs: number;
  /** When the Ready condition last changed. */
  readonly readyChangedAtMs: number | undefined;
  readonly isUnschedulable: boolean;
  /** Reason of our taint `k3s-daas.io/held`, if the Node carries it. */
  readonly heldFor: string | undefined;
}

export type NodeChange =
  | { readonly kind: 'listed'; readonly nodes: readonly ClusterNode[] }
  | { readonly kind: 'added' | 'modified' | 'deleted'; readonly node: ClusterNode };

export interface NodePasswordSecret {
  readonly nodeId: string;
  /** The stake record our mark names; undefined when the Secret is not ours. */
  readonly recordId: string | undefined;
  readonly hash: string;
}

export interface IssuedJoinCredential {
  /** Six characters; public (it is in the Secret's name). */
  readonly id: string;
  /** `<id>.<secret>`; the CA hash is put before it by whoever knows the server. */
  readonly credential: Secret;
  readonly expiresAtMs: number;
}

export interface LiveJoinCredential {
  readonly id: string;
  readonly nodeId: string;
  readonly recordId: string;
  readonly expiresAtMs: number;
}
