import { type V1Node, Watch } from '@kubernetes/client-node';
import { backoffDelayMs, type Clock, type Log, messageOf } from '#base';
import type { NodeChange } from '#domain';
import { clusterNodeOf } from './facts.ts';
import type { KubeApi } from './kube-api.ts';

export interface NodeWatchOptions {
  readonly api: KubeApi;
  readonly clock: Clock;
  readonly log: Log;
  /** The watch is begun anew, with the whole list, at least this often. */
  readonly relistMs: number;
}

/**
 * Lists the Nodes, then watches them; whenever the watch breaks or the server ends it, it starts over with a list. The
 * client's own informer stops for good on anything but 410, and a missed deletion would leave a slashed node's name
 * admitted. Resolves when the signal aborts.
 */
export async function watchNodes(
  listener: (change: NodeChange) => void,
  signal: AbortSignal,
  { api, clock, log, relistMs }: NodeWatchOptions,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    try {
      const list = await api.call('list the nodes', (options) => api.core.listNode({}, options), { signal });
      tell({ kind: 'listed', nodes: list.items.map(clusterNodeOf) });
      failures = 0;
      const relistAtMs = clock.monotonicMs() + relistMs;
      let version = list.metadata?.resourceVersion ?? '';
      while (!signal.aborted && clock.monotonicMs() < relistAtMs) {
        const beganAtMs = clock.monotonicMs();
        version = await watchFrom(version);
        // A server that ends every watch at once, in order, must not be asked without a pause.
        if (clock.monotonicMs() - beganAtMs < 1_000) await clock.sleep(1_000, signal);
      }
    } catch (error) {
      if (signal.aborted) return;
      const delayMs = backoffDelayMs(failures, { baseMs: 500, maxMs: 15_000 }, Math.random);
      failures += 1;
      log.warn('The watch of the nodes broke, it will begin anew', { reason: messageOf(error), delayMs });
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }

  /** One watch from a version on; resolves with the version to go on from when it fell silent, throws when it broke. */
  async function watchFrom(resourceVersion: string): Promise<string> {
    let latest = resourceVersion;
    const ended = Promise.withResolvers<void>();
    const stop = () => ended.resolve();
    signal.addEventListener('abort', stop, { once: true });
    const connection = new Watch(api.config).watch(
      '/api/v1/nodes',
      { resourceVersion, allowWatchBookmarks: true, timeoutSeconds: Math.ceil(relistMs / 1000) },
      (phase, object) => {
        if (phase === 'ERROR') {
          ended.reject(new Error(`the API server ended it: ${object?.message ?? 'no reason given'}`));
          return;
        }
        latest = object?.metadata?.resourceVersion ?? latest;
        tell(changeOf(phase, object));
      },
      // The client gives up a connection after 30 s of silence: a quiet cluster is no broken one, so it goes on.
      (error) => (error && error.name !== 'TimeoutError' ? ended.reject(error) : ended.resolve()),
    );
    try {
      // A broken connection rejects `ended`; `connection` itself never rejects.
      await ended.promise;
      return latest;
    } finally {
      signal.removeEventListener('abort', stop);
      // Not waited for: it resolves only once the server has answered, and this one may be dead.
      void connection.then((request) => request.abort());
    }
  }

  function tell(change: NodeChange | undefined): void {
    if (!change || signal.aborted) return;
    try {
      listener(change);
    } catch (error) {
      // The client takes a throwing callback for a line that is not JSON and drops it without a word.
      log.error('The listener of the node watch failed', { reason: messageOf(error) });
    }
  }
}

function changeOf(phase: string, node: V1Node): NodeChange | undefined {
  switch (phase) {
    case 'ADDED':
      return { kind: 'added', node: clusterNodeOf(node) };
    case 'MODIFIED':
      return { kind: 'modified', node: clusterNodeOf(node) };
    case 'DELETED':
      return { kind: 'deleted', node: clusterNodeOf(node) };
    default:
      return undefined;
  }
}
