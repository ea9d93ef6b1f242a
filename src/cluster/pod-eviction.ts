import type { V1Pod } from '@kubernetes/client-node';
import { errorFields } from '#base';
import { absentIsFine, conflictIsFine } from './kube-api.ts';
import type { KubernetesContext } from './kubernetes.ts';

type Signal = AbortSignal | undefined;

const pollMs = 200;
const podsAtOnce = 10;

/** Evicts every pod of a Node, then deletes what is left after `podGraceMs` without grace. Resolves with their number. */
export async function removePods(
  context: KubernetesContext,
  nodeId: string,
  signal: Signal,
): Promise<number> {
  const { clock, podGraceMs } = context;
  const pods = await podsOf(context, nodeId, signal);
  // A consistent list takes k3s' sqlite some 0.2 s: an empty one is not read twice.
  if (pods.length === 0) return 0;
  await inGroups(pods, (pod) => evict(context, pod, signal));
  const deadlineMs = clock.monotonicMs() + podGraceMs;
  let left = await podsOf(context, nodeId, signal);
  while (left.length > 0 && clock.monotonicMs() < deadlineMs) {
    await clock.sleep(Math.min(pollMs, podGraceMs), signal);
    left = await podsOf(context, nodeId, signal);
  }
  await inGroups(left, (pod) => deleteAtOnce(context, pod, signal));
  return new Set([...pods, ...left].map((pod) => pod.metadata?.uid)).size;
}

async function podsOf({ api }: KubernetesContext, nodeId: string, signal: Signal): Promise<readonly V1Pod[]> {
  const fieldSelector = `spec.nodeName=${nodeId}`;
  const list = await api.call(
    `list the pods of node ${nodeId}`,
    (given) => api.core.listPodForAllNamespaces({ fieldSelector }, given),
    { signal },
  );
  return list.items;
}

async function evict({ api, log }: KubernetesContext, pod: V1Pod, signal: Signal): Promise<void> {
  const { name = '', namespace = '', uid } = pod.metadata ?? {};
  const body = { metadata: { name, namespace }, deleteOptions: uid ? { preconditions: { uid } } : {} };
  try {
    await api.call(
      `evict pod ${namespace}/${name}`,
      (given) => api.core.createNamespacedPodEviction({ name, namespace, body }, given),
      { signal },
    );
  } catch (error) {
    if (signal?.aborted) throw error;
    // A disruption budget (429), two of them (500), a pod that is gone. What is left is deleted in any case.
    log.debug('A pod was not evicted', { detail: `${namespace}/${name}`, ...errorFields(error) });
  }
}

async function deleteAtOnce({ api }: KubernetesContext, pod: V1Pod, signal: Signal): Promise<void> {
  const { name = '', namespace = '', uid } = pod.metadata ?? {};
  const body = { gracePeriodSeconds: 0, ...(uid ? { preconditions: { uid } } : {}) };
  await conflictIsFine(
    absentIsFine(
      api.call(
        `delete pod ${namespace}/${name}`,
        (given) => api.core.deleteNamespacedPod({ name, namespace, body }, given),
        { signal },
      ),
    ),
  );
}

async function inGroups<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  for (let start = 0; start < items.length; start += podsAtOnce)
    await Promise.all(items.slice(start, start + podsAtOnce).map(act));
}
