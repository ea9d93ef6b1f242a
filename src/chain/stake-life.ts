import type { ChainReceipt } from '#plugin';
import type { ChainClient } from './chain-client.ts';
import { findTransaction, whyDead } from './deliver-transaction.ts';
import type { GasCost } from './gas.ts';
import { readObjects } from './object-reads.ts';
import { overtaken } from './operation.ts';
import {
  type PreparedTransaction,
  prepareTransaction,
  type SignedTransaction,
  simulateBytes,
  type TransactionRequest,
} from './prepare-transaction.ts';
import {
  actRequest,
  isStakeAct,
  type MoneyAct,
  makingRequest,
  purposeOfAct,
  type StakeAct,
} from './stake-acts.ts';
import { judgeAct } from './stake-judge.ts';
import { carryOut, type Staker, settleEarlier } from './staker.ts';

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

/** How a transaction is prepared that others sign. */
export interface Unsigned {
  /** The wallet that pays the gas; the staker when left out. */
  readonly gasOwner?: string | undefined;
  /** For how many epochs more than the current one it can be sent. */
  readonly moreEpochs?: bigint | undefined;
}

/** The transaction of an act, ready to be signed. Judges it as `carryOutAct` does, and sends nothing. */
export async function prepareAct(
  staker: Judging,
  act: MoneyAct,
  unsigned: Unsigned = {},
  signal?: AbortSignal,
): Promise<PreparedTransaction> {
  const request = { ...(await requestOf(staker, act, signal)), ...unsigned };
  return staker.client.endpoints.withOne((endpoint) => prepareTransaction(endpoint, request, signal), signal);
}

/**
 * Carries out an act that was signed elsewhere, once: judged as its own wallet would be, simulated, and written to the journal
 * before it is sent. Throws `DAAS_TRANSACTION_OVERTAKEN` when it can no longer be executed.
 */
export async function sendSigned(
  staker: Staker,
  act: MoneyAct,
  signed: SignedTransaction,
  signal?: AbortSignal,
): Promise<ChainReceipt> {
  const { client, outbox } = staker;
  const { endpoints } = client;
  const purpose = purposeOf(staker, act);
  await settleEarlier(staker, signal);
  const done = outbox.receiptOf(purpose);
  if (done?.digest === signed.digest) return done;
  const landed = await endpoints.withOne(
    (endpoint) => findTransaction(endpoint, signed.digest, signal),
    signal,
  );
  // What another program has sent already needs no judgement: the same bytes return the same effects.
  if (!landed) await simulateSigned(staker, act, signed, signal);
  const settled = await outbox.send(purpose, signed, signal);
  if (settled.kind === 'done') return settled.receipt;
  throw overtaken(settled.digest, settled.reason);
}

/**
 * What an act that was signed elsewhere would cost now: these very bytes are simulated, with the gas of the wallet that pays for
 * them. Judges it as `carryOutAct` does, and throws `DAAS_TRANSACTION_OVERTAKEN` when it can no longer be executed.
 */
export async function simulateSigned(
  staker: Judging,
  act: MoneyAct,
  signed: SignedTransaction,
  signal?: AbortSignal,
): Promise<GasCost> {
  const { endpoints, deployment } = staker.client;
  const reason = await endpoints.withOne((endpoint) => whyDead(endpoint, signed, signal), signal);
  if (reason !== undefined) throw overtaken(signed.digest, reason);
  if (isStakeAct(act)) await judgedRequest(staker, act, signal);
  return endpoints.withOne(
    (endpoint) => simulateBytes(endpoint, signed.bytes, deployment.packageId, signal),
    signal,
  );
}

/** The receipt of an act that this journal has carried out. */
export function receiptOfAct(staker: Staker, act: MoneyAct): ChainReceipt | undefined {
  return staker.outbox.receiptOf(purposeOf(staker, act));
}

type Judging = Pick<Staker, 'client' | 'wallet' | 'budgets' | 'gasPriceMist'>;

async function requestOf(staker: Judging, act: MoneyAct, signal?: AbortSignal): Promise<TransactionRequest> {
  if (isStakeAct(act)) return judgedRequest(staker, act, signal);
  const { client, wallet, budgets, gasPriceMist } = staker;
  const { stakeMist, mintMist } = budgets;
  const budgetsMist = { stake: stakeMist, mint: mintMist, join: stakeMist + mintMist };
  const kind = act.kind === 'join-person' ? 'join' : act.kind === 'mint-person' ? 'mint' : act.kind;
  const gas = { maximumBudgetMist: budgetsMist[kind], gasPriceMist };
  return makingRequest(wallet.address, client.deployment, act, gas);
}

const purposeOf = ({ client, wallet }: Pick<Staker, 'client' | 'wallet'>, act: MoneyAct) =>
  purposeOfAct({ wallet: wallet.address, clusterId: client.deployment.clusterId }, act);

/** The transaction of an act on the record as it is now. Throws what `judgeAct` does. */
async function judgedRequest(
  { client, wallet, budgets, gasPriceMist }: Judging,
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
