import type { V1Node, V1Secret } from '@kubernetes/client-node';
import type { ClusterNode, LiveJoinCredential, NodePasswordSecret } from '#domain';
import { idOfBase58 } from './base58.ts';
import { HELD_TAINT, marksOfSecret, NODE_MARK, nodeOfPasswordSecret } from './words.ts';

/** What the gateway decides on, read from a Node. */
export function clusterNodeOf(node: V1Node): ClusterNode {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  return {
    name: node.metadata?.name ?? '',
    uid: node.metadata?.uid ?? '',
    isReady: ready?.status === 'True',
    isKubeletSilent: ready?.status === 'Unknown',
    stakeRecordId: idOfBase58(node.metadata?.labels?.[NODE_MARK] ?? ''),
    createdAtMs: timeOf(node.metadata?.creationTimestamp) ?? 0,
    readyChangedAtMs: timeOf(ready?.lastTransitionTime),
    isUnschedulable: node.spec?.unschedulable === true,
    heldFor: node.spec?.taints?.find(({ key }) => key === HELD_TAINT)?.value,
  };
}

/** What a node-password Secret says; undefined for a Secret that is none. */
export function nodePasswordOf(secret: V1Secret): NodePasswordSecret | undefined {
  const nodeId = nodeOfPasswordSecret(secret.metadata?.name ?? '');
  if (nodeId === undefined) return undefined;
  const marks = marksOfSecret(secret.metadata?.labels);
  return {
    nodeId,
    // A mark that names another node was copied from there: it is not ours.
    recordId: marks?.nodeId === nodeId ? marks.recordId : undefined,
    hash: textOf(secret, 'hash') ?? '',
  };
}

/** A join credential that we made; undefined for other Secrets and for what can no longer be read. */
export function joinCredentialOf(secret: V1Secret): LiveJoinCredential | undefined {
  const marks = marksOfSecret(secret.metadata?.labels);
  const id = textOf(secret, 'token-id');
  if (!marks || !id) return undefined;
  // Kubernetes takes an expiration that it cannot read as passed.
  const expiresAtMs = Date.parse(textOf(secret, 'expiration') ?? '');
  return { id, ...marks, expiresAtMs: Number.isNaN(expiresAtMs) ? 0 : expiresAtMs };
}

function textOf(secret: V1Secret, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined ? undefined : Buffer.from(value, 'base64').toString('utf8');
}

/** Objects of a list carry dates, objects of a watch event carry their text. */
function timeOf(value: Date | string | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  const atMs = value instanceof Date ? value.getTime() : Date.parse(value);
  return Number.isNaN(atMs) ? undefined : atMs;
}
