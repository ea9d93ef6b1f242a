import { errorFields } from '#base';
import type { FactContext } from './fact-context.ts';
import { loadFacts, markChanged } from './fact-loading.ts';

export interface FactListener {
  /** The ring names these records: something about them changed on chain. Nothing was read yet. */
  announced?(recordIds: ReadonlySet<string>): void;
  /** The facts of a node were read anew. */
  changed(nodeId: string): void;
  /** Everything can be judged anew; not in one go, since there may be many thousand nodes. */
  allChanged(): void;
}

/**
 * This many facts of workers of which nothing was announced are read again each second, the oldest first: each once within
 * `FACT_LIFE_MS` while there are few workers. More at once would keep thread and chain busy with what the rings report
 * already.
 */
export const REREADS_A_SECOND = 200;
const refreshTickMs = 1_000;
/** How many facts are read at the same time. */
const readsAtOnce = 500;
/** How many announced tokens of strangers are read ahead. */
const mostAhead = 50;

/** Reads what is due, once a second, until the signal aborts. */
export async function refreshLoop(
  context: FactContext,
  listener: FactListener,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await tryRefresh(context, listener);
    await context.clock.sleep(refreshTickMs, signal).catch(() => undefined);
  }
}

/** Follows the change rings until the follower ends. */
export async function followLoop(
  context: FactContext,
  listener: FactListener,
  signal: AbortSignal,
): Promise<void> {
  const { follower, clock, log } = context;
  for await (const report of follower.follow({ signal })) {
    if (report.kind === 'outage') {
      log.warn('The chain cannot be read', {
        failures: report.failures,
        ...errorFields(report.error),
      });
      continue;
    }
    context.cluster = report.cluster;
    const changed = markChanged(context, report);
    listener.announced?.(changed);
    // Only now: an entry that this report names must not look confirmed by it.
    context.heardAtMs = clock.monotonicMs();
    if (changed.size > 0 || report.isFullPassNeeded) readChanged(context, changed, { listener, signal });
  }
}

/** The next report, which may name a slash, waits for no reading: none that hangs, and none of strangers' tokens. */
function readChanged(
  context: FactContext,
  changed: ReadonlySet<string>,
  { listener, signal }: { readonly listener: FactListener; readonly signal: AbortSignal },
): void {
  void tryRefresh(context, listener);
  void readAhead(context, changed, signal).catch((error: unknown) => {
    context.log.warn('Tokens could not be read ahead', errorFields(error));
  });
}

/** The holder of a token that was just minted is about to register: the facts are there before. */
async function readAhead(
  context: FactContext,
  changed: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<void> {
  const { entries, records } = context;
  const unknown = [...changed]
    .filter((recordId) => entries.ofRecord(recordId).length === 0)
    .slice(-mostAhead);
  for (const record of await Promise.all(unknown.map((recordId) => records.get(recordId)))) {
    if (signal.aborted) return;
    if (record?.status === 'active' && record.token !== undefined) await loadFacts(context, record.token);
  }
}

async function tryRefresh(context: FactContext, listener: FactListener): Promise<void> {
  try {
    await refresh(context, listener);
  } catch (error) {
    context.log.warn('Facts of the chain could not be read', errorFields(error));
  }
}

/** Reads everything that was announced, or never read, and then some of the rest that has become old. */
async function refresh(context: FactContext, listener: FactListener): Promise<void> {
  const { urgent, dueTimes, point, clock } = context;
  const due = [...urgent, ...dueTimes.take(clock.monotonicMs(), REREADS_A_SECOND)];
  urgent.clear();
  // Without an epoch no stake is known to be good.
  if (due.length > 0 || point.known() === undefined) refreshPoint(context, listener);
  const round = { listener, rest: due.values(), failures: [] as unknown[], isAnswered: false };
  const readers = Math.min(readsAtOnce, due.length);
  await Promise.all(Array.from({ length: readers }, () => readSome(context, round)));
  for (const tokenId of round.rest) urgent.add(tokenId);
  if (round.failures.length > 0) throw round.failures[0];
}

interface Round {
  readonly listener: FactListener;
  readonly rest: Iterator<string> & Iterable<string>;
  readonly failures: unknown[];
  isAnswered: boolean;
}

/** Each fact by itself: others that hang or cannot be read must not keep a slash from being seen. */
async function readSome(context: FactContext, round: Round): Promise<void> {
  for (const tokenId of round.rest) {
    try {
      await readOfWorker(context, tokenId, round.listener);
      round.isAnswered = true;
    } catch (error) {
      round.failures.push(error);
      context.urgent.add(tokenId);
      // So many questions without any answer: the chain is away, and the others wait for the next round.
      if (!round.isAnswered && round.failures.length >= readsAtOnce) break;
    }
  }
}

async function readOfWorker(context: FactContext, tokenId: string, listener: FactListener): Promise<void> {
  const worker = context.registry.workerOfToken(tokenId);
  if (!worker) return;
  await loadFacts(context, tokenId, worker.recordId);
  listener.changed(worker.nodeId);
}

/**
 * Not awaited: an ended stake is seen whatever the epoch is. With the first epoch, all others can be judged. One at a time:
 * while the chain does not answer, each second would leave another look at all workers for its end.
 */
function refreshPoint(context: FactContext, listener: FactListener): void {
  if (context.isPointAwaited) return;
  context.isPointAwaited = true;
  const { point, log } = context;
  const isFirst = point.known() === undefined;
  void point
    .current()
    .then(
      () => {
        if (isFirst) listener.allChanged();
      },
      (error: unknown) => log.warn('The epoch of the chain could not be read', errorFields(error)),
    )
    .finally(() => {
      context.isPointAwaited = false;
    });
}
