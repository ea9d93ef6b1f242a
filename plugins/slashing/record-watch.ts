import {
  type ChainReader,
  type Clock,
  errorFields,
  type Health,
  type HostControl,
  messageOf,
  type Scope,
  type StakeChain,
  stakeEnding,
} from 'k3s-daas/plugin';
import { ProposalNotices } from './proposal-notices.ts';

/** The token counts as revoked after this many consecutive readings without it. */
const readingsOfRevocation = 2;
/** From this many failed readings in a row on the plugin is not ready. A single one is normal. */
const toleratedFailures = 3;
/** The notice of a chain that is away for long. */
const unreachable = 'chain_unreachable';

/** The node's stake record, read again and again. */
export class RecordWatch {
  readonly #scope: Pick<Scope<{ readonly unreachableAfterMs: number }>, 'log' | 'emit' | 'config'>;
  readonly #clock: Clock;
  readonly #proposals: ProposalNotices;
  readonly #chain: ChainReader;
  readonly #control: HostControl;
  #recordId: string | undefined;
  #tokenId: string | undefined;
  /** The record's token count when it had this token. A reading with a lower count is older, from an endpoint that is behind. */
  #countWithToken: bigint | undefined;
  #readingsWithoutToken = 0;
  #failures = 0;
  #lastProblem = '';
  #failingSinceMs = 0;
  #isUnreachable = false;
  #hasEnded = false;

  constructor(
    scope: Pick<Scope<{ readonly unreachableAfterMs: number }>, 'log' | 'emit' | 'config'>,
    {
      chain,
      control,
      clock,
    }: { readonly chain: StakeChain; readonly control: HostControl; readonly clock: Clock },
  ) {
    this.#scope = scope;
    this.#clock = clock;
    this.#proposals = new ProposalNotices(scope, chain);
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
      this.#scope.log.info('The stake record can be read again', { failures: this.#failures });
    this.#failures = 0;
    if (this.#isUnreachable) this.#scope.emit('attention.ended', { kind: unreachable });
    this.#isUnreachable = false;
  }

  async #judge(id: string, signal: AbortSignal): Promise<void> {
    const record = (await this.#chain.records([id], signal)).get(id);
    // Records are never deleted: an endpoint without it is behind.
    if (!record) throw new Error(`the record ${id} cannot be found`);
    await this.#proposals.follow(record, signal);
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
    const nowMs = this.#clock.monotonicMs();
    if (this.#failures === 0) this.#failingSinceMs = nowMs;
    this.#failures += 1;
    this.#lastProblem = messageOf(error);
    const silentMs = nowMs - this.#failingSinceMs;
    if (silentMs >= this.#scope.config.unreachableAfterMs) this.#raiseUnreachable(silentMs);
    if (this.#failures !== toleratedFailures) return;
    this.#scope.log.warn('The stake record cannot be read', {
      recordId: this.#recordId,
      ...errorFields(error),
    });
  }

  #raiseUnreachable(silentMs: number): void {
    if (this.#isUnreachable) return;
    this.#isUnreachable = true;
    this.#scope.emit('attention.needed', {
      kind: unreachable,
      severity: 'warning',
      summary: `the stake record could not be read for ${Math.round(silentMs / 1_000)} s: ${this.#lastProblem}`,
      remedy: 'pods run on, and a slash would not be seen; check chain.endpoints with `k3s-daas doctor`',
    });
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
