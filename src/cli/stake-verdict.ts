import { join } from 'node:path';
import { ConfigurationError, DaasError, EXIT } from '#base';
import {
  assertCanStake,
  type ChainClient,
  formatSui,
  type GasBudgets,
  planMint,
  planStake,
  type Wallet,
} from '#chain';
import type { Cluster, StakeRecord } from '#domain';
import { readLatch } from '#host';
import { endedError, judgeLiveRecord, judgeToken, worstEnded } from '#plugins';
import { readNodeKey } from '#seal';

/** What a start would do about the stake: the judges are those of the real start, and the chain simulates the rest. */
export interface StakeVerdict {
  readonly plan: string;
  /** What the start would end with. */
  readonly stop: DaasError | undefined;
}

export interface StakeQuestion {
  readonly chain: ChainClient;
  readonly cluster: Cluster;
  readonly wallet: Wallet;
  readonly nodeId: string;
  readonly stateDir: string;
  readonly amountMist?: bigint | undefined;
  readonly minimumMist?: bigint | undefined;
  readonly gasBudgets: GasBudgets;
  readonly stakeAgain: boolean;
}

export async function stakeVerdict(question: StakeQuestion): Promise<StakeVerdict> {
  try {
    return { plan: await planOf(question), stop: undefined };
  } catch (error) {
    // What may pass by itself is no verdict on the configuration.
    if (!(error instanceof DaasError) || error.isRetryable) throw error;
    return { plan: `${error.message}: it would stop here`, stop: error };
  }
}

async function planOf(question: StakeQuestion): Promise<string> {
  const { chain, nodeId } = question;
  const standing = await chain.liveRecordOf(nodeId);
  const record = standing === undefined ? undefined : (await chain.records([standing])).get(standing);
  return record ? planWithRecord(question, record) : planWithoutRecord(question);
}

async function planWithRecord(question: StakeQuestion, record: StakeRecord): Promise<string> {
  const { chain, cluster, wallet, nodeId, stateDir, minimumMist } = question;
  judgeLiveRecord(record, { nodeId, wallet: wallet.address, parameters: cluster.parameters, minimumMist });
  const stands = `record ${record.id} stands (${record.status}) with ${formatSui(record.stakeMist)}`;
  const key = await readNodeKey(join(stateDir, 'node.key'));
  // A start would make a key that is not yet there; any other serves to judge and to simulate with.
  const holderKey = key?.publicKey ?? new Uint8Array(32);
  if (record.token === undefined) {
    const cost = await planMint({ client: chain, wallet }, { recordId: record.id, holderKey });
    return `${stands}; would mint its Seal token (gas at most ${formatSui(cost.budgetMist)})`;
  }
  const token = (await chain.tokens([record.token])).get(record.token);
  if (token) judgeToken(token, { holderKey, epoch: (await chain.point()).epoch });
  return `${stands} and token ${record.token}`;
}

async function planWithoutRecord(question: StakeQuestion): Promise<string> {
  const { chain, cluster, wallet, nodeId, amountMist, minimumMist, gasBudgets } = question;
  if (!question.stakeAgain) await refuseEnded(question);
  if (amountMist === undefined)
    throw new ConfigurationError(
      'DAAS_STAKE_AMOUNT_MISSING',
      'nothing stands for this node, and stake.amountMist is not set',
    );
  if (minimumMist !== undefined && amountMist < minimumMist)
    throw new ConfigurationError(
      'DAAS_STAKE_TOO_LOW',
      `stake.amountMist (${formatSui(amountMist)}) is below stake.minimumMist (${formatSui(minimumMist)})`,
    );
  await assertCanStake(chain, wallet.address, { nodeId, stakeMist: amountMist }, gasBudgets);
  const cost = await planStake({ client: chain, wallet }, { nodeId, stakeMist: amountMist });
  const minimum = formatSui(cluster.parameters.minimumWorkerStakeMist);
  return `would stake ${formatSui(amountMist)} (minimum of the cluster: ${minimum}; gas at most ${formatSui(cost.budgetMist)}) and mint a Seal token`;
}

/** Nothing new is staked without `--stake-again`: by the latch of this machine, or the last stake as the chain knows it. */
async function refuseEnded({ chain, cluster, wallet, nodeId, stateDir }: StakeQuestion): Promise<void> {
  const latch = await readLatch(stateDir);
  if (latch)
    throw new DaasError(
      'DAAS_LATCHED',
      `this host is locked out (${latch.detail}), unless --stake-again is given`,
      {
        exitCode: EXIT.lockedOut,
      },
    );
  const records = [...(await chain.records(cluster.criticalRing.map(({ record }) => record))).values()];
  const ended = worstEnded(
    records.filter((record) => record !== undefined),
    { nodeId, wallet: wallet.address },
  );
  if (ended) throw endedError(ended);
}
