import { z } from 'zod';
import { ConfigurationError, type Journal, type Log } from '#base';
import type { Endpoints } from './endpoint.ts';
import { ChainError, executionError } from './errors.ts';
import { k8sGateway, staking } from './generated/index.ts';
import { deliver, type Executed, eventOf, failureOf, type SignedTransaction } from './transactions.ts';

/** What a transaction is for. Two transactions for the same purpose must never both land. */
export interface Purpose {
  readonly kind: 'stake' | 'mint';
  /** Who signs. A journal may outlive a wallet. */
  readonly wallet: string;
  readonly clusterId: string;
  /** Stake: the node id; mint: the stake record and the node key. */
  readonly subject: string;
}

interface Receipt {
  readonly digest: string;
  /** Stake: the record; mint: the token. */
  readonly objectId: string;
}

export type Settled =
  | { readonly kind: 'done'; readonly purpose: Purpose; readonly receipt: Receipt }
  /** It did not happen and never will: another transaction may be built, once the cluster's table agrees. */
  | { readonly kind: 'dead'; readonly purpose: Purpose; readonly digest: string; readonly reason: string };

/** Carries signed transactions through crashes: one at a time, on disk before it is sent. */
export interface Ledger {
  /** Sends again, as it was, what an earlier life of the process had signed, and tells what became of it. */
  settle(signal?: AbortSignal): Promise<Settled | undefined>;
  /** Writes the signed transaction down, sends it, and tells what became of it. Nothing may be pending. */
  send(purpose: Purpose, signed: SignedTransaction, signal?: AbortSignal): Promise<Settled>;
  /** The last receipt for a purpose. */
  receiptOf(purpose: Purpose): Receipt | undefined;
}

export interface LedgerOptions {
  readonly endpoints: Endpoints;
  readonly journal: Journal;
  readonly log: Log;
  readonly chainId: string;
  readonly packageId: string;
  /** How long to find out what became of a transaction before giving up for now. */
  readonly retryForMs: number;
}

const Purpose = z.strictObject({
  kind: z.enum(['stake', 'mint']),
  wallet: z.string(),
  clusterId: z.string(),
  subject: z.string(),
});
const Pending = z.strictObject({
  purpose: Purpose,
  packageId: z.string(),
  digest: z.string(),
  bytes: z.base64(),
  signature: z.string(),
  expirationEpoch: z.string().regex(/^\d+$/),
  gas: z.array(z.strictObject({ objectId: z.string(), version: z.string().regex(/^\d+$/) })),
});
type Pending = z.infer<typeof Pending>;
const ReceiptEntry = z.strictObject({ digest: z.string(), objectId: z.string() });

export function openLedger(options: LedgerOptions): Ledger {
  const { endpoints, log, retryForMs } = options;
  // What was signed for one chain is nothing to another.
  const journal = options.journal.section(`transactions/${options.chainId}`);
  const receiptKey = ({ kind, wallet, clusterId, subject }: Purpose) =>
    `receipt/${clusterId}/${wallet}/${kind}/${subject}`;

  async function finish(pending: Pending, signal?: AbortSignal): Promise<Settled> {
    const { purpose, digest } = pending;
    const delivery = await deliver(endpoints, signedOf(pending), { retryForMs, signal });
    if (delivery.kind === 'dead') {
      log.warn('A signed transaction can never land and is dropped', {
        ...purpose,
        digest,
        reason: delivery.reason,
      });
      await journal.remove('pending');
      return { kind: 'dead', purpose, digest, reason: delivery.reason };
    }
    const { transaction } = delivery;
    if (!transaction.success) {
      await journal.remove('pending');
      throw executionError(failureOf(transaction.error, pending.packageId), { digest });
    }
    const receipt = { digest, objectId: objectOf(purpose, transaction, pending.packageId) };
    // The receipt first: between the two writes the transaction is settled twice, which is harmless.
    await journal.write(receiptKey(purpose), receipt);
    await journal.remove('pending');
    log.info('A transaction has landed', { ...purpose, ...receipt });
    return { kind: 'done', purpose, receipt };
  }

  function pendingEntry(): Pending | undefined {
    const entry = journal.read('pending');
    return entry === undefined ? undefined : parsed(Pending, entry, 'a pending transaction');
  }

  return {
    settle: async (signal) => {
      const pending = pendingEntry();
      if (!pending) return undefined;
      log.info('Settling the transaction of an earlier life', { ...pending.purpose, digest: pending.digest });
      return finish(pending, signal);
    },
    send: async (purpose, signed, signal) => {
      const earlier = pendingEntry();
      if (earlier) throw new Error(`the transaction ${earlier.digest} must be settled first`);
      const pending: Pending = {
        purpose,
        packageId: options.packageId,
        digest: signed.digest,
        bytes: Buffer.from(signed.bytes).toString('base64'),
        signature: signed.signature,
        expirationEpoch: signed.expirationEpoch.toString(),
        gas: signed.gas.map(({ objectId, version }) => ({ objectId, version })),
      };
      await journal.write('pending', pending);
      return finish(pending, signal);
    },
    receiptOf: (purpose) => {
      const entry = journal.read(receiptKey(purpose));
      return entry === undefined ? undefined : parsed(ReceiptEntry, entry, 'a receipt');
    },
  };
}

function signedOf(pending: Pending): SignedTransaction {
  return {
    bytes: Uint8Array.from(Buffer.from(pending.bytes, 'base64')),
    signature: pending.signature,
    digest: pending.digest,
    expirationEpoch: BigInt(pending.expirationEpoch),
    gas: pending.gas,
  };
}

/** The object the transaction was sent for, by the event that names it. */
function objectOf(purpose: Purpose, transaction: Executed, packageId: string): string {
  const created = eventOf(transaction, packageId, staking.MODULE, 'StakeCreated');
  const minted = eventOf(transaction, packageId, k8sGateway.MODULE, 'SealTokenCreated');
  if (purpose.kind === 'stake' && created) return staking.StakeCreated.parse(created).record;
  if (purpose.kind === 'mint' && minted) return k8sGateway.SealTokenCreated.parse(minted).token;
  throw new ChainError(
    'DAAS_CHAIN_ANSWER_INCOMPLETE',
    `the transaction ${transaction.digest} landed, and the node does not tell its events: try again, or ask another endpoint`,
    { isRetryable: true, details: { digest: transaction.digest } },
  );
}

function parsed<T>(schema: z.ZodType<T>, entry: unknown, what: string): T {
  const result = schema.safeParse(entry);
  if (result.success) return result.data;
  // Dropping it would forget that money was sent: a human must look.
  throw new ConfigurationError(
    'DAAS_JOURNAL_DAMAGED',
    `the journal has ${what} that cannot be read (${result.error.issues[0]?.message}): restore it from a backup, or remove it after checking on chain what became of it`,
  );
}
