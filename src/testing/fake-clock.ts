import { stat } from 'node:fs/promises';
import type { Clock } from '#base';

interface Sleep {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** A clock that stands still until a test advances it. */
export class FakeClock implements Clock {
  #nowMs: number;
  #steppedMs = 0;
  readonly #startedAtMs: number;
  readonly #sleeps = new Set<Sleep>();

  constructor(nowMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = nowMs;
    this.#startedAtMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs + this.#steppedMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startedAtMs;
  }

  /** The number of sleepers; 0 once everything that used this clock has ended. */
  get sleepers(): number {
    return this.#sleeps.size;
  }

  /** How many sleep for at least this long from now. */
  sleepersFor(ms: number): number {
    return this.#sleeps
      .values()
      .filter(({ dueMs }) => dueMs >= this.#nowMs + ms)
      .toArray().length;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = () => {
        this.#sleeps.delete(sleep);
        reject(signal?.reason);
      };
      const sleep: Sleep = {
        dueMs: this.#nowMs + Math.max(0, delayMs),
        wake: () => {
          this.#sleeps.delete(sleep);
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      this.#sleeps.add(sleep);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Sets the time of day, as an administrator or NTP does; no time passes. */
  step(byMs: number): void {
    this.#steppedMs += byMs;
  }

  /**
   * Lets time pass: wakes each sleeper at its time, and lets what it woke run before the next. With `stepMs` it wakes all that
   * are due within a step at the end of the step: a long time passes with fewer stops.
   */
  async advance(byMs: number, stepMs = 0): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    await settled();
    for (let dueMs = this.#earliestMs(); dueMs <= untilMs; dueMs = this.#earliestMs()) {
      this.#nowMs = Math.min(untilMs, Math.max(dueMs, this.#nowMs + stepMs));
      for (const sleep of this.#sleeps) if (sleep.dueMs <= this.#nowMs) sleep.wake();
      await settled();
    }
    this.#nowMs = untilMs;
  }

  #earliestMs(): number {
    return Math.min(...this.#sleeps.values().map(({ dueMs }) => dueMs));
  }
}

/**
 * Resolves when everything that is under way in this process, and needs no time, has ended: each turn goes once through the
 * event loop and once through the thread pool, behind the files that are being written.
 */
export async function settled(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    await stat('/');
  }
}
