import type { ChainReceipt } from '#plugin';
import type { ChainClient } from './chain-client.ts';
import { readObjects } from './object-reads.ts';
import {
  type PreparedTransaction,
  prepareTransaction,
  type TransactionRequest,
} from './prepare-transaction.ts';
import { actRequest, purposeOfAct, type StakeAct } from './stake-acts.ts';
import { judgeAct } from './stake-judge.ts';
import { carryOut, type Staker } from './staker.ts';

/** Carries an act out once: what an earlier process had signed is settled first, and its receipt is the answer. */
export function carryOutAct(staker: Staker, act: StakeAct, signal?: AbortSignal): Promise<ChainReceipt> {
  const purpose = purposeOf(staker, act);
  return carryOut(
    staker,
    {
      purpose,
      found: async () => staker.outbox.receiptOf(purpose) ?? (await doneElsewhere(staker, act, signal)),
      request: () => judgedRequest(staker, act, signal),
    },
    signal,
  );
}

/** The transaction of an act, ready to be signed. Judges it as `carryOutAct` does, and sends nothing. */
export async function prepareAct(
  staker: Pick<Staker, 'client' | 'wallet' | 'budgets' | 'gasPriceMist'>,
  act: StakeAct,
  signal?: AbortSignal,
): Promise<PreparedTransaction> {
  const request = await judgedRequest(staker, act, signal);
  return staker.client.endpoints.withOne((endpoint) => prepareTransaction(endpoint, request, signal), signal);
}

/** The receipt of an act that this journal has carried out. */
export function receiptOfAct(staker: Staker, act: StakeAct): ChainReceipt | undefined {
  return staker.outbox.receiptOf(purposeOf(staker, act));
}

const purposeOf = ({ client, wallet }: Pick<Staker, 'client' | 'wallet'>, act: StakeAct) =>
  purposeOfAct({ wallet: wallet.address, clusterId: client.deployment.clusterId }, act);

/** The transaction of an act on the record as it is now. Throws what `judgeAct` does. */
async function judgedRequest(
  { client, wallet, budgets, gasPriceMist }: Pick<Staker, 'client' | 'wallet' | 'budgets' | 'gasPriceMist'>,
  act: StakeAct,
  signal?: AbortSignal,
): Promise<TransactionRequest> {
  const [records, cluster, point] = await Promise.all([
    client.records([act.recordId], signal),
    client.cluster(signal),
    client.point(signal),
  ]);
  const record = judgeAct(act, {
    record: records.get(act.recordId),
    wallet: wallet.address,
    cluster,
    nowMs: point.timestampMs,
  });
  const gas = { maximumBudgetMist: budgets.mintMist, gasPriceMist };
  return actRequest(wallet.address, client.deployment, { act, record }, gas);
}

/** A rotation to the same key by another journal is the one that was asked for. */
async function doneElsewhere(
  { client }: Staker,
  act: StakeAct,
  signal?: AbortSignal,
): Promise<ChainReceipt | undefined> {
  if (act.kind !== 'rotate') return undefined;
  const record = (await client.records([act.recordId], signal)).get(act.recordId);
  if (record?.token === undefined || record.token === act.tokenId) return undefined;
  const token = (await client.tokens([record.token], signal)).get(record.token);
  if (!token || !Buffer.from(token.holderKey).equals(act.holderKey)) return undefined;
  return { objectId: token.id, digest: await lastDigestOf(client, token.id, signal) };
}

/** The transaction that last touched an object: all that is known of a result that another journal made. */
export async function lastDigestOf(client: ChainClient, id: string, signal?: AbortSignal): Promise<string> {
  const read = await client.endpoints.read(
    `object ${id}`,
    (sui, ended) => readObjects(sui, [id], ended),
    signal,
  );
  return read.get(id)?.previousTransaction ?? '';
}
