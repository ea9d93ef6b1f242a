import { at, isRecord, type KubeObject } from './objects.ts';
import type { Matches } from './selectors.ts';
import { named, type Store } from './store.ts';

export function markDeleted(
  store: Store,
  pod: KubeObject,
  deletionTimestamp: string,
  graceS: number,
): KubeObject {
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
