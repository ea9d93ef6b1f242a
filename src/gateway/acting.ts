import { aborted, type Clock, DaasError, errorFields, type Log } from '#base';
import type { KubernetesPort } from '#domain';
import type { Leadership, Store } from '#state';
import type { Audit } from './audit.ts';
import type { Registry } from './registry.ts';
import { formatKey, refuseNewer, writeFormat } from './state-format.ts';
import { type Generations, generationIn, noteRestored } from './state-generation.ts';

/**
 * Whether this gateway acts: admits, evicts, sweeps, writes. One of the gateways of a cluster does; the others follow its
 * state, and answer what needs no change.
 */
export interface Acting {
  /** There may be others. */
  readonly isShared: boolean;
  isActing(): boolean;
  /** Who acts, for messages; `undefined`: nobody is known to. */
  leader(): string | undefined;
  /** Resolves once this gateway acts; rejects with the signal's reason. */
  untilActing(signal: AbortSignal): Promise<void>;
  /**
   * Follows, takes over when it is elected, and then acts until the signal aborts.
   * @throws `DAAS_GATEWAY_NOT_LEADING` when it has led and another may lead now: what it decided last may not count, so
   *   this life is over.
   */
  run(signal: AbortSignal): Promise<void>;
}

export interface ActingOptions {
  readonly leadership: Leadership;
  readonly store: Store;
  readonly registry: Registry;
  readonly generations: Pick<Generations, 'lead' | 'learn'>;
  readonly kubernetes: Pick<KubernetesPort, 'renewNames'>;
  readonly audit: Audit;
  readonly clock: Clock;
  readonly log: Log;
}

interface Post extends ActingOptions {
  readonly taken: PromiseWithResolvers<void>;
  hasTakenOver: boolean;
}

const retryMs = 1_000;

export function createActing(options: ActingOptions): Acting {
  const { leadership, store } = options;
  // Nobody else writes a local state: there is nothing to take over.
  const post: Post = { ...options, taken: Promise.withResolvers(), hasTakenOver: store.isLocal };
  if (store.isLocal) post.taken.resolve();
  return {
    isShared: !store.isLocal,
    isActing: () => post.hasTakenOver && leadership.isLeading(),
    leader: () => leadership.leader(),
    async untilActing(signal) {
      await Promise.race([post.taken.promise, aborted(signal)]);
      signal.throwIfAborted();
    },
    async run(signal) {
      if (store.isLocal) return leadership.run(signal);
      await Promise.all([leadership.run(signal), followAndTakeOver(post, signal)]);
    },
  };
}

async function followAndTakeOver(post: Post, signal: AbortSignal): Promise<void> {
  const { leadership, store, registry, generations, log } = post;
  const elected = new AbortController();
  const following = store.follow(
    (news) => {
      if (elected.signal.aborted) return;
      registry.learn(news);
      generations.learn(news);
    },
    AbortSignal.any([signal, elected.signal]),
  );
  const election = leadership.untilLeading(signal).then(() => elected.abort());
  try {
    await Promise.race([election, following]);
    await election;
    await following;
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
  while (!signal.aborted && !post.hasTakenOver) {
    try {
      await takeOver(post, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (isFinal(error)) throw error;
      log.warn('The lead could not be taken over yet', errorFields(error));
      await post.clock.sleep(retryMs, signal).catch(() => undefined);
    }
  }
}

/** A state that was tampered with does not get better. */
const isFinal = (error: unknown) => error instanceof DaasError && error.exitCode === 78;

/**
 * First what the earlier leader has written last, then the names: a write that it has under way finds another version of
 * the name, and fails.
 */
async function takeOver(post: Post, signal: AbortSignal): Promise<void> {
  const { store, registry, generations, kubernetes, audit, log, taken } = post;
  const records = await store.list('/');
  refuseNewer(records.find(([key]) => key === formatKey)?.[1]);
  noteRestored(audit, generations.lead(generationIn(records)));
  // After it is known that this state may be led on: another one stays as it is.
  await writeFormat(store);
  registry.learn({ kind: 'listed', records });
  const names = await kubernetes.renewNames(signal);
  audit.record('leadership.taken', { names });
  log.info('This gateway leads now', { event: 'gateway.leads', detail: `${names} names renewed` });
  post.hasTakenOver = true;
  taken.resolve();
}
