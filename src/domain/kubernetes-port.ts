import type { Secret } from '#base';
import type { Vouch } from './vouches.ts';

/**
 * What the gateway asks of Kubernetes. The gateway decides and orders the steps, the cluster layer carries each one out.
 * Every method is idempotent: it may be repeated after a crash at any moment. When the API server cannot be reached, a
 * method throws a retryable `DaasError` with code `DAAS_CLUSTER_UNAVAILABLE`.
 */
export interface KubernetesPort {
  node(name: string, signal?: AbortSignal): Promise<KubernetesNode | undefined>;
  nodes(signal?: AbortSignal): Promise<readonly KubernetesNode[]>;
  /**
   * When the kubelet of this Node last renewed its Lease, by the kubelet's own clock; `undefined` without a Lease, or
   * without the right to read it.
   */
  leaseRenewedAtMs(name: string, signal?: AbortSignal): Promise<number | undefined>;
  /**
   * Reports every change of a Node until the signal aborts. Each time the watch begins anew it reports the whole list first
   * (`listed`), so that a listener can act on levels and never misses a change for good.
   */
  watchNodes(listener: (change: NodeChange) => void, signal: AbortSignal): Promise<void>;

  /** k3s' `<node>.node-password.k3s`, which reserves the name for the holder of the password. */
  nodePassword(nodeId: string, signal?: AbortSignal): Promise<NodePasswordSecret | undefined>;
  /**
   * Replaces the password Secret with one of this hash (such Secrets are immutable), marked as the gateway's. The name is
   * removed from the admitted ones first, so that it cannot be registered in between: admit it again afterwards.
   */
  reserveNodePassword(
    request: { nodeId: string; hash: string; recordId: string },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Reports the password Secrets that do not carry the gateway's mark, as `watchNodes` does Nodes. */
  watchForeignPasswords(
    listener: (change: ForeignPasswordChange) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** Deletes the password Secret if it carries the gateway's mark. */
  releaseNodePassword(nodeId: string, signal?: AbortSignal): Promise<void>;

  /**
   * The listed names: staked ones with their tier, the operator's as `ordinary`, `expected` or `reserved`. Admitting or
   * removing one of the operator's throws `DAAS_NAME_RESERVED`; admitting in a cluster without `gateway setup` throws
   * `DAAS_CLUSTER_NOT_SET_UP`.
   */
  admittedNames(signal?: AbortSignal): Promise<ReadonlyMap<string, string>>;
  /** The listing of one name; `undefined` when it is not listed. */
  admittedName(name: string, signal?: AbortSignal): Promise<string | undefined>;
  /** Lists a staked name, or changes which of its certificates count. */
  admitName(request: AdmittedName, signal?: AbortSignal): Promise<void>;
  removeName(nodeId: string, signal?: AbortSignal): Promise<void>;
  /** Lists one of the operator's names as `to` if it is listed as `from` now; resolves with whether it was. */
  relistName(request: { name: string; from: string; to: string }, signal?: AbortSignal): Promise<boolean>;

  /**
   * The addresses of the operator's Nodes, in canonical form (RFC 5952), in the place of those that were given before: no staked
   * Node may begin to report one of them.
   */
  holdAddresses(addresses: readonly string[], signal?: AbortSignal): Promise<void>;

  /**
   * Gives every listed name another version, so that what an earlier leader has under way for it fails; resolves with how
   * many there are.
   */
  renewNames(signal?: AbortSignal): Promise<number>;

  /** Whether policies see which certificate a request came with (Kubernetes 1.32); without it vouches count for nothing. */
  showsCertificates(signal?: AbortSignal): Promise<boolean>;
  /** PEM of the authorities whose client certificates the API server accepts. */
  clientAuthorities(signal?: AbortSignal): Promise<string>;

  /** A bootstrap-token Secret in kube-system, marked with node id and record. */
  createJoinCredential(
    request: { nodeId: string; recordId: string; expiresAtMs: number },
    signal?: AbortSignal,
  ): Promise<IssuedJoinCredential>;
  revokeJoinCredential(id: string, signal?: AbortSignal): Promise<void>;
  /** The join credentials that this gateway made and that still exist. */
  joinCredentials(signal?: AbortSignal): Promise<readonly LiveJoinCredential[]>;

  /**
   * Sets the labels `stake` (record id in base58), `tier`, `owner` (wallet of the staker in base58) and `attestation` (kind of
   * the accepted evidence, or `none`; left out: the label is removed) of `k3s-daas.node-restriction.kubernetes.io/` on the Node.
   */
  markNode(request: NodeMark, signal?: AbortSignal): Promise<void>;
  /** Unschedulable, and the taint `k3s-daas.io/evicted=<reason>:NoExecute`. */
  cordonAndTaint(request: { nodeId: string; reason: string }, signal?: AbortSignal): Promise<void>;
  /** Sets the taint `k3s-daas.io/held=<reason>:NoSchedule`: the Node gets no new pods, those that run go on. */
  cordonNode(request: { nodeId: string; reason: string }, signal?: AbortSignal): Promise<void>;
  /** Removes that taint: the Node gets new pods again. */
  uncordonNode(nodeId: string, signal?: AbortSignal): Promise<void>;
  /** Evicts every pod of the Node through the eviction API, then deletes what is left without grace; returns the count. */
  removePods(nodeId: string, signal?: AbortSignal): Promise<number>;
  /**
   * Deletes the Node; with `uid`, only if it is still that one. Resolves with the finalizers that it took off because
   * somebody else than k3s had set them: they would have kept the Node.
   */
  deleteNode(request: { nodeId: string; uid?: string }, signal?: AbortSignal): Promise<readonly string[]>;
}

/** What the gateway's labels say of a Node. */
interface NodeMark {
  readonly nodeId: string;
  readonly recordId: string;
  readonly tier: string;
  readonly staker?: string;
  readonly attestation?: string | undefined;
}

/** A staked name as the cluster is to know it. */
export interface AdmittedName {
  readonly nodeId: string;
  /** The tier whose taint the Node must carry, or `untainted`. */
  readonly tier: string;
  /** The certificates that may make the Node. Without this member any does. */
  readonly vouches?: readonly Vouch[];
  /** Every write under the name demands one of them, not only the creation of the Node. */
  readonly isContested?: boolean;
}

export interface KubernetesNode {
  readonly name: string;
  readonly uid: string;
  readonly isReady: boolean;
  /** The Ready condition is Unknown: the cluster has not heard from the kubelet for 40 to 50 s. */
  readonly isKubeletSilent: boolean;
  /** Record id (0x…) of the gateway's mark, if the Node carries it. */
  readonly stakeRecordId: string | undefined;
  /** The tier by the gateway's label, which no node sets on itself. */
  readonly tier: string | undefined;
  /** The wallet (0x…) by the gateway's label. */
  readonly staker?: string | undefined;
  /** Kind of the evidence of its machine by the gateway's label, or `none`; `undefined`: it was asked for none. */
  readonly attestation?: string | undefined;
  readonly createdAtMs: number;
  /** When the Ready condition last changed. */
  readonly readyChangedAtMs: number | undefined;
  readonly isUnschedulable: boolean;
  /** `status.addresses` of the types InternalIP and ExternalIP: the kubelet's word. */
  readonly addresses: readonly string[];
  /** `status.nodeInfo.bootID`: the kubelet's word. */
  readonly bootId: string | undefined;
  /** Reason of the taint `k3s-daas.io/held`, if the Node carries it. */
  readonly cordonedFor: string | undefined;
}

export type NodeChange =
  | { readonly kind: 'listed'; readonly nodes: readonly KubernetesNode[] }
  | { readonly kind: 'added' | 'modified' | 'deleted'; readonly node: KubernetesNode };

/** A password Secret that the gateway did not make: of the operator's own node, or of somebody who has claimed the name. */
export interface ForeignPassword {
  readonly nodeId: string;
  /** Of the Secret. */
  readonly uid: string;
}

export type ForeignPasswordChange =
  | { readonly kind: 'listed'; readonly passwords: readonly ForeignPassword[] }
  /** The watch is broken: changes go unseen until the next list. */
  | { readonly kind: 'unwatched' }
  | { readonly kind: 'added' | 'deleted'; readonly password: ForeignPassword };

export interface NodePasswordSecret {
  readonly nodeId: string;
  /** The stake record that the gateway's mark names; undefined for a Secret that the gateway did not make. */
  readonly recordId: string | undefined;
  readonly hash: string;
}

export interface IssuedJoinCredential {
  /** Six characters; public (it is in the Secret's name). */
  readonly id: string;
  /** `<id>.<secret>`; in a join token the CA hash comes before it. */
  readonly credential: Secret;
  readonly expiresAtMs: number;
  /** SHA-256 of the secret in hex, of a credential that is in no Secret: whoever answers for it keeps this with the worker. */
  readonly secretHash?: string | undefined;
}

export interface LiveJoinCredential {
  readonly id: string;
  readonly nodeId: string;
  readonly recordId: string;
  readonly expiresAtMs: number;
}
