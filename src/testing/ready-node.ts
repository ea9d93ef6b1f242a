import { randomUUID } from 'node:crypto';
import type { KubernetesNode } from '#domain';

/** A Node as its kubelet has just made it: nothing is known of it but its name. */
export function readyNode(
  name: string,
  createdAtMs: number,
  change: Partial<KubernetesNode> = {},
): KubernetesNode {
  return {
    name,
    uid: randomUUID(),
    isReady: true,
    isKubeletSilent: false,
    stakeRecordId: undefined,
    tier: undefined,
    createdAtMs,
    readyChangedAtMs: createdAtMs,
    isUnschedulable: false,
    addresses: [],
    bootId: undefined,
    cordonedFor: undefined,
    ...change,
  };
}
