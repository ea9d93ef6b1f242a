import type { Clock, Journal } from 'k3s-daas/plugin';

const windowMs = 30 * 24 * 3_600_000;
const key = 'allowance';

interface Spent {
  readonly sinceMs: number;
  readonly rotations: number;
  readonly topUpMist: string;
}

/** What a gateway's directives have spent within 30 days. It is written before the money moves, and survives a restart. */
export class Allowance {
  readonly #journal: Journal;
  readonly #clock: Clock;

  constructor({ journal, clock }: { readonly journal: Journal; readonly clock: Clock }) {
    this.#journal = journal;
    this.#clock = clock;
  }

  /** Takes one rotation, if `most` allows it. */
  async takeRotation(most: number): Promise<boolean> {
    const spent = this.#spent();
    if (spent.rotations >= most) return false;
    await this.#journal.write(key, { ...spent, rotations: spent.rotations + 1 });
    return true;
  }

  /** Takes an amount for a top-up, if `mostMist` allows the whole of it. */
  async takeTopUp(amountMist: bigint, mostMist: bigint): Promise<boolean> {
    const spent = this.#spent();
    const sumMist = BigInt(spent.topUpMist) + amountMist;
    if (sumMist > mostMist) return false;
    await this.#journal.write(key, { ...spent, topUpMist: String(sumMist) });
    return true;
  }

  #spent(): Spent {
    const nowMs = this.#clock.nowMs();
    const fresh = { sinceMs: nowMs, rotations: 0, topUpMist: '0' };
    const known = this.#journal.read(key) as Spent | undefined;
    return known && nowMs - known.sinceMs < windowMs ? known : fresh;
  }
}
