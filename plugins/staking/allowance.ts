import type { Clock, Journal } from 'k3s-daas/plugin';

const windowMs = 30 * 24 * 3_600_000;
const key = 'allowance';

interface Spent {
  readonly sinceMs: number;
  readonly rotations: number;
  readonly topUpMist: string;
  /** The token that the last rotation was taken for. */
  readonly rotationOf?: string;
  /** What the last top-up was taken for, and how much of it. */
  readonly topUpOf?: string;
  readonly topUpOfMist?: string;
}

/** A top-up of a record that this much was paid into before: once it has happened, that is another amount. */
export interface TopUpPurpose {
  readonly recordId: string;
  readonly paidInMist: bigint;
  readonly amountMist: bigint;
}

/**
 * What a gateway's directives have spent within 30 days. It is written before the money moves, and survives a restart. An attempt
 * that failed, or whose process was killed, is tried again for the same purpose and not charged again.
 */
export class Allowance {
  readonly #journal: Journal;
  readonly #clock: Clock;

  constructor({ journal, clock }: { readonly journal: Journal; readonly clock: Clock }) {
    this.#journal = journal;
    this.#clock = clock;
  }

  /** Takes the rotation of this token, if `most` allows it. */
  async takeRotation(tokenId: string, most: number): Promise<boolean> {
    const spent = this.#spent();
    if (spent.rotationOf === tokenId) return spent.rotations <= most;
    if (spent.rotations >= most) return false;
    await this.#journal.write(key, { ...spent, rotations: spent.rotations + 1, rotationOf: tokenId });
    return true;
  }

  /** Takes the amount of a top-up, if `mostMist` allows the whole of it. */
  async takeTopUp({ recordId, paidInMist, amountMist }: TopUpPurpose, mostMist: bigint): Promise<boolean> {
    const spent = this.#spent();
    const topUpOf = `${recordId} ${paidInMist}`;
    const takenMist = spent.topUpOf === topUpOf ? BigInt(spent.topUpOfMist ?? 0) : 0n;
    const sumMist = BigInt(spent.topUpMist) - takenMist + amountMist;
    if (sumMist > mostMist) return false;
    const topUp = { topUpMist: String(sumMist), topUpOf, topUpOfMist: String(amountMist) };
    if (amountMist !== takenMist) await this.#journal.write(key, { ...spent, ...topUp });
    return true;
  }

  #spent(): Spent {
    const nowMs = this.#clock.nowMs();
    const fresh = { sinceMs: nowMs, rotations: 0, topUpMist: '0' };
    const known = this.#journal.read(key) as Spent | undefined;
    return known && nowMs - known.sinceMs < windowMs ? known : fresh;
  }
}
