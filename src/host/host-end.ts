import { DaasError } from '#base';
import { type Cause, type Consequence, consequenceOf, type Ending } from './consequences.ts';

/** The end of a host. The first cause that ends it counts, whatever follows. */
export class HostEnd {
  readonly #begun = Promise.withResolvers<Ending>();
  readonly #abort = new AbortController();
  readonly #hurry = Promise.withResolvers<void>();
  #ending: Ending | undefined;
  #stopsAsked = 0;

  /** Aborts as soon as the host is to end. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get hasBegun(): boolean {
    return this.#ending !== undefined;
  }

  /** It ends because it was asked to, and for no other reason. */
  get wasAsked(): boolean {
    return this.#ending !== undefined && this.#ending.error === undefined;
  }

  /** Resolves with the first ending. */
  get begun(): Promise<Ending> {
    return this.#begun.promise;
  }

  /** Resolves when the host was asked to stop a second time: the end does not wait any longer. */
  get hurried(): Promise<void> {
    return this.#hurry.promise;
  }

  /** Begins the end, if that is the consequence of this cause; returns the consequence. */
  meet(cause: Cause): Consequence {
    const consequence = consequenceOf(cause);
    if (consequence.kind === 'end') this.#begin(consequence);
    return consequence;
  }

  fail(error: unknown): void {
    this.meet({ kind: 'failed', during: 'work', error: asError(error) });
  }

  /** A first request that finds the host ending for another reason is still a first request. */
  ask(by: string): void {
    this.#stopsAsked += 1;
    if (this.#stopsAsked > 1) this.#hurry.resolve();
    this.meet({ kind: 'asked', by });
  }

  #begin(ending: Ending): void {
    if (this.#ending) return;
    this.#ending = ending;
    this.#begun.resolve(ending);
    this.#abort.abort(new DaasError('DAAS_HOST_STOPPING', 'the host is stopping'));
  }
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
