import { type Backoff, backoffDelayMs, type Clock, errorFields, type Log } from '#base';
import type { Notifier, SentNotice } from '#plugin';
import { factsOf } from './errors.ts';

export interface NamedNotifier {
  readonly plugin: string;
  readonly notifier: Notifier;
}

interface DeliveryOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** Notices that wait for one notifier; beyond it the oldest are dropped. */
const mostWaiting = 100;
const mostAttempts = 5;
const deadlineMs = 10_000;
const retry: Backoff = { baseMs: 1_000, maxMs: 60_000 };
/** How long an ending host waits for what it has to tell. */
const flushMs = 5_000;

/** Takes notices to the notifiers. Nothing waits for it: each notifier has a queue of its own, which is bounded. */
export class NoticeDelivery {
  readonly #options: DeliveryOptions;
  readonly #stop = new AbortController();
  readonly #early: SentNotice[] = [];
  #queues: Queue[] | undefined;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  /** Returns at once. What is told before the notifiers are known waits for them. */
  tell(notice: SentNotice): void {
    if (!this.#queues) this.#early.push(notice);
    for (const queue of this.#queues ?? []) queue.add(notice);
  }

  deliverTo(notifiers: readonly NamedNotifier[]): void {
    this.#queues = notifiers.map((named) => new Queue(named, this.#options, this.#stop.signal));
    for (const notice of this.#early.splice(0)) this.tell(notice);
  }

  /** Waits a little for what is left, then gives it up. */
  async flush(): Promise<void> {
    const done = new AbortController();
    const late = this.#options.clock.sleep(flushMs, done.signal).catch(() => undefined);
    await Promise.race([Promise.all((this.#queues ?? []).map((queue) => queue.drained())), late]);
    done.abort();
    this.#stop.abort();
  }
}

class Queue {
  readonly #named: NamedNotifier;
  readonly #options: DeliveryOptions;
  readonly #stop: AbortSignal;
  readonly #waiting: SentNotice[] = [];
  #working: Promise<void> | undefined;

  constructor(named: NamedNotifier, options: DeliveryOptions, stop: AbortSignal) {
    this.#named = named;
    this.#options = options;
    this.#stop = stop;
  }

  add(notice: SentNotice): void {
    this.#waiting.push(notice);
    if (this.#waiting.length > mostWaiting) {
      this.#waiting.shift();
      this.#options.log.warn('A notice is dropped: too many wait', { plugin: this.#named.plugin });
    }
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async drained(): Promise<void> {
    await this.#working;
  }

  async #work(): Promise<void> {
    for (let next = this.#waiting.shift(); next && !this.#stop.aborted; next = this.#waiting.shift())
      await this.#deliver(next);
  }

  async #deliver(notice: SentNotice): Promise<void> {
    const { clock, log, random } = this.#options;
    const { plugin } = this.#named;
    for (let attempt = 0; attempt < mostAttempts && !this.#stop.aborted; attempt += 1) {
      try {
        await this.#notifyInTime(notice);
        return;
      } catch (error) {
        const fields = { plugin, attempt, kind: notice.kind, ...errorFields(error) };
        log.warn('A notice could not be delivered', fields);
        if (attempt + 1 === mostAttempts || isInVain(error)) return;
        await clock.sleep(backoffDelayMs(attempt, retry, random), this.#stop).catch(() => undefined);
      }
    }
  }

  /** A notifier that ignores its signal keeps its queue waiting, and nothing else. */
  async #notifyInTime(notice: SentNotice): Promise<void> {
    const deadline = new AbortController();
    const done = new AbortController();
    const ended = AbortSignal.any([done.signal, this.#stop]);
    const late = this.#options.clock.sleep(deadlineMs, ended).then(() => {
      const reason = new Error(`the notifier took longer than ${deadlineMs} ms`);
      deadline.abort(reason);
      throw reason;
    });
    late.catch(() => undefined);
    try {
      const signal = AbortSignal.any([deadline.signal, this.#stop]);
      await Promise.race([this.#named.notifier.notify(notice, signal), late]);
    } finally {
      done.abort();
    }
  }
}

/** The error says itself that another attempt is of no use; one that says nothing may pass. */
function isInVain(error: unknown): boolean {
  const { code, isRetryable } = factsOf(error);
  return code !== 'DAAS_PLUGIN_FAILED' && !isRetryable;
}
