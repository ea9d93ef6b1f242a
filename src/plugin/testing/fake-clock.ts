import type { Clock } from '#base';

interface Sleep {
  readonly dueMs: number;
  readonly wake: () => void;
}

/** A clock that stands still until a test turns it. */
export class FakeClock implements Clock {
  #nowMs: number;
  readonly #startedAtMs: number;
  readonly #sleeps = new Set<Sleep>();

  constructor(nowMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = nowMs;
    this.#startedAtMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startedAtMs;
  }

  /** How many sleep now; 0 once everything that used this clock has ended. */
  get sleepers(): number {
    return this.#sleeps.size;
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

  /** Turns the clock, waking each sleeper at its time and letting what it woke run before the next. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs;
    for (;;) {
      await settle();
      const next = this.#earliest();
      if (!next || next.dueMs > untilMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.wake();
    }
    this.#nowMs = untilMs;
    await settle();
  }

  #earliest(): Sleep | undefined {
    let earliest: Sleep | undefined;
    for (const sleep of this.#sleeps) if (!earliest || sleep.dueMs < earliest.dueMs) earliest = sleep;
    return earliest;
  }
}

/** Lets everything run that waits for nothing but promises. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
