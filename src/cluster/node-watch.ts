import type { V1Node } from '@kubernetes/client-node';
import type { NodeChange } from '#domain';
import type { KubernetesContext } from './kubernetes.ts';
import { kubernetesNodeOf } from './node-reading.ts';
import { listNodeObjects } from './nodes.ts';
import { type WatchedKind, watchObjects } from './object-watch.ts';

/** Reports the list of Nodes, then every change, until the signal aborts. */
export function watchNodes(
  context: KubernetesContext,
  listener: (change: NodeChange) => void,
  signal: AbortSignal,
): Promise<void> {
  const nodes: WatchedKind<V1Node, NodeChange> = {
    what: 'nodes',
    path: '/api/v1/nodes',
    async list(until) {
      const list = await listNodeObjects(context.api, until);
      return { items: list.items, version: list.metadata?.resourceVersion ?? '' };
    },
    listed: (objects) => ({ kind: 'listed', nodes: objects.map(kubernetesNodeOf) }),
    changed: (kind, node) => ({ kind, node: kubernetesNodeOf(node) }),
  };
  return watchObjects(context, nodes, listener, signal);
}
