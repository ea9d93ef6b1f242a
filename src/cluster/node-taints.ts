import type { V1Node, V1Taint } from '@kubernetes/client-node';
import { isConflict } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';
import { patchNode, readNodeObject } from './nodes.ts';
import { CORDON_TAINT, EVICTED_TAINT } from './words.ts';

type Signal = AbortSignal | undefined;

interface TaintChange {
  readonly key: string;
  /** The only taint of this key afterwards; `undefined`: none. */
  readonly wanted: V1Taint | undefined;
  /** Makes the Node unschedulable too, as `kubectl cordon` does. */
  readonly isUnschedulable: boolean;
}

interface EvictionTaint {
  readonly nodeId: string;
  readonly reason: string;
}

const mostAttempts = 10;

/** The Node gets no new pods; those that run go on. */
export function cordonNode(
  context: KubernetesContext,
  { nodeId, reason }: EvictionTaint,
  signal: Signal,
): Promise<void> {
  const wanted = { key: CORDON_TAINT, value: taintValue(reason), effect: 'NoSchedule' };
  return changeTaint(context, nodeId, { key: CORDON_TAINT, wanted, isUnschedulable: false }, signal);
}

/** Ends what `cordonNode` began. */
export function uncordonNode(context: KubernetesContext, nodeId: string, signal: Signal): Promise<void> {
  return changeTaint(
    context,
    nodeId,
    { key: CORDON_TAINT, wanted: undefined, isUnschedulable: false },
    signal,
  );
}

/** For a Node that is evicted: unschedulable, and a taint that ends its pods. */
export function cordonAndTaint(
  context: KubernetesContext,
  { nodeId, reason }: EvictionTaint,
  signal: Signal,
): Promise<void> {
  const wanted = { key: EVICTED_TAINT, value: taintValue(reason), effect: 'NoExecute' };
  return changeTaint(context, nodeId, { key: EVICTED_TAINT, wanted, isUnschedulable: true }, signal);
}

/** Every taint of another key stays. An absent Node is fine. */
async function changeTaint(
  { api }: KubernetesContext,
  nodeId: string,
  change: TaintChange,
  signal: Signal,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const found = await readNodeObject(api, nodeId, signal);
    if (!found || isInPlace(found, change)) return;
    try {
      await patchNode(
        api,
        { what: `taint node ${nodeId}`, name: nodeId, body: patchOf(found, change) },
        signal,
      );
      return;
    } catch (error) {
      if (!isConflict(error) || attempt === mostAttempts) throw error;
    }
  }
}

function isInPlace({ spec }: V1Node, { key, wanted, isUnschedulable }: TaintChange): boolean {
  if (isUnschedulable && spec?.unschedulable !== true) return false;
  const ours = (spec?.taints ?? []).filter((taint) => taint.key === key);
  if (wanted === undefined) return ours.length === 0;
  return ours.length === 1 && ours.every((taint) => isSameTaint(taint, wanted));
}

function patchOf({ metadata, spec }: V1Node, { key, wanted, isUnschedulable }: TaintChange): object {
  const others = (spec?.taints ?? []).filter((taint) => taint.key !== key);
  return {
    // The list of taints is replaced as a whole: without the version, a taint that a controller sets between reading
    // and writing would be lost.
    metadata: { resourceVersion: metadata?.resourceVersion },
    spec: {
      ...(isUnschedulable && { unschedulable: true }),
      taints: wanted === undefined ? others : [...others, wanted],
    },
  };
}

const isSameTaint = (one: V1Taint, other: V1Taint) =>
  one.key === other.key && one.value === other.value && one.effect === other.effect;

/** A reason as the value of a taint: characters that are not allowed there become a dash. */
export function taintValue(reason: string): string {
  return reason
    .replaceAll(/[^A-Za-z0-9_.-]+/g, '-')
    .slice(0, 63)
    .replaceAll(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, '');
}
