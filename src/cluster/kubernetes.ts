import { type Clock, type Log, silentLog, systemClock } from '#base';
import type { KubernetesPort } from '#domain';
import { admitName, readAdmittedName, readAdmittedNames, relistName, removeName } from './admitted-names.ts';
import { createCertificateSight } from './certificate-sight.ts';
import { clientAuthorities } from './client-authorities.ts';
import { createJoinCredential, joinCredentials, revokeJoinCredential } from './join-credentials.ts';
import { type KubeApi, type KubeApiOptions, openKubeApi } from './kube-api.ts';
import { renewNames } from './name-renewal.ts';
import { deleteNode } from './node-deletion.ts';
import { leaseRenewedAtMs } from './node-lease.ts';
import { nodePassword, releaseNodePassword, reserveNodePassword } from './node-passwords.ts';
import { cordonAndTaint, cordonNode, uncordonNode } from './node-taints.ts';
import { watchNodes } from './node-watch.ts';
import { listNodes, markNode, readNode } from './nodes.ts';
import { holdAddresses } from './operators-addresses.ts';
import { watchForeignPasswords } from './password-watch.ts';
import { removePods } from './pod-eviction.ts';
import { type PolicyState, readPolicyState } from './policy-state.ts';

export interface KubernetesOptions extends KubeApiOptions {
  readonly clock?: Clock;
  readonly log?: Log;
  /** How long evicted pods may take to end by themselves before they are deleted without grace; 2 s unless given. */
  readonly podGraceMs?: number;
  /**
   * How long to wait between removing a name from the admitted ones and replacing its password; 1 s unless given. The API
   * server learns of the removal through a watch, some 20 ms later.
   */
  readonly nameRemovalMs?: number;
  /** How long the finalizers of a deleted Node may keep it; 10 s unless given. */
  readonly nodeGoneMs?: number;
  /** The longest time before the node watch starts over with a list; 5 min unless given. */
  readonly relistMs?: number;
}

/** What every operation on the cluster works with. */
export interface KubernetesContext {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly log: Log;
  readonly podGraceMs: number;
  readonly nameRemovalMs: number;
  readonly nodeGoneMs: number;
  readonly relistMs: number;
  /** Whether policies see which certificate a request came with (Kubernetes 1.32). */
  readonly showsCertificates: (signal?: AbortSignal) => Promise<boolean>;
}

/** `KubernetesPort` on a real Kubernetes API server. Dispose of it to close its connections. */
export interface Kubernetes extends KubernetesPort, AsyncDisposable {
  /** Whether the policies that bind node names are in place, as this version writes them. */
  policyState(signal?: AbortSignal): Promise<PolicyState>;
}

/**
 * Connects to the cluster of a kubeconfig. Nothing is sent before the first call.
 * @throws `DAAS_KUBECONFIG_INVALID`, `DAAS_KUBECONFIG_EXPOSED` (exit 78).
 */
export function openKubernetes(options: KubernetesOptions): Kubernetes {
  const api = openKubeApi(options);
  const { clock = systemClock, log = silentLog, podGraceMs = 2_000 } = options;
  const { nameRemovalMs = 1_000, nodeGoneMs = 10_000, relistMs = 300_000 } = options;
  const showsCertificates = createCertificateSight(api, clock);
  const context = { api, clock, log, podGraceMs, nameRemovalMs, nodeGoneMs, relistMs, showsCertificates };
  return {
    node: (name, signal) => readNode(context, name, signal),
    nodes: (signal) => listNodes(context, signal),
    leaseRenewedAtMs: (name, signal) => leaseRenewedAtMs(context, name, signal),
    watchNodes: (listener, signal) => watchNodes(context, listener, signal),
    nodePassword: (nodeId, signal) => nodePassword(context, nodeId, signal),
    reserveNodePassword: (request, signal) => reserveNodePassword(context, request, signal),
    watchForeignPasswords: (listener, signal) => watchForeignPasswords(context, listener, signal),
    releaseNodePassword: (nodeId, signal) => releaseNodePassword(context, nodeId, signal),
    admittedNames: (signal) => readAdmittedNames(context, signal),
    admittedName: (name, signal) => readAdmittedName(context, name, signal),
    admitName: (request, signal) => admitName(context, request, signal),
    removeName: async (nodeId, signal) => void (await removeName(context, nodeId, signal)),
    relistName: (request, signal) => relistName(context, request, signal),
    holdAddresses: (addresses, signal) => holdAddresses(context, addresses, signal),
    renewNames: (signal) => renewNames(context, signal),
    createJoinCredential: (request, signal) => createJoinCredential(context, request, signal),
    revokeJoinCredential: (id, signal) => revokeJoinCredential(context, id, signal),
    joinCredentials: (signal) => joinCredentials(context, signal),
    showsCertificates,
    clientAuthorities: (signal) => clientAuthorities(context, signal),
    markNode: (request, signal) => markNode(context, request, signal),
    cordonAndTaint: (request, signal) => cordonAndTaint(context, request, signal),
    cordonNode: (request, signal) => cordonNode(context, request, signal),
    uncordonNode: (nodeId, signal) => uncordonNode(context, nodeId, signal),
    removePods: (nodeId, signal) => removePods(context, nodeId, signal),
    deleteNode: (request, signal) => deleteNode(context, request, signal),
    policyState: (signal) => readPolicyState(api, clock, signal),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}
