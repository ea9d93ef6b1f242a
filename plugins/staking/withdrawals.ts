import { formatSui, holdOf, type Scope, type StakeChain, type StakeRecord } from 'k3s-daas/plugin';

const kind = 'withdrawable';

/** Says that the coins of a stake that has ended can be taken out: nobody waits for weeks with open eyes. */
export class Withdrawals {
  readonly #scope: Pick<Scope<unknown>, 'emit'>;
  readonly #chain: StakeChain;
  /** Records that were told. */
  readonly #told = new Set<string>();

  constructor(scope: Pick<Scope<unknown>, 'emit'>, chain: StakeChain) {
    this.#scope = scope;
    this.#chain = chain;
  }

  /** Reads the chain's clock only when there is something to take out. */
  async tell(records: readonly StakeRecord[], signal: AbortSignal): Promise<void> {
    const ended = records.filter(({ status, stakeMist }) => status !== 'active' && stakeMist > 0n);
    const free = ended.length === 0 ? [] : await this.#free(ended, signal);
    for (const subject of this.#told) {
      if (free.some(({ id }) => id === subject)) continue;
      this.#told.delete(subject);
      this.#scope.emit('attention.ended', { kind, subject });
    }
    for (const record of free) this.#raise(record);
  }

  /** Those that are neither locked nor held by a slash proposal. */
  async #free(ended: readonly StakeRecord[], signal: AbortSignal): Promise<readonly StakeRecord[]> {
    const [{ timestampMs }, { slashers }] = await Promise.all([
      this.#chain.point(signal),
      this.#chain.cluster(signal),
    ]);
    return ended.filter(
      (record) => timestampMs >= record.unlockAtMs && !holdOf(record, slashers, timestampMs),
    );
  }

  #raise({ id: subject, nodeId, stakeMist }: StakeRecord): void {
    this.#told.add(subject);
    this.#scope.emit('attention.needed', {
      kind,
      severity: 'warning',
      subject,
      summary: `${formatSui(stakeMist)} of an earlier stake of node ${nodeId} can be withdrawn (record ${subject})`,
      remedy: `run \`k3s-daas withdraw --record ${subject}\` with the wallet ${this.#chain.wallet}`,
      details: { recordId: subject, stakeMist: stakeMist.toString() },
    });
  }
}
