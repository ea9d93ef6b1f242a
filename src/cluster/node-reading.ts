import type { V1Node } from '@kubernetes/client-node';
import type { KubernetesNode } from '#domain';
import { idOfBase58 } from './base58.ts';
import { CORDON_TAINT, NODE_ATTESTATION, NODE_MARK, NODE_OWNER, NODE_TIER } from './words.ts';

/** What the gateway decides on, read from a Node. */
export function kubernetesNodeOf(node: V1Node): KubernetesNode {
  const ready = node.status?.conditions?.find((condition) => condition.type === 'Ready');
  return {
    name: node.metadata?.name ?? '',
    uid: node.metadata?.uid ?? '',
    isReady: ready?.status === 'True',
    isKubeletSilent: ready?.status === 'Unknown',
    stakeRecordId: idOfBase58(node.metadata?.labels?.[NODE_MARK] ?? ''),
    tier: node.metadata?.labels?.[NODE_TIER],
    attestation: node.metadata?.labels?.[NODE_ATTESTATION],
    staker: idOfBase58(node.metadata?.labels?.[NODE_OWNER] ?? ''),
    createdAtMs: timeOf(node.metadata?.creationTimestamp) ?? 0,
    readyChangedAtMs: timeOf(ready?.lastTransitionTime),
    addresses: (node.status?.addresses ?? [])
      .filter(({ type }) => type === 'InternalIP' || type === 'ExternalIP')
      .map(({ address }) => address),
    bootId: node.status?.nodeInfo?.bootID || undefined,
    isUnschedulable: node.spec?.unschedulable === true,
    cordonedFor: node.spec?.taints?.find(({ key }) => key === CORDON_TAINT)?.value,
  };
}

/** Objects of a list carry dates, objects of a watch event carry their text. */
function timeOf(value: Date | string | undefined): number | undefined {
  if (value === undefined || value === null) return undefined;
  const atMs = value instanceof Date ? value.getTime() : Date.parse(value);
  return Number.isNaN(atMs) ? undefined : atMs;
}
