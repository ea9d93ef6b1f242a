import type { SuiClientTypes } from '@mysten/sui/client';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { ConfigurationError } from '#base';
import { formatSui } from './amounts.ts';
import { assertReference } from './object-reads.ts';

export interface CoinReference {
  readonly objectId: string;
  readonly version: string;
  readonly digest: string;
}
export interface Coin extends CoinReference {
  readonly balanceMist: bigint;
}

/** Which coins a transaction takes. */
export interface Payment {
  /** They pay for gas; the protocol makes one coin of them first. */
  readonly gas: readonly CoinReference[];
  /** Those that do not fit in there: the first command merges them into the gas coin. */
  readonly merged: readonly CoinReference[];
}

/** What a transaction takes from a wallet, as far as its coins are concerned. */
export interface Spending {
  readonly sender: string;
  readonly spendMist: bigint;
}

/** Sui's limit. */
const MAX_GAS_COINS = 256;
/** About 80 bytes each: with gas coins and commands they stay well below the 131072 bytes of a transaction. */
const MAX_MERGED_COINS = 1_000;
const MAX_USABLE_COINS = MAX_GAS_COINS + MAX_MERGED_COINS;
/** Far above what any call of ours costs; a simulation is offered no more. */
const MAX_BUDGET_MIST = 50_000_000_000n;
const PAGE_SIZE = 500;
/** Anybody can send dust to a wallet: a list without an end must not keep it from paying. Nodes list the richest first. */
const MAX_PAGES = 10;

/** The SUI coins of an address, the richest first. */
export async function readCoins(client: SuiGrpcClient, owner: string, signal: AbortSignal): Promise<Coin[]> {
  const coins: Coin[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const reply: SuiClientTypes.ListCoinsResponse = await client.core.listCoins({
      owner,
      cursor,
      limit: PAGE_SIZE,
      signal,
    });
    for (const { objectId, version, digest, balance } of reply.objects) {
      assertReference({ objectId, digest });
      coins.push({ objectId, version, digest, balanceMist: BigInt(balance) });
    }
    cursor = reply.hasNextPage ? reply.cursor : null;
    if (cursor === null) break;
  }
  return coins.sort((a, b) =>
    a.balanceMist === b.balanceMist
      ? compare(a.objectId, b.objectId)
      : a.balanceMist > b.balanceMist
        ? -1
        : 1,
  );
}

const compare = (a: string, b: string) => (a < b ? -1 : 1);
const total = (coins: readonly Coin[]) => coins.reduce((sum, { balanceMist }) => sum + balanceMist, 0n);

/** As few of the coins (richest first) as pay for everything. Throws `DAAS_BALANCE_TOO_LOW`. */
export function choosePayment(coins: readonly Coin[], spending: Spending, budgetMist: bigint): Payment {
  const neededMist = spending.spendMist + budgetMist;
  const usable = coins.slice(0, MAX_USABLE_COINS);
  let sumMist = 0n;
  let count = 0;
  while (sumMist < neededMist && count < usable.length) sumMist += (usable[count++] as Coin).balanceMist;
  const gas = usable.slice(0, Math.min(count, MAX_GAS_COINS));
  // The budget is held against the gas coins alone, before anything is merged.
  if (sumMist < neededMist || total(gas) < budgetMist) throw coinsTooFew(coins, spending, budgetMist);
  return { gas: gas.map(referenceOf), merged: usable.slice(gas.length, count).map(referenceOf) };
}

function referenceOf({ objectId, version, digest }: Coin): CoinReference {
  return { objectId, version, digest };
}

/** The largest budget that the coins allow, to simulate with. Throws `DAAS_BALANCE_TOO_LOW`. */
export function affordableBudget(coins: readonly Coin[], spending: Spending): bigint {
  const usable = coins.slice(0, MAX_USABLE_COINS);
  const leftMist = total(usable) - spending.spendMist;
  if (leftMist <= 0n) throw coinsTooFew(coins, spending, 0n);
  const gasMist = total(usable.slice(0, MAX_GAS_COINS));
  return [leftMist, gasMist, MAX_BUDGET_MIST].reduce((least, mist) => (mist < least ? mist : least));
}

function coinsTooFew(coins: readonly Coin[], spending: Spending, budgetMist: bigint): ConfigurationError {
  const allMist = total(coins);
  const usableMist = total(coins.slice(0, MAX_USABLE_COINS));
  if (allMist < spending.spendMist + budgetMist || usableMist === allMist)
    return balanceTooLow(spending, allMist, budgetMist);
  const neededMist = spending.spendMist + budgetMist;
  return new ConfigurationError(
    'DAAS_BALANCE_TOO_LOW',
    `the wallet ${spending.sender} has ${formatSui(allMist)} in ${coins.length} coins or more, of which one transaction can use ${MAX_USABLE_COINS}: the richest of them have ${formatSui(usableMist)}, ${formatSui(neededMist)} are needed: merge its coins first, by sending SUI to itself`,
    { details: { wallet: spending.sender, availableMist: usableMist, neededMist, coins: coins.length } },
  );
}

/** What is left after the amount is spent pays for no gas. How much it takes is not known: no trial came to its end. */
export function gasTooLow(coins: readonly Coin[], spending: Spending, leftMist: bigint): ConfigurationError {
  const { sender, spendMist } = spending;
  const availableMist = total(coins);
  const spent = spendMist > 0n ? `${formatSui(spendMist)} of it are spent and ` : '';
  return new ConfigurationError(
    'DAAS_BALANCE_TOO_LOW',
    `the wallet ${sender} has ${formatSui(availableMist)} in coins: ${spent}${formatSui(leftMist)} do not pay the gas; send it some SUI (0.05 SUI pay for any call, 0.5 SUI to publish)`,
    { details: { wallet: sender, availableMist, spendMist, leftMist } },
  );
}

/** Names what is there and what is needed. */
export function balanceTooLow(
  { sender, spendMist }: Spending,
  availableMist: bigint,
  budgetMist: bigint,
  addressBalanceMist = 0n,
): ConfigurationError {
  const neededMist = spendMist + budgetMist;
  const spent = spendMist > 0n ? `${formatSui(spendMist)} and ` : '';
  const missingMist = neededMist - availableMist;
  // Without a coin for gas there is no simulation, so the amount of gas is not known yet.
  const need =
    budgetMist === 0n
      ? `${spent}gas must be paid from it: send it ${missingMist > 0n ? `at least ${formatSui(missingMist)} and the gas` : 'some SUI'}`
      : `${formatSui(neededMist)} are needed (${spent}up to ${formatSui(budgetMist)} of gas): send it at least ${formatSui(missingMist)}`;
  const elsewhere =
    addressBalanceMist > 0n
      ? `; another ${formatSui(addressBalanceMist)} are in its address balance, which is not spent here: send them to yourself as a coin`
      : '';
  return new ConfigurationError(
    'DAAS_BALANCE_TOO_LOW',
    `the wallet ${sender} has ${formatSui(availableMist)} in coins, ${need}${elsewhere}`,
    { details: { wallet: sender, availableMist, neededMist, spendMist, budgetMist, addressBalanceMist } },
  );
}
