import { backoffDelayMs, type Clock, type Log, messageOf } from '#base';

/**
 * Work by key: whatever is added while its key waits is done once, what is added while it is being done is done again,
 * and what fails is tried again after a growing delay until it succeeds.
 */
export interface WorkQueue {
  /** What is urgent begins before everything that is not. */
  add(key: string, options?: { readonly isUrgent?: boolean }): void;
  /** Resolves when everything that was under way has ended; nothing new begins. */
  close(): Promise<void>;
}

export interface WorkQueueOptions {
  readonly run: (key: string, signal: AbortSignal) => Promise<void>;
  readonly atOnce: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}

const retry = { baseMs: 1_000, maxMs: 30_000 };

export function createWorkQueue({ run, atOnce, clock, random, log }: WorkQueueOptions): WorkQueue {
  const stop = new AbortController();
  const urgent = new Set<string>();
  const waiting = new Set<string>();
  const underway = new Map<string, Promise<void>>();
  const failures = new Map<string, number>();

  function pump(): void {
    for (const line of [urgent, waiting])
      for (const key of line) {
        if (stop.signal.aborted || underway.size >= atOnce) return;
        if (underway.has(key)) continue;
        const isUrgent = line === urgent;
        urgent.delete(key);
        waiting.delete(key);
        const work = attempt(key, isUrgent).finally(() => {
          underway.delete(key);
          pump();
        });
        underway.set(key, work);
      }
  }

  async function attempt(key: string, isUrgent: boolean): Promise<void> {
    try {
      await run(key, stop.signal);
      failures.delete(key);
    } catch (error) {
      if (stop.signal.aborted) return;
      const failed = failures.get(key) ?? 0;
      failures.set(key, failed + 1);
      const delayMs = 100 + backoffDelayMs(failed, retry, random);
      log.warn('Could not settle a node, will try again', { node: key, delayMs, detail: messageOf(error) });
      void clock.sleep(delayMs, stop.signal).then(
        () => add(key, { isUrgent }),
        () => undefined,
      );
    }
  }

  function add(key: string, { isUrgent = false }: { readonly isUrgent?: boolean } = {}): void {
    if (stop.signal.aborted) return;
    (isUrgent ? urgent : waiting).add(key);
    pump();
  }

  return {
    add,
    async close() {
      stop.abort(new Error('the gateway is stopping'));
      await Promise.all(underway.values());
    },
  };
}
