import { setTimeout as sleepFor } from 'node:timers/promises';

/** Time as the chain reads it. `systemClock` is the default; tests pass one that they turn by hand. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Milliseconds that never run backwards. */
  monotonicMs(): number;
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: async (delayMs, signal) => {
    signal?.throwIfAborted();
    try {
      await sleepFor(delayMs, undefined, signal ? { signal } : undefined);
    } catch (error) {
      // timers/promises wraps the reason in an AbortError; callers compare with the reason itself.
      signal?.throwIfAborted();
      throw error;
    }
  },
};
