import { messageOf } from '#base';
import { describeCollateral } from './describe-collateral.ts';
import type { CollateralItem } from './evidence.ts';
import { CHAIN_HEADERS, chainIn, get, itemOf, type RequestOptions, unreachable } from './vendor-reply.ts';

export interface RefreshOptions extends RequestOptions {
  /** A document that ends within this time is fetched again. */
  readonly withinMs: number;
}

export interface Refreshed {
  /** As it was, or its successor. */
  readonly item: CollateralItem;
  readonly outcome: 'kept' | 'fetched' | 'failed';
  /** Why it was kept, or what failed, for people. */
  readonly why: string;
}

/**
 * Fetches again what ends soon, each document from where it came. One failure leaves that document as it is. Certificates are
 * kept: which of them belongs to a machine shows in its evidence alone.
 */
export async function refreshCollateral(
  items: readonly CollateralItem[],
  options: RefreshOptions,
): Promise<readonly Refreshed[]> {
  const refreshed: Refreshed[] = [];
  // One after the other: vendors count their callers.
  for (const item of items) refreshed.push(await refreshOne(item, options));
  return refreshed;
}

async function refreshOne(item: CollateralItem, options: RefreshOptions): Promise<Refreshed> {
  const kept = (why: string): Refreshed => ({ item, outcome: 'kept', why });
  if (item.name === 'certificate') return kept('certificates belong to evidence: fetch them with it');
  const { toMs } = describeCollateral(item);
  if (toMs !== undefined && toMs - options.nowMs > options.withinMs) return kept('it does not end yet');
  if (item.source === undefined) return kept('where it came from is not known');
  try {
    const successor = await successorOf(item, item.source, options);
    return { item: successor, outcome: 'fetched', why: item.source };
  } catch (error) {
    return { item, outcome: 'failed', why: messageOf(error) };
  }
}

async function successorOf(
  item: CollateralItem,
  source: string,
  options: RefreshOptions,
): Promise<CollateralItem> {
  const reply = await get(source, options);
  const { name } = item;
  const successor = {
    ...itemOf(name, reply),
    ...((name === 'tcb-info' || name === 'qe-identity') && {
      issuerChain: chainIn(reply, CHAIN_HEADERS[name]),
    }),
  };
  const [before, after] = [describeCollateral(item), describeCollateral(successor)];
  if (after.fromMs === undefined || Number.isNaN(after.fromMs))
    throw unreachable(source, `its reply is ${after.subject}`);
  // An older list knows fewer that are revoked.
  if (before.fromMs !== undefined && after.fromMs < before.fromMs)
    throw unreachable(source, 'it has an older document than the file');
  return successor;
}
