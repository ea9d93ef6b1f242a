import type { Clock } from 'k3s-daas/plugin';

/** A full node may show a change later than the one that the gateway asks: after a hint the record is read several times. */
const hurriedMs = [500, 1_000, 2_000] as const;

/** When the record is read next. */
export class Looks {
  readonly #clock: Pick<Clock, 'sleep' | 'monotonicMs'>;
  #hurried: readonly number[] = [];
  #rest: AbortController | undefined;

  constructor(clock: Pick<Clock, 'sleep' | 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** Now, and a few times soon after. */
  hurry(): void {
    this.#hurried = hurriedMs;
    this.#rest?.abort();
  }

  /**
   * Until the next reading is due. However often the gateway hints, a second has two readings: full nodes turn away a client that asks
   * too much, and a slash would not be seen. Rejects with the reason of `signal` alone.
   */
  async rest(intervalMs: number, signal: AbortSignal): Promise<void> {
    const [soonMs, ...later] = this.#hurried;
    this.#hurried = later;
    const beganMs = this.#clock.monotonicMs();
    this.#rest = new AbortController();
    const both = AbortSignal.any([signal, this.#rest.signal]);
    await this.#clock.sleep(Math.min(soonMs ?? intervalMs, intervalMs), both).catch(() => undefined);
    signal.throwIfAborted();
    const earlyMs = beganMs + Math.min(hurriedMs[0], intervalMs) - this.#clock.monotonicMs();
    if (earlyMs > 0) await this.#clock.sleep(earlyMs, signal);
  }
}
