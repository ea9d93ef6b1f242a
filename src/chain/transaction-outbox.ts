import { z } from 'zod';
import { ConfigurationError, type Journal, type Log } from '#base';
import { deliver } from './deliver-transaction.ts';
import type { Endpoints } from './endpoints/index.ts';
import { failureOf } from './executed-transaction.ts';
import { executionError } from './execution-error.ts';
import type { SignedTransaction } from './prepare-transaction.ts';
import { resultOf } from './purpose-result.ts';
import { entryOf, SignedEntry, signedOf } from './signed-entry.ts';

const PURPOSES = [
  'stake',
  'mint',
  'join',
  'join-person',
  'mint-person',
  'rotate',
  'revoke',
  'top-up',
  'unstake',
  'withdraw',
] as const;

/** What a transaction is for. Of two transactions for one purpose, at most one may land. */
export interface Purpose {
  /** Join: stake and mint in one transaction. */
  readonly kind: (typeof PURPOSES)[number];
  /** The wallet that signs. A journal can outlive a wallet. */
  readonly wallet: string;
  readonly clusterId: string;
  /**
   * Stake: the node id; mint: the stake record and the node key; join: the node id and the node key. For people: the type of
   * the stake, or the record and the permissions, and the key. What changes a record
   * names the record and the state that it starts from, which it ends: it can land once.
   */
  readonly subject: string;
}

export interface Receipt {
  readonly digest: string;
  /** Mint, rotate, revoke: the token; else the record. */
  readonly objectId: string;
  /** Join: the token. */
  readonly tokenId?: string | undefined;
  /** Top-up and withdraw: what went in or came out. */
  readonly amountMist?: bigint | undefined;
}

export type Settled =
  | { readonly kind: 'done'; readonly purpose: Purpose; readonly receipt: Receipt }
  /** It was not executed and never will be: another transaction may be built, once the cluster's table agrees. */
  | { readonly kind: 'dead'; readonly purpose: Purpose; readonly digest: string; readonly reason: string };

/** Sends signed transactions so that a crash loses none: one at a time, each written to the journal before it is sent. */
export interface TransactionOutbox {
  /** Sends again the transaction that an earlier process had signed, unchanged, and returns its outcome. */
  settle(signal?: AbortSignal): Promise<Settled | undefined>;
  /** Writes the signed transaction to the journal, sends it, and returns its outcome. Nothing may be pending. */
  send(purpose: Purpose, signed: SignedTransaction, signal?: AbortSignal): Promise<Settled>;
  /** The last receipt for a purpose. */
  receiptOf(purpose: Purpose): Receipt | undefined;
  /** The receipts for all purposes of a kind, by their subjects. */
  receiptsOf(
    purposes: Omit<Purpose, 'subject'>,
  ): ReadonlyArray<{ readonly subject: string; readonly receipt: Receipt }>;
}

export interface OutboxOptions {
  readonly endpoints: Endpoints;
  readonly journal: Journal;
  readonly log: Log;
  readonly chainId: string;
  readonly packageId: string;
  /** How long to wait for the outcome of a transaction before giving up for now. */
  readonly retryForMs: number;
}

const Purpose = z.strictObject({
  kind: z.enum(PURPOSES),
  wallet: z.string(),
  clusterId: z.string(),
  subject: z.string(),
});
const Pending = SignedEntry.extend({ purpose: Purpose, packageId: z.string() });
type Pending = z.infer<typeof Pending>;
const ReceiptEntry = z.strictObject({
  digest: z.string(),
  objectId: z.string(),
  tokenId: z.string().optional(),
  amountMist: z
    .string()
    .regex(/^\d+$/)
    .transform((mist) => BigInt(mist))
    .optional(),
});

export function openTransactionOutbox(options: OutboxOptions): TransactionOutbox {
  // A transaction signed for one chain means nothing to another.
  const journal = options.journal.section(`transactions/${options.chainId}`);
  const outbox: Outbox = { ...options, journal };
  return {
    settle: async (signal) => {
      const pending = pendingEntry(journal);
      if (!pending) return undefined;
      const { purpose, digest } = pending;
      options.log.info('Settling the transaction of an earlier process', { ...purpose, digest });
      return finish(outbox, pending, signal);
    },
    send: async (purpose, signed, signal) => {
      const earlier = pendingEntry(journal);
      if (earlier) throw new Error(`the transaction ${earlier.digest} must be settled first`);
      const pending = { purpose, packageId: options.packageId, ...entryOf(signed) };
      await journal.write('pending', pending);
      return finish(outbox, pending, signal);
    },
    receiptOf: (purpose) => receiptAt(journal, receiptKey(purpose)),
    receiptsOf: (purposes) => {
      const prefix = receiptKey({ ...purposes, subject: '' });
      return journal
        .keys()
        .filter((key) => key.startsWith(prefix))
        .flatMap((key) => {
          const receipt = receiptAt(journal, key);
          return receipt ? [{ subject: key.slice(prefix.length), receipt }] : [];
        });
    },
  };
}

type Outbox = Pick<OutboxOptions, 'endpoints' | 'journal' | 'log' | 'retryForMs'>;

function receiptKey({ kind, wallet, clusterId, subject }: Purpose): string {
  return `receipt/${clusterId}/${wallet}/${kind}/${subject}`;
}

function receiptAt(journal: Journal, key: string): Receipt | undefined {
  const entry = journal.read(key);
  return entry === undefined ? undefined : parsed(ReceiptEntry, entry, 'a receipt');
}

function pendingEntry(journal: Journal): Pending | undefined {
  const entry = journal.read('pending');
  return entry === undefined ? undefined : parsed(Pending, entry, 'a pending transaction');
}

async function finish(
  { endpoints, journal, log, retryForMs }: Outbox,
  pending: Pending,
  signal?: AbortSignal,
): Promise<Settled> {
  const { purpose, digest } = pending;
  const delivery = await deliver(endpoints, signedOf(pending), { retryForMs, signal });
  if (delivery.kind === 'dead') {
    const { reason } = delivery;
    log.warn('A signed transaction can never land and is dropped', { ...purpose, digest, reason });
    await journal.remove('pending');
    return { kind: 'dead', purpose, digest, reason };
  }
  const { transaction } = delivery;
  if (!transaction.success) {
    await journal.remove('pending');
    throw executionError(failureOf(transaction.error, pending.packageId), { digest });
  }
  const receipt = { digest, ...resultOf(purpose, transaction, pending.packageId) };
  const { amountMist, ...rest } = receipt;
  // The receipt first: after a crash between the two writes the transaction is settled twice, which is harmless.
  await journal.write(receiptKey(purpose), {
    ...rest,
    ...(amountMist !== undefined && { amountMist: amountMist.toString() }),
  });
  await journal.remove('pending');
  log.info('A transaction has landed', { ...purpose, ...receipt });
  return { kind: 'done', purpose, receipt };
}

function parsed<T>(schema: z.ZodType<T>, entry: unknown, what: string): T {
  const result = schema.safeParse(entry);
  if (result.success) return result.data;
  // Dropping the entry would forget that money was sent: the operator must look.
  throw new ConfigurationError(
    'DAAS_JOURNAL_DAMAGED',
    `the journal has ${what} that cannot be read (${result.error.issues[0]?.message}): restore it from a backup, or remove it after checking on chain what became of it`,
  );
}
