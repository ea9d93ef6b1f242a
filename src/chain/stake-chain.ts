import { ConfigurationError, createMutex, type Journal, type Log } from '#base';
import type { StakeRecord } from '#domain';
import type { ChainReceipt, SimulatedCost, StakeChain } from '#plugin';
import type { ChainClient } from './chain-client.ts';
import { balanceTooLow } from './coins.ts';
import { ChainError } from './endpoints/index.ts';
import type { GasCost } from './gas.ts';
import { createPersonStakes, type PersonStakes } from './person-stake.ts';
import type { PreparedTransaction, SignedTransaction, TransactionRequest } from './prepare-transaction.ts';
import type { MoneyAct, StakeAct } from './stake-acts.ts';
import { assertOwn } from './stake-judge.ts';
import {
  carryOutAct,
  lastDigestOf,
  prepareAct,
  receiptOfAct,
  sendSigned,
  simulateSigned,
  type Unsigned,
} from './stake-life.ts';
import {
  type JoinRequest,
  type MintRequest,
  mintRequest,
  preview,
  type StakeRequest,
  stakeRequest,
  underTerms,
} from './stake-requests.ts';
import {
  carryOut,
  DEFAULT_GAS_BUDGETS,
  type GasBudgets,
  type Staker,
  settleEarlier,
  VISIBLE_AFTER_MS,
} from './staker.ts';
import { openTransactionOutbox, type Purpose } from './transaction-outbox.ts';
import type { Wallet } from './wallet.ts';

export interface StakeChainOptions {
  readonly client: ChainClient;
  readonly wallet: Wallet;
  /** Signed transactions are written here before they are sent; one wallet uses one journal. */
  readonly journal: Journal;
  readonly log: Log;
  readonly gasBudgets?: Partial<GasBudgets>;
  /** Price of a gas unit; the reference price when left out. */
  readonly gasPriceMist?: bigint | undefined;
  /** How long to wait for the outcome of a transaction before `DAAS_CHAIN_UNAVAILABLE`; default 60 s. */
  readonly settleForMs?: number;
}

/** The stake of a wallet, with what its journal knows of a record that stands. */
export interface WalletStakeChain extends StakeChain {
  /** What made the record. Sends nothing. */
  receiptOf(record: StakeRecord, holderKey?: Uint8Array, signal?: AbortSignal): Promise<ChainReceipt>;
  /** Carries out what a staker does with a stake that stands, once. Throws what `judgeAct` does. */
  carryOut(act: StakeAct, signal?: AbortSignal): Promise<ChainReceipt>;
  /** The transaction of it, with its cost. Judges it, and signs and sends nothing. */
  prepareAct(act: MoneyAct, unsigned?: Unsigned, signal?: AbortSignal): Promise<PreparedTransaction>;
  /** Sends what was signed elsewhere, once. Judges it first, as the wallet itself would be. */
  sendSigned(act: MoneyAct, signed: SignedTransaction, signal?: AbortSignal): Promise<ChainReceipt>;
  /** What an act that was signed elsewhere would cost now; judges and simulates it, sends nothing. */
  simulateSigned(act: MoneyAct, signed: SignedTransaction, signal?: AbortSignal): Promise<GasCost>;
  /** The receipt of an act that this journal has carried out. */
  receiptOfAct(act: StakeAct): ChainReceipt | undefined;
  /** What is done for people instead of nodes. */
  readonly person: PersonStakes;
}

const DEFAULT_SETTLE_FOR_MS = 60_000;
/**
 * Reads and writes of one wallet's stake. Writes run one after the other. Which stake is good enough is not decided here:
 * the staking plugin judges it before a write, the contracts at the simulation.
 */
