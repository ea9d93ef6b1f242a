import { backoffDelayMs, type Clock, createSlice, errorFields, type Log, type Slice } from '#base';

/**
 * Work by key. A key that is added while it waits is worked on once, one that is added while it is worked on is worked on
 * again, and what fails is retried after a growing delay until it succeeds.
 *
 * Urgent work begins before all other, has places of its own, and aborts work in progress for the same key.
 */
export interface WorkQueue {
  add(key: string, options?: { readonly isUrgent?: boolean }): void;
  /** Begins nothing new; resolves when everything in progress has ended. */
  close(): Promise<void>;
}

export interface WorkQueueOptions {
  readonly run: (key: string, signal: AbortSignal) => Promise<void>;
  readonly atOnce: number;
  /** Places for urgent work, in addition to the others. */
  readonly urgentAtOnce: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

interface Underway {
  readonly isUrgent: boolean;
  readonly stop: AbortController;
  readonly ended: Promise<void>;
}

interface Queue extends WorkQueueOptions {
  readonly stop: AbortController;
  readonly urgent: Set<string>;
  readonly waiting: Set<string>;
  readonly underway: Map<string, Underway>;
  /** Failures in a row. */
  readonly failures: Map<string, number>;
  urgentUnderway: number;
  readonly slice: Slice;
}

const retry = { baseMs: 1_000, maxMs: 30_000 };
const leastDelayMs = 100;

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const queue: Queue = {
    ...options,
    stop: new AbortController(),
    urgent: new Set(),
    waiting: new Set(),
    underway: new Map(),
    failures: new Map(),
    urgentUnderway: 0,
    slice: createSlice(),
  };
  return {
    add: (key, { isUrgent = false } = {}) => add(queue, key, isUrgent),
    async close() {
      queue.stop.abort(new Error('the gateway is stopping'));
      await Promise.all([...queue.underway.values()].map(({ ended }) => ended));
    },
  };
}

function add(queue: Queue, key: string, isUrgent: boolean): void {
  const { stop, waiting, urgent, underway } = queue;
  if (stop.signal.aborted) return;
  if (isUrgent) {
    waiting.delete(key);
    urgent.add(key);
    const current = underway.get(key);
    if (current && !current.isUrgent)
      current.stop.abort(new Error('more urgent work for this node has begun'));
  } else if (!urgent.has(key)) waiting.add(key);
  pump(queue);
}

/** Begins what there is a place for. */
function pump(queue: Queue): void {
  const { urgent, waiting, underway, atOnce, urgentAtOnce } = queue;
  for (const key of urgent) {
    if (queue.urgentUnderway >= urgentAtOnce) break;
    begin(queue, key, true);
  }
  for (const key of waiting) {
    if (underway.size - queue.urgentUnderway >= atOnce) return;
    begin(queue, key, false);
  }
}

function begin(queue: Queue, key: string, isUrgent: boolean): void {
  const { stop, urgent, waiting, underway } = queue;
  if (stop.signal.aborted || underway.has(key)) return;
  (isUrgent ? urgent : waiting).delete(key);
  if (isUrgent) queue.urgentUnderway += 1;
  const own = new AbortController();
  const signal = AbortSignal.any([stop.signal, own.signal]);
  const ended = attempt(queue, key, isUrgent, signal).finally(() => {
    underway.delete(key);
    if (isUrgent) queue.urgentUnderway -= 1;
    // Work that never waits for the network would follow work without end, and nothing else would get the thread.
    if (queue.slice.isOver()) setImmediate(() => pump(queue));
    else pump(queue);
  });
  underway.set(key, { isUrgent, stop: own, ended });
}

async function attempt(queue: Queue, key: string, isUrgent: boolean, signal: AbortSignal): Promise<void> {
  try {
    await queue.run(key, signal);
    queue.failures.delete(key);
  } catch (error) {
    if (!signal.aborted) retryLater(queue, key, isUrgent, error);
  }
}

function retryLater(queue: Queue, key: string, isUrgent: boolean, error: unknown): void {
  const { urgent, waiting, failures, stop, clock, random, log } = queue;
  // What was added meanwhile, which may be the echo of the work itself, is part of the next attempt. Without this a
  // node whose last step fails would be retried without a pause.
  waiting.delete(key);
  urgent.delete(key);
  const failed = failures.get(key) ?? 0;
  failures.set(key, failed + 1);
  const delayMs = leastDelayMs + backoffDelayMs(failed, retry, random);
  log.warn('A node could not be reconciled and is retried', {
    nodeId: key,
    delayMs,
    ...errorFields(error),
  });
  void clock.sleep(delayMs, stop.signal).then(
    () => add(queue, key, isUrgent),
    () => undefined,
  );
}
