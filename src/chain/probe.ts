import { randomBytes } from 'node:crypto';
import { bcs } from '@mysten/sui/bcs';
import type { ChainClient } from './chain-client.ts';
import { deliver } from './deliver-transaction.ts';
import { ChainError } from './endpoints/index.ts';
import { failureOf } from './executed-transaction.ts';
import { executionError } from './execution-error.ts';
import { cluster } from './generated/index.ts';
import { prepareTransaction, type SignedTransaction, signTransaction } from './prepare-transaction.ts';
import type { View } from './proven-views.ts';
import type { Wallet } from './wallet.ts';

/** What a probe may cost at most: about ten times what it costs at today's gas price. */
export const PROBE_BUDGET_MIST = 10_000_000n;
/** For the transaction to be executed, and then for its checkpoint to be certified. */
const SETTLE_FOR_MS = 30_000;
const CERTIFY_FOR_MS = 30_000;

export interface Prober {
  readonly client: Pick<ChainClient, 'deployment' | 'endpoints' | 'takeView'>;
  readonly wallet: Wallet;
  /** It is sent for what it carries: without a trust pin it shows nothing, and need not. */
  readonly isForAnchors?: boolean;
}

export interface ProbeContent {
  readonly recordIds: readonly string[];
  /** What it says beside, with random bytes of its own; random bytes alone unless given. */
  readonly statement?: Uint8Array | undefined;
}

export interface ProbeResult extends Omit<View, 'seenAtMs'> {
  /** `undefined`: it shows nothing. */
  readonly seenAtMs: number | undefined;
  readonly digest: string;
  readonly costMist: bigint;
}

/**
 * A transaction of this wallet that is given the cluster and records to read. It changes nothing but its gas coin. Its effects,
 * which the validators sign, name the version of each at a moment that this program has chosen, so a full node can
 * hide no change from before it.
 *
 * Random bytes make each probe another transaction: bytes that were signed before and kept back prove nothing about now.
 * @throws `DAAS_BALANCE_TOO_LOW`, and what keeps it from being executed or proven.
 */
export async function signProbe(
  { client, wallet }: Prober,
  { recordIds, statement = randomBytes(16) }: ProbeContent,
  signal?: AbortSignal,
): Promise<SignedTransaction> {
  const { packageId, clusterId } = client.deployment;
  const prepared = await client.endpoints.withOne(
    (endpoint) =>
      prepareTransaction(
        endpoint,
        {
          sender: wallet.address,
          shared: [clusterId, ...recordIds],
          spendMist: 0n,
          maximumBudgetMist: PROBE_BUDGET_MIST,
          packageId,
          build: (tx, objects) => {
            tx.pure(bcs.vector(bcs.u8()).serialize(statement));
            cluster.changeSeq(tx, packageId, { cluster: objects.readonly(clusterId) });
            // No command uses them; the effects name them all the same.
            for (const id of recordIds) tx.object(objects.readonly(id));
          },
        },
        signal,
      ),
    signal,
  );
  return signTransaction(wallet, prepared);
}

/**
 * Sends a probe, also one of before whose outcome was not known, and takes what it has seen. `undefined`: it can no longer be
 * executed.
 */
export async function sendProbe(
  { client, isForAnchors = false }: Prober,
  signed: SignedTransaction,
  signal?: AbortSignal,
): Promise<ProbeResult | undefined> {
  const { digest } = signed;
  const delivery = await deliver(client.endpoints, signed, { retryForMs: SETTLE_FOR_MS, signal });
  if (delivery.kind === 'dead') return undefined;
  const { transaction } = delivery;
  if (!transaction.success)
    throw executionError(failureOf(transaction.error, client.deployment.packageId), { digest });
  const view = await client.takeView(digest, { waitForMs: CERTIFY_FOR_MS, signal });
  const { totalMist: costMist } = transaction.cost;
  if (view?.seen.has(client.deployment.clusterId)) return { ...view, digest, costMist };
  if (!view && isForAnchors) return { seenAtMs: undefined, seen: new Map(), hidden: [], digest, costMist };
  throw new ChainError(
    'DAAS_CHAIN_ANSWER_INCOMPLETE',
    `the effects of the probe ${digest} do not name the cluster ${client.deployment.clusterId}`,
    { details: { digest } },
  );
}
