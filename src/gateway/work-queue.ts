import { backoffDelayMs, type Clock, errorFields, type Log } from '#base';

/**
 * Work by key: whatever is added while its key waits is done once, what is added while it is being done is done again,
 * and what fails is tried again after a growing delay until it succeeds.
 *
 * Urgent work begins before all other, in places of its own, and does not wait for what is being done for the same key: that
 * is cut off.
 */
export interface WorkQueue {
  add(key: string, options?: { readonly isUrgent?: boolean }): void;
  /** Resolves when everything that was under way has ended; nothing new begins. */
  close(): Promise<void>;
}

export interface WorkQueueOptions {
  readonly run: (key: string, signal: AbortSignal) => Promise<void>;
  readonly atOnce: number;
  /** Places for urgent work, beside the others. */
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
      // What came in meanwhile, which may be the echo of what was done, is part of the next attempt: without this a
      // node whose last step fails would be tried again and again without a pause.
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
      if (current && !current.isUrgent) current.stop.abort(new Error('something more urgent has to be done'));
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
