import {
  type ChainReader,
  errorFields,
  type Health,
  type HostControl,
  type Log,
  messageOf,
  stakeEnding,
} from 'k3s-daas/plugin';

/** The token counts as revoked after this many consecutive readings without it. */
const readingsOfRevocation = 2;
/** From this many failed readings in a row on the plugin is not ready. A single one is normal. */
const toleratedFailures = 3;

/** The node's stake record, read again and again. */
export class RecordWatch {
  readonly #log: Log;
  readonly #chain: ChainReader;
  readonly #control: HostControl;
  #recordId: string | undefined;
  #tokenId: string | undefined;
  /** The record's token count when it had this token. A reading with a lower count is older, from an endpoint that is behind. */
  #countWithToken: bigint | undefined;
  #readingsWithoutToken = 0;
  #failures = 0;
  #lastProblem = '';
  #hasEnded = false;

  constructor(log: Log, { chain, control }: { readonly chain: ChainReader; readonly control: HostControl }) {
    this.#log = log;
    this.#chain = chain;
    this.#control = control;
  }

  follow(recordId: string, tokenId?: string): void {
    const isOtherToken = tokenId !== undefined && tokenId !== this.#tokenId;
    if (recordId !== this.#recordId || isOtherToken) this.#countWithToken = undefined;
    this.#recordId = recordId;
    this.#tokenId = tokenId ?? this.#tokenId;
  }

  /** Failures are counted here and not left to the supervisor: a chain that is away for hours is not a failing task. */
  async look(signal: AbortSignal): Promise<void> {
    if (this.#recordId === undefined || this.#hasEnded) return;
    try {
      await this.#judge(this.#recordId, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#recordFailure(error);
      return;
    }
    if (this.#failures >= toleratedFailures)
      this.#log.info('The stake record can be read again', { failures: this.#failures });
    this.#failures = 0;
  }

  async #judge(id: string, signal: AbortSignal): Promise<void> {
    const record = (await this.#chain.records([id], signal)).get(id);
    // Records are never deleted: an endpoint without it is behind.
    if (!record) throw new Error(`the record ${id} cannot be found`);
    const { token, tokenSequence } = record;
    if (token !== undefined && token === this.#tokenId) this.#countWithToken = tokenSequence;
    const isGone =
      token === undefined && this.#countWithToken !== undefined && tokenSequence >= this.#countWithToken;
    this.#readingsWithoutToken = isGone ? this.#readingsWithoutToken + 1 : 0;
    const ending = stakeEnding(record, this.#readingsWithoutToken >= readingsOfRevocation);
    if (!ending || this.#hasEnded) return;
    this.#hasEnded = true;
    this.#control.stop({ ...ending, source: 'chain' });
  }

  #recordFailure(error: unknown): void {
    this.#failures += 1;
    this.#lastProblem = messageOf(error);
    if (this.#failures !== toleratedFailures) return;
    this.#log.warn('The stake record cannot be read', { recordId: this.#recordId, ...errorFields(error) });
  }

  health(): Health {
    return { live: true, ready: this.#failures < toleratedFailures, detail: this.#describe() };
  }

  #describe(): string {
    if (this.#recordId === undefined) return 'no stake record yet';
    if (this.#failures < toleratedFailures) return 'the stake record is followed';
    return `the stake record could not be read ${this.#failures} times in a row: ${this.#lastProblem}`;
  }
}
