import { type V1Node, Watch } from '@kubernetes/client-node';
import { backoffDelayMs, errorFields } from '#base';
import type { NodeChange } from '#domain';
import type { KubernetesContext } from './kubernetes.ts';
import { kubernetesNodeOf } from './node-reading.ts';
import { listNodeObjects } from './nodes.ts';

type Listener = (change: NodeChange) => void;

const retry = { baseMs: 500, maxMs: 15_000 };
const pauseMs = 1_000;

/**
 * Lists the Nodes, then watches them. Whenever the watch breaks or the server ends it, it starts over with a list. The
 * client's own informer stops for good on anything but 410, and a missed deletion would leave a slashed node's name
 * admitted. Resolves when the signal aborts.
 */
export async function watchNodes(
  context: KubernetesContext,
  listener: Listener,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = context;
  const report = reporting(context, listener, signal);
  let failures = 0;
  while (!signal.aborted) {
    try {
      const version = await listAndReport(context, report, signal);
      failures = 0;
      await watchUntilRelist(context, { version, report }, signal);
    } catch (error) {
      if (signal.aborted) return;
      const delayMs = backoffDelayMs(failures, retry, Math.random);
      failures += 1;
      log.warn('The watch on the nodes has failed and starts over', { ...errorFields(error), delayMs });
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }
}

/** Passes changes on until the signal aborts, and keeps a listener that throws from ending the watch. */
function reporting({ log }: KubernetesContext, listener: Listener, signal: AbortSignal): Listener {
  return (change) => {
    if (signal.aborted) return;
    try {
      listener(change);
    } catch (error) {
      // The client takes a throwing callback for a line that is not JSON and drops it silently.
      log.error('The listener of the node watch failed', errorFields(error));
    }
  };
}

/** Resolves with the resource version of the list. */
async function listAndReport(
  { api }: KubernetesContext,
  report: Listener,
  signal: AbortSignal,
): Promise<string> {
  const list = await listNodeObjects(api, signal);
  report({ kind: 'listed', nodes: list.items.map(kubernetesNodeOf) });
  return list.metadata?.resourceVersion ?? '';
}

interface WatchStart {
  readonly version: string;
  readonly report: Listener;
}

async function watchUntilRelist(
  context: KubernetesContext,
  { version: from, report }: WatchStart,
  signal: AbortSignal,
): Promise<void> {
  const { clock, relistMs } = context;
  const relistAtMs = clock.monotonicMs() + relistMs;
  let version = from;
  while (!signal.aborted && clock.monotonicMs() < relistAtMs) {
    const beganAtMs = clock.monotonicMs();
    version = await watchFrom(context, { version, report }, signal);
    // A server that ends every watch at once must not be asked without a pause.
    if (clock.monotonicMs() - beganAtMs < pauseMs) await clock.sleep(pauseMs, signal);
  }
}

/** One watch from a version on; resolves with the version to go on from when it falls silent, rejects when it breaks. */
async function watchFrom(
  { api, relistMs }: KubernetesContext,
  { version, report }: WatchStart,
  signal: AbortSignal,
): Promise<string> {
  let latest = version;
  const ended = Promise.withResolvers<void>();
  const stop = () => ended.resolve();
  signal.addEventListener('abort', stop, { once: true });
  const connection = new Watch(api.config).watch(
    '/api/v1/nodes',
    { resourceVersion: version, allowWatchBookmarks: true, timeoutSeconds: Math.ceil(relistMs / 1000) },
    (phase, object) => {
      if (phase === 'ERROR') {
        ended.reject(new Error(`the API server ended it: ${object?.message ?? 'no reason given'}`));
        return;
      }
      latest = object?.metadata?.resourceVersion ?? latest;
      const change = changeOf(phase, object);
      if (change) report(change);
    },
    // The client gives up a connection after 30 s of silence. A quiet cluster is not a broken one, so the watch goes on.
    (error) => (error && error.name !== 'TimeoutError' ? ended.reject(error) : ended.resolve()),
  );
  try {
    // A broken connection rejects `ended`; `connection` itself never rejects.
    await ended.promise;
    return latest;
  } finally {
    signal.removeEventListener('abort', stop);
    // Not awaited: it resolves only once the server has answered, and this server may be dead.
    void connection.then((request) => request.abort());
  }
}

function changeOf(phase: string, node: V1Node): NodeChange | undefined {
  switch (phase) {
    case 'ADDED':
      return { kind: 'added', node: kubernetesNodeOf(node) };
    case 'MODIFIED':
      return { kind: 'modified', node: kubernetesNodeOf(node) };
    case 'DELETED':
      return { kind: 'deleted', node: kubernetesNodeOf(node) };
    default:
      return undefined;
  }
}
