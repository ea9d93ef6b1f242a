import { type ChainReader, type Clock, messageOf, type StakeRecord } from 'k3s-daas/plugin';
import type { OwnFact } from './decide.ts';

/**
 * What a heartbeat reports is read again after this long: with each heartbeat, a thousand hosts at rest would ask the chain a hundred
 * times a second more.
 */
const reportedLifeMs = 60_000;

/** This node's stake record, as the chain shows it. */
export class OwnStake {
  readonly #chain: ChainReader;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #recordId: string | undefined;
  #last: StakeRecord | undefined;
  /** When the last reading that succeeded began. */
  #readAtMs: number | undefined;
  #isReading = false;

  constructor(chain: ChainReader, clock: Pick<Clock, 'monotonicMs'>) {
    this.#chain = chain;
    this.#clock = clock;
  }

  follow(recordId: string): void {
    if (recordId !== this.#recordId) this.#last = undefined;
    this.#readAtMs = undefined;
    this.#recordId = recordId;
  }

  /** Reads, when it is due, beside the heartbeat, which does not wait: a silent chain must not delay it. Never rejects. */
  async refresh(signal: AbortSignal): Promise<void> {
    const id = this.#recordId;
    const nowMs = this.#clock.monotonicMs();
    const isDue = this.#readAtMs === undefined || nowMs - this.#readAtMs >= reportedLifeMs;
    if (id === undefined || this.#isReading || !isDue) return;
    this.#isReading = true;
    this.#readAtMs = nowMs;
    try {
      this.#last = (await this.#chain.records([id], signal)).get(id) ?? this.#last;
    } catch {
      this.#last = undefined;
      this.#readAtMs = undefined;
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
