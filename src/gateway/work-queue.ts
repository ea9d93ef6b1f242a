import { backoffDelayMs, type Clock, errorFields, type Log } from '#base';

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

const retry = { baseMs: 1_000, maxMs: 30_000 };

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { run, atOnce, urgentAtOnce, clock, random, log } = options;
  const stop = new AbortController();
  const urgent = new Set<string>();
  const waiting = new Set<string>();
  const underway = new Map<string, Underway>();
  const failures = new Map<string, number>();
  let urgentUnderway = 0;

  function pump(): void {
    for (const key of urgent) {
      if (urgentUnderway >= urgentAtOnce) break;
      begin(key, urgent, true);
    }
    for (const key of waiting) {
      if (underway.size - urgentUnderway >= atOnce) return;
      begin(key, waiting, false);
    }
  }

  function begin(key: string, from: Set<string>, isUrgent: boolean): void {
    if (stop.signal.aborted || underway.has(key)) return;
    from.delete(key);
    if (isUrgent) urgentUnderway += 1;
    const own = new AbortController();
    const ended = attempt(key, isUrgent, AbortSignal.any([stop.signal, own.signal])).finally(() => {
      underway.delete(key);
      if (isUrgent) urgentUnderway -= 1;
      pump();
    });
    underway.set(key, { isUrgent, stop: own, ended });
  }

  async function attempt(key: string, isUrgent: boolean, signal: AbortSignal): Promise<void> {
    try {
      await run(key, signal);
      failures.delete(key);
    } catch (error) {
      if (signal.aborted) return;
      // What was added meanwhile, which may be the echo of the work itself, is part of the next attempt. Without this a
      // node whose last step fails would be retried without a pause.
      waiting.delete(key);
      urgent.delete(key);
      const failed = failures.get(key) ?? 0;
      failures.set(key, failed + 1);
      const delayMs = 100 + backoffDelayMs(failed, retry, random);
      log.warn('A node could not be reconciled and is retried', {
        nodeId: key,
        delayMs,
        ...errorFields(error),
      });
      void clock.sleep(delayMs, stop.signal).then(
        () => add(key, { isUrgent }),
        () => undefined,
      );
    }
  }

  function add(key: string, { isUrgent = false }: { readonly isUrgent?: boolean } = {}): void {
    if (stop.signal.aborted) return;
    if (isUrgent) {
      waiting.delete(key);
      urgent.add(key);
      const current = underway.get(key);
      if (current && !current.isUrgent)
        current.stop.abort(new Error('more urgent work for this node has begun'));
    } else if (!urgent.has(key)) waiting.add(key);
    pump();
  }

  return {
    add,
    async close() {
      stop.abort(new Error('the gateway is stopping'));
      await Promise.all([...underway.values()].map(({ ended }) => ended));
    },
  };
}