export function createStakeChain(options: StakeChainOptions): WalletStakeChain {
  const { client, wallet } = options;
  const staker = stakerOf(options);
  const exclusive = createMutex();
  const act = (asked: StakeAct, signal?: AbortSignal) => exclusive(() => carryOutAct(staker, asked, signal));
  return {
    carryOut: act,
    prepareAct: (asked, unsigned, signal) => prepareAct(staker, asked, unsigned, signal),
    simulateSigned: (asked, signed, signal) => simulateSigned(staker, asked, signed, signal),
    sendSigned: (asked, signed, signal) => exclusive(() => sendSigned(staker, asked, signed, signal)),
    receiptOfAct: (asked) => receiptOfAct(staker, asked),
    person: createPersonStakes(staker, exclusive),
    rotateSealToken: (request, signal) => {
      assertHolderKey(request.holderKey);
      return act({ kind: 'rotate', ...request }, signal);
    },
    topUp: async (request, signal) =>
      act({ kind: 'top-up', ...(await underTerms(client, request, signal)) }, signal),
    revokeSealToken: (request, signal) => act({ kind: 'revoke', ...request }, signal),
    requestUnstake: (request, signal) => act({ kind: 'unstake', ...request }, signal),
    withdraw: (request, signal) => act({ kind: 'withdraw', ...request }, signal),
    cluster: (signal) => client.cluster(signal),
    records: (ids, signal) => client.records(ids, signal),
    tokens: (ids, signal) => client.tokens(ids, signal),
    liveRecordOf: (nodeId, signal) => client.liveRecordOf(nodeId, signal),
    point: (signal) => client.point(signal),
    slashProposal: (id, signal) => client.proposal(id, signal),
    coinsMist: async (signal) => (await client.balance(wallet.address, signal)).coinsMist,
    wallet: wallet.address,
    clusterId: client.deployment.clusterId,
    join: (request, signal) => exclusive(() => join(staker, request, signal)),
    stakeForNode: (request, signal) => exclusive(() => stakeForNode(staker, request, signal)),
    createWorkerSealToken: (request, signal) => exclusive(() => mintSealToken(staker, request, signal)),
    receiptOf: (record, holderKey, signal) => receiptOfRecord(staker, record, holderKey, signal),
    simulateStake: (request, signal) => simulateStake(staker, request, signal),
    simulateSealToken: (request, signal) => simulateSealToken(staker, request, signal),
    settlePending: (signal) =>
      exclusive(async () => {
        const settled = await settleEarlier(staker, signal);
        return settled?.kind === 'done' ? settled.receipt : undefined;
      }),
  };
}

function stakerOf(options: StakeChainOptions): Staker {
  const { client, wallet, log, gasPriceMist, settleForMs = DEFAULT_SETTLE_FOR_MS } = options;
  const { packageId, chainId } = client.deployment;
  const { endpoints } = client;
  const { journal } = options;
  const outbox = openTransactionOutbox({
    endpoints,
    journal,
    log,
    chainId,
    packageId,
    retryForMs: settleForMs,
  });
  const budgets = { ...DEFAULT_GAS_BUDGETS, ...options.gasBudgets };
  return { client, wallet, outbox, log, budgets, gasPriceMist, settleForMs };
}

// === Staking ===

/** Stake and Seal token in one transaction: a crash in between cannot leave a stake without a token. */
async function join(staker: Staker, request: JoinRequest, signal?: AbortSignal): Promise<ChainReceipt> {
  assertHolderKey(request.holderKey);
  const { stakeMist, mintMist } = staker.budgets;
  return makeStake(staker, joinPurpose(staker, request), request, stakeMist + mintMist, signal);
}

function stakeForNode(staker: Staker, request: StakeRequest, signal?: AbortSignal): Promise<ChainReceipt> {
  return makeStake(staker, stakePurpose(staker, request.nodeId), request, staker.budgets.stakeMist, signal);
}

