import { type ChainReader, messageOf, type StakeRecord } from 'k3s-daas/plugin';
import type { OwnFact } from './decide.ts';

/** This node's stake record, as the chain shows it. */
export class OwnStake {
  readonly #chain: ChainReader;
  #recordId: string | undefined;
  #last: StakeRecord | undefined;
  #isReading = false;

  constructor(chain: ChainReader) {
    this.#chain = chain;
  }

  follow(recordId: string): void {
    if (recordId !== this.#recordId) this.#last = undefined;
    this.#recordId = recordId;
  }

  /** Reads beside the heartbeat, which does not wait: a silent chain must not delay it. Never rejects. */
  async refresh(signal: AbortSignal): Promise<void> {
    const id = this.#recordId;
    if (id === undefined || this.#isReading) return;
    this.#isReading = true;
    try {
      this.#last = (await this.#chain.records([id], signal)).get(id) ?? this.#last;
    } catch {
      this.#last = undefined;
    } finally {
      this.#isReading = false;
    }
  }

  /** What was read last, as a heartbeat reports it. */
  lastSeen(): { readonly stakeStatus: string; readonly stakeMist: bigint } {
    return { stakeStatus: this.#last?.status ?? 'unknown', stakeMist: this.#last?.stakeMist ?? 0n };
  }

  /** Read now, to judge a directive of the gateway. Rejects with the reason of `signal` alone. */
  async readNow(recordId: string, signal: AbortSignal): Promise<OwnFact> {
    try {
      const record = (await this.#chain.records([recordId], signal)).get(recordId);
      if (record) return { kind: 'read', record, minimumMist: await this.#minimumFor(record, signal) };
      return { kind: 'unread', recordId, detail: 'the record cannot be found' };
    } catch (error) {
      signal.throwIfAborted();
      return { kind: 'unread', recordId, detail: messageOf(error) };
    }
  }

  /** Read only where it decides: what ends a host by its record alone does not wait for the cluster object. */
  async #minimumFor({ status, slashedMist }: StakeRecord, signal: AbortSignal): Promise<bigint | undefined> {
    if (status !== 'active' || slashedMist === 0n) return undefined;
    return (await this.#chain.cluster(signal)).parameters.minimumWorkerStakeMist;
  }
}
