import { coinBalance, type Definitions, decode, formatType, isCoin } from './move/index.ts';
import type { StoredObject } from './objects.ts';

/** The type of the coin and its amount, if the object is a coin. */
export function coinOfObject(
  object: StoredObject,
  definitions: Definitions,
): { readonly coinType: string; readonly amount: bigint } | undefined {
  if (object.kind !== 'move' || !isCoin(object.type) || !object.type.args[0]) return undefined;
  return {
    coinType: formatType(object.type.args[0]),
    amount: coinBalance(decode(object.contents, object.type, definitions)),
  };
}

export interface BalanceChange {
  readonly address: string;
  readonly coinType: string;
  readonly amount: bigint;
}

/** What the coins of each address gained or lost. */
export function balanceChanges(
  changes: ReadonlyArray<{
    readonly before: StoredObject | undefined;
    readonly after: StoredObject | undefined;
  }>,
  definitions: Definitions,
): BalanceChange[] {
  const sums = new Map<string, BalanceChange>();
  const add = (object: StoredObject | undefined, sign: bigint): void => {
    const coin = object && coinOfObject(object, definitions);
    if (!coin || object.owner.kind !== 'address') return;
    const { address } = object.owner;
    const key = `${address} ${coin.coinType}`;
    const amount = (sums.get(key)?.amount ?? 0n) + sign * coin.amount;
    sums.set(key, { address, coinType: coin.coinType, amount });
  };
  for (const { before, after } of changes) {
    add(before, -1n);
    add(after, 1n);
  }
  return [...sums.entries()]
    .filter(([, { amount }]) => amount !== 0n)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([, change]) => change);
}