function makeStake(
  staker: Staker,
  purpose: Purpose,
  request: StakeRequest & Partial<JoinRequest>,
  maximumBudgetMist: bigint,
  signal?: AbortSignal,
): Promise<ChainReceipt> {
  const { client, wallet, budgets, gasPriceMist } = staker;
  const gas = { maximumBudgetMist, gasPriceMist };
  return carryOut(
    staker,
    {
      purpose,
      found: async () => {
        const existing = await ownRecord(staker, request, signal);
        if (!existing)
          await assertAffordable(client, { wallet: wallet.address, ...request }, budgets, signal);
        return existing;
      },
      request: async () =>
        stakeRequest(wallet.address, client.deployment, await underTerms(client, request, signal), gas),
    },
    signal,
  );
}

async function simulateStake(
  { client, wallet, budgets, gasPriceMist }: Staker,
  request: StakeRequest & Partial<JoinRequest>,
  signal?: AbortSignal,
): Promise<SimulatedCost> {
  await assertAffordable(client, { wallet: wallet.address, ...request }, budgets, signal);
  const gas = {
    maximumBudgetMist: budgets.stakeMist + (request.holderKey ? budgets.mintMist : 0n),
    gasPriceMist,
  };
  const whole = await underTerms(client, request, signal);
  return simulated(client, stakeRequest(wallet.address, client.deployment, whole, gas), signal);
}

async function simulated(
  client: ChainClient,
  request: TransactionRequest,
  signal?: AbortSignal,
): Promise<SimulatedCost> {
  const { budgetMist } = await preview(client, request, signal);
  return { gasBudgetMist: budgetMist };
}

/** The live record of a node id, if it belongs to this wallet. The contracts refuse a stake for the node of another one. */
async function ownRecord(
  staker: Staker,
  { nodeId, holderKey }: Pick<JoinRequest, 'nodeId'> & Partial<JoinRequest>,
  signal?: AbortSignal,
): Promise<ChainReceipt | undefined> {
  const { client, wallet } = staker;
  const id = await client.liveRecordOf(nodeId, signal);
  if (id === undefined) return undefined;
  const record = (await client.records([id], signal)).get(id);
  if (!record)
    throw new ChainError(
      'DAAS_CHAIN_UNAVAILABLE',
      `the chain names ${id} as the record of node '${nodeId}' and the endpoint does not have it yet`,
      { isRetryable: true },
    );
  if (record.staker !== wallet.address) return undefined;
  return receiptOfRecord(staker, record, holderKey, signal);
}

/** What made the record: of this journal if it has it. */
async function receiptOfRecord(
  staker: Staker,
  { id, nodeId, token }: StakeRecord,
  holderKey: Uint8Array | undefined,
  signal?: AbortSignal,
): Promise<ChainReceipt> {
  const { client, outbox } = staker;
  const purposes = [
    stakePurpose(staker, nodeId),
    ...(holderKey ? [joinPurpose(staker, { nodeId, holderKey })] : []),
  ];
  const receipt = purposes.map((purpose) => outbox.receiptOf(purpose)).find((kept) => kept?.objectId === id);
  if (!receipt) return { objectId: id, digest: await lastDigestOf(client, id, signal) };
  // A token that the record names no longer was revoked or replaced: another one has to be minted or found.
  const { tokenId, ...made } = receipt;
  return tokenId !== undefined && tokenId === token ? { ...made, tokenId } : made;
}

/** Throws `DAAS_BALANCE_TOO_LOW`, before anything is built. */
async function assertAffordable(
  client: ChainClient,
  { wallet, stakeMist }: { readonly wallet: string; readonly stakeMist: bigint },
  budgets: GasBudgets,
  signal?: AbortSignal,
): Promise<void> {
  const { coinsMist, addressBalanceMist } = await client.balance(wallet, signal);
  // Measured gas is a fifth of this budget: it is enough for the Seal token too.
  if (coinsMist < stakeMist + budgets.stakeMist)
    throw balanceTooLow(
      { sender: wallet, spendMist: stakeMist },
      coinsMist,
      budgets.stakeMist,
      addressBalanceMist,
    );
}

function stakePurpose({ client, wallet }: Staker, nodeId: string): Purpose {
  const { clusterId } = client.deployment;
  return { kind: 'stake', wallet: wallet.address, clusterId, subject: nodeId };
}

