import { type KubernetesObject, Watch } from '@kubernetes/client-node';
import { backoffDelayMs, errorFields } from '#base';
import type { KubernetesContext } from './kubernetes.ts';

/** What is watched, and how a listener is told. */
export interface WatchedKind<Object extends KubernetesObject, Change> {
  /** For the log: `nodes`. */
  readonly what: string;
  /** Of the collection in the API. */
  readonly path: string;
  /** Selectors of list and watch alike. */
  readonly query?: Readonly<Record<string, string>>;
  list(signal: AbortSignal): Promise<{ readonly items: Object[]; readonly version: string }>;
  listed(objects: readonly Object[]): Change;
  changed(phase: 'added' | 'modified' | 'deleted', object: Object): Change | undefined;
  /** What a listener hears when the watch breaks; without it, nothing until the next list. */
  readonly broken?: Change;
}

/** What a watch works with. */
type WatchContext = Pick<KubernetesContext, 'api' | 'clock' | 'log' | 'relistMs'>;

type Listener<Change> = (change: Change) => void;

const retry = { baseMs: 500, maxMs: 15_000 };
const pauseMs = 1_000;

/**
 * Lists the objects, then watches them. Whenever the watch breaks or the server ends it, it starts over with a list. The
 * client's own informer stops for good on anything but 410, and a missed deletion would leave a slashed node's name
 * admitted. Resolves when the signal aborts.
 */
export async function watchObjects<Object extends KubernetesObject, Change>(
  context: WatchContext,
  kind: WatchedKind<Object, Change>,
  listener: Listener<Change>,
  signal: AbortSignal,
): Promise<void> {
  const { clock, log } = context;
  const report = reporting(context, kind, listener, signal);
  let failures = 0;
  while (!signal.aborted) {
    try {
      const { items, version } = await kind.list(signal);
      report(kind.listed(items));
      failures = 0;
      await watchUntilRelist({ context, kind, report, signal }, version);
    } catch (error) {
      if (signal.aborted) return;
      if (kind.broken) report(kind.broken);
      const delayMs = backoffDelayMs(failures, retry, Math.random);
      failures += 1;
      log.warn(`The watch on the ${kind.what} has failed and starts over`, {
        ...errorFields(error),
        delayMs,
      });
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }
}

/** Passes changes on until the signal aborts, and keeps a listener that throws from ending the watch. */
function reporting<Object extends KubernetesObject, Change>(
  { log }: WatchContext,
  { what }: WatchedKind<Object, Change>,
  listener: Listener<Change>,
  signal: AbortSignal,
): Listener<Change> {
  return (change) => {
    if (signal.aborted) return;
    try {
      listener(change);
    } catch (error) {
      // The client takes a throwing callback for a line that is not JSON and drops it silently.
      log.error(`The listener of the watch on the ${what} failed`, errorFields(error));
    }
  };
}

interface Watching<Object extends KubernetesObject, Change> {
  readonly context: WatchContext;
  readonly kind: WatchedKind<Object, Change>;
  readonly report: Listener<Change>;
  readonly signal: AbortSignal;
}

async function watchUntilRelist<Object extends KubernetesObject, Change>(
  watching: Watching<Object, Change>,
  from: string,
): Promise<void> {
  const { context, signal } = watching;
  const { clock, relistMs } = context;
  const relistAtMs = clock.monotonicMs() + relistMs;
  let version = from;
  while (!signal.aborted && clock.monotonicMs() < relistAtMs) {
    const beganAtMs = clock.monotonicMs();
    version = await watchFrom(watching, version);
    // A server that ends every watch at once must not be asked without a pause.
    if (clock.monotonicMs() - beganAtMs < pauseMs) await clock.sleep(pauseMs, signal);
  }
}

/** One watch from a version on; resolves with the version to go on from when it falls silent, rejects when it breaks. */
async function watchFrom<Object extends KubernetesObject, Change>(
  { context: { api, relistMs }, kind, report, signal }: Watching<Object, Change>,
  version: string,
): Promise<string> {
  let latest = version;
  const ended = Promise.withResolvers<void>();
  const stop = () => ended.resolve();
  signal.addEventListener('abort', stop, { once: true });
  const timeoutSeconds = Math.ceil(relistMs / 1000);
  const connection = new Watch(api.config).watch(
    kind.path,
    { ...kind.query, resourceVersion: version, allowWatchBookmarks: true, timeoutSeconds },
    (phase, object) => {
      if (phase === 'ERROR') {
        ended.reject(new Error(`the API server ended it: ${object?.message ?? 'no reason given'}`));
        return;
      }
      latest = object?.metadata?.resourceVersion ?? latest;
      const named = phases[phase];
      const change = named && kind.changed(named, object);
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

const phases: Readonly<Record<string, 'added' | 'modified' | 'deleted'>> = {
  ADDED: 'added',
  MODIFIED: 'modified',
  DELETED: 'deleted',
};
