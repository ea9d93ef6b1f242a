import { at, isRecord, type KubeObject } from './objects.ts';
import type { Matches } from './selectors.ts';
import { named, type Store, timestamp } from './store.ts';

/** A pod on a node is marked and waits for its kubelet to confirm; without grace, or without a node, it goes at once. */
export function deletePod(
  { store, nowMs }: { readonly store: Store; readonly nowMs: () => number },
  pod: KubeObject,
  wantedGraceS: number | undefined,
): KubeObject {
  const specGrace = at(pod, 'spec.terminationGracePeriodSeconds');
  const graceS = wantedGraceS ?? (typeof specGrace === 'number' ? specGrace : 30);
  const isRunning =
    Boolean(at(pod, 'spec.nodeName')) && !['Succeeded', 'Failed'].includes(String(at(pod, 'status.phase')));
  const { namespace = '', name = '' } = pod.metadata;
  if (graceS === 0 || !isRunning) {
    store.remove(named.pod, namespace, name);
    return pod;
  }
  if (pod.metadata.deletionTimestamp === undefined)
    return markDeleted(store, pod, timestamp(nowMs() + graceS * 1_000), graceS);
  return pod;
}

function markDeleted(store: Store, pod: KubeObject, deletionTimestamp: string, graceS: number): KubeObject {
  const marked = structuredClone(pod);
  marked.metadata.deletionTimestamp = deletionTimestamp;
  marked.metadata.deletionGracePeriodSeconds = graceS;
  return store.markDeleted(named.pod, marked);
}

export function budgetsOf(store: Store, pod: KubeObject): KubeObject[] {
  return store
    .list(named.budget, pod.metadata.namespace)
    .filter((budget) => labelMatcherOf(at(budget, 'spec.selector.matchLabels'))(pod));
}

function labelMatcherOf(labels: unknown): Matches {
  if (!isRecord(labels)) return () => false;
  return (object) => Object.entries(labels).every(([key, value]) => object.metadata.labels?.[key] === value);
}

/** What the disruption controller would compute, for numbers (not percentages). */
export function allowsDisruption(store: Store, budget: KubeObject): boolean {
  const pods = store
    .list(named.pod, budget.metadata.namespace)
    .filter(labelMatcherOf(at(budget, 'spec.selector.matchLabels')));
  const healthy = pods.filter(
    (pod) =>
      pod.metadata.deletionTimestamp === undefined &&
      ((at(pod, 'status.conditions') ?? []) as Array<{ type: string; status: string }>).some(
        ({ type, status }) => type === 'Ready' && status === 'True',
      ),
  ).length;
  const [least, most] = [at(budget, 'spec.minAvailable'), at(budget, 'spec.maxUnavailable')];
  if (typeof most === 'number') return pods.length - healthy < most;
  return healthy > (typeof least === 'number' ? least : 1);
}