function joinPurpose(
  { client, wallet }: Staker,
  { nodeId, holderKey }: Pick<JoinRequest, 'nodeId' | 'holderKey'>,
): Purpose {
  const { clusterId } = client.deployment;
  const subject = `${nodeId}/${Buffer.from(holderKey).toString('hex')}`;
  return { kind: 'join', wallet: wallet.address, clusterId, subject };
}

// === Minting ===

async function mintSealToken(
  staker: Staker,
  request: MintRequest,
  signal?: AbortSignal,
): Promise<ChainReceipt> {
  const { client, wallet, budgets, gasPriceMist, settleForMs } = staker;
  const gas = { maximumBudgetMist: budgets.mintMist, gasPriceMist };
  assertHolderKey(request.holderKey);
  return carryOut(
    staker,
    {
      purpose: mintPurpose(staker, request),
      // The endpoint may be a moment behind the one that executed the stake.
      found: () =>
        client.endpoints.withOne(
          () => ownToken(staker, request, signal),
          signal,
          Math.min(settleForMs, VISIBLE_AFTER_MS),
        ),
      request: () => mintRequest(wallet.address, client.deployment, request, gas),
    },
    signal,
  );
}

async function simulateSealToken(
  { client, wallet, budgets, gasPriceMist }: Staker,
  request: MintRequest,
  signal?: AbortSignal,
): Promise<SimulatedCost> {
  assertHolderKey(request.holderKey);
  const gas = { maximumBudgetMist: budgets.mintMist, gasPriceMist };
  return simulated(client, mintRequest(wallet.address, client.deployment, request, gas), signal);
}

/** The record's token if it is for this key already; throws when the record cannot get one. */
async function ownToken(
  staker: Staker,
  { recordId, holderKey }: MintRequest,
  signal?: AbortSignal,
): Promise<ChainReceipt | undefined> {
  const { client, wallet, outbox } = staker;
  const record = (await client.records([recordId], signal)).get(recordId);
  assertMintable(record, recordId, wallet.address);
  if (record.token === undefined) return undefined;
  const token = (await client.tokens([record.token], signal)).get(record.token);
  if (!token || !Buffer.from(token.holderKey).equals(holderKey))
    throw new ConfigurationError(
      'DAAS_TOKEN_EXISTS',
      `the stake record ${recordId} has the Seal token ${record.token}, made for another node key: use the machine that has the key, or rotate the token to this key (\`k3s-daas token rotate --holder-key-file\`) with the wallet ${wallet.address}`,
      { details: { recordId, tokenId: record.token } },
    );
  const receipt = outbox.receiptOf(mintPurpose(staker, { recordId, holderKey }));
  return receipt?.objectId === token.id
    ? receipt
    : { objectId: token.id, digest: await lastDigestOf(client, token.id, signal) };
}

function mintPurpose({ client, wallet }: Staker, { recordId, holderKey }: MintRequest): Purpose {
  const { clusterId } = client.deployment;
  const subject = `${recordId}/${Buffer.from(holderKey).toString('hex')}`;
  return { kind: 'mint', wallet: wallet.address, clusterId, subject };
}

function assertHolderKey(holderKey: Uint8Array): void {
  if (holderKey.length !== 32)
    throw new ConfigurationError(
      'DAAS_HOLDER_KEY_INVALID',
      `the node key has ${holderKey.length} bytes, an Ed25519 public key has 32`,
    );
}

function assertMintable(
  record: StakeRecord | undefined,
  recordId: string,
  wallet: string,
): asserts record is StakeRecord {
  assertOwn(record, recordId, wallet);
  if (record.status !== 'active')
    throw new ConfigurationError(
      'DAAS_STAKE_NOT_ACTIVE',
      `the stake record ${recordId} is ${record.status}: make a new stake`,
      { details: { recordId, status: record.status } },
    );
}
