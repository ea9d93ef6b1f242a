import { type Clock, systemClock } from './clock.ts';

/** The chain's own time: a clock that can be put forward and held still, and never runs backwards. */
export class ChainTime {
  readonly #clock: Clock;
  #offsetMs = 0;
  #frozenAtMs: number | undefined;
  #lastMs = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  nowMs(): number {
    const nowMs = this.#frozenAtMs ?? this.#clock.nowMs() + this.#offsetMs;
    this.#lastMs = Math.max(this.#lastMs, nowMs);
    return this.#lastMs;
  }

  advance(byMs: number): void {
    if (!Number.isSafeInteger(byMs) || byMs < 0)
      throw new RangeError(`a chain's time can be put forward by whole milliseconds, not by ${byMs}`);
    if (this.#frozenAtMs === undefined) this.#offsetMs += byMs;
    else this.#frozenAtMs += byMs;
  }

  /** From now on only `advance` moves time. */
  freeze(): void {
    this.#frozenAtMs ??= this.nowMs();
  }

  /** Time runs again, from where it stands. */
  thaw(): void {
    if (this.#frozenAtMs === undefined) return;
    this.#offsetMs = this.#frozenAtMs - this.#clock.nowMs();
    this.#frozenAtMs = undefined;
  }
}
