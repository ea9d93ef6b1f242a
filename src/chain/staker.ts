import { errorFields, type Log } from '#base';
import type { ChainReceipt } from '#plugin';
import type { ChainClient } from './chain-client.ts';
import { ChainError } from './endpoints/index.ts';
import {
  prepareTransaction,
  type SignedTransaction,
  signTransaction,
  type TransactionRequest,
} from './prepare-transaction.ts';
import type { Purpose, Settled, TransactionOutbox } from './transaction-outbox.ts';
import type { Wallet } from './wallet.ts';

/** The most gas a transaction may pay, MIST; what is not used stays in the coin. */
export interface GasBudgets {
  readonly stakeMist: bigint;
  readonly mintMist: bigint;
}
/** About five times what was measured. */
export const DEFAULT_GAS_BUDGETS: GasBudgets = { stakeMist: 50_000_000n, mintMist: 50_000_000n };

/** What all calls of one stake chain share. */
export interface Staker {
  readonly client: ChainClient;
  readonly wallet: Wallet;
  readonly outbox: TransactionOutbox;
  readonly log: Log;
  readonly budgets: GasBudgets;
  readonly gasPriceMist: bigint | undefined;
  readonly settleForMs: number;
}

/** Every honest endpoint shows an executed transaction within this time. */
export const VISIBLE_AFTER_MS = 10_000;

/** So many attempts in one call fail only when another program uses the wallet's coins each time. */
const MAX_ATTEMPTS = 5;

/** One thing that is done once, whatever happens on the way. */
interface Errand {
  readonly purpose: Purpose;
  /** What exists on chain already. Asked before each transaction is built, so that money never moves twice. */
  readonly found: () => Promise<ChainReceipt | undefined>;
  readonly request: () => TransactionRequest | Promise<TransactionRequest>;
}

/** Settles what is pending, then builds and sends until a transaction for the purpose has landed or `found` finds a result. */
export async function carryOut(
  staker: Staker,
  { purpose, found, request }: Errand,
  signal?: AbortSignal,
): Promise<ChainReceipt> {
  const earlier = await settleEarlier(staker, signal);
  if (earlier?.kind === 'done' && isSame(earlier.purpose, purpose)) return earlier.receipt;
  let last: Settled | undefined;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const receipt = await found();
    if (receipt) return receipt;
    last = await staker.outbox.send(purpose, await prepareAndSign(staker, await request(), signal), signal);
    if (last.kind === 'done') return last.receipt;
  }
  const wallet = staker.wallet.address;
  throw new ChainError(
    'DAAS_WALLET_BUSY',
    `the wallet ${wallet} is used by another program at the same time (${last?.kind === 'dead' ? last.reason : 'nothing landed'}): stop it, or give this node a wallet of its own`,
    { isRetryable: true, details: { wallet } },
  );
}

/** A transaction that landed and failed cost gas and changed nothing: it does not block the next one. */
export async function settleEarlier(
  { outbox, log }: Staker,
  signal?: AbortSignal,
): Promise<Settled | undefined> {
  try {
    return await outbox.settle(signal);
  } catch (error) {
    const isFailure = error instanceof ChainError && !error.isRetryable && error.details.digest !== undefined;
    if (!isFailure) throw error;
    log.warn('The transaction of an earlier process failed on chain', {
      ...errorFields(error),
      digest: String(error.details.digest),
    });
    return undefined;
  }
}

function prepareAndSign(
  { client, wallet }: Staker,
  request: TransactionRequest,
  signal?: AbortSignal,
): Promise<SignedTransaction> {
  return client.endpoints.withOne(
    async (endpoint) => signTransaction(wallet, await prepareTransaction(endpoint, request, signal)),
    signal,
  );
}

function isSame(a: Purpose, b: Purpose): boolean {
  return a.kind === b.kind && a.wallet === b.wallet && a.clusterId === b.clusterId && a.subject === b.subject;
}
