import { stat } from 'node:fs/promises';
import type { Clock } from '#base';

/** A clock that a test turns by hand. */
export class ManualClock implements Clock {
  #nowMs = 1_800_000_000_000;
  #steppedMs = 0;
  #sleepers: Array<{ readonly atMs: number; readonly wake: () => void }> = [];

  nowMs(): number {
    return this.#nowMs + this.#steppedMs;
  }
  /** An administrator, or NTP, sets the time of day; no time passes by it. */
  step(byMs: number): void {
    this.#steppedMs += byMs;
  }
  monotonicMs(): number {
    return this.#nowMs - 1_799_999_000_000;
  }
  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason as Error);
      const sleeper = { atMs: this.#nowMs + delayMs, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal.reason as Error);
      });
    });
  }
  /** Whether a sleep lasts at least this long from now. */
  isSleepingFor(ms: number): boolean {
    return this.#sleepers.some(({ atMs }) => atMs >= this.#nowMs + ms);
  }
  /** Turns the clock in steps, so that a sleeper that sleeps again within the time wakes again. */
  async advance(ms: number, stepMs = 500): Promise<void> {
    const endMs = this.#nowMs + ms;
    while (this.#nowMs < endMs) {
      this.#nowMs = Math.min(endMs, this.#nowMs + stepMs);
      const due = this.#sleepers.filter(({ atMs }) => atMs <= this.#nowMs);
      this.#sleepers = this.#sleepers.filter(({ atMs }) => atMs > this.#nowMs);
      for (const { wake } of due) wake();
      await settled();
    }
  }
}

/**
 * Lets everything that is under way in this process, and needs no time, come to its end: each turn goes once through
 * the event loop and once through the thread pool, behind whatever file is being written.
 */
export async function settled(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    await stat('/');
  }
}
