import { ConfigurationError, type Journal, type Log } from '#base';
import { isNodeId, type StakeRecord } from '#domain';
import type { ChainReceipt, SimulatedCost, StakeChain } from '#plugin';
import { formatSui } from './amounts.ts';
import { type ChainClient, readObjects } from './chain-client.ts';
import { balanceTooLow } from './coins.ts';
import { ChainError } from './errors.ts';
import { parametersAt, permissionsOf } from './facts.ts';
import { k8sGateway, staking } from './generated/index.ts';
import { openLedger, type Purpose, type Settled } from './ledger.ts';
import {
  prepareTransaction,
  type SignedTransaction,
  signTransaction,
  type TransactionRequest,
} from './transactions.ts';
import type { Wallet } from './wallet.ts';

/** The most gas a transaction may pay, MIST; what is not used stays in the coin. */
export interface GasBudgets {
  readonly stakeMist: bigint;
  readonly mintMist: bigint;
}
/** About five times what was measured. */
export const DEFAULT_GAS_BUDGETS: GasBudgets = { stakeMist: 50_000_000n, mintMist: 50_000_000n };

export interface StakeChainOptions {
  readonly client: ChainClient;
  readonly wallet: Wallet;
  /** Signed transactions are written here before they are sent; one wallet uses one journal. */
  readonly journal: Journal;
  readonly log: Log;
  readonly gasBudgets?: Partial<GasBudgets>;
  /** Offered for a unit of gas; the reference price when left out. */
  readonly gasPriceMist?: bigint | undefined;
  /** How long to find out what became of a transaction before `DAAS_CHAIN_UNAVAILABLE`; default 60 s. */
  readonly settleForMs?: number;
}

const DEFAULT_SETTLE_FOR_MS = 60_000;
/** What was carried out shows at every honest endpoint within this time. */
const VISIBLE_AFTER_MS = 10_000;
/** A transaction built anew this often for one call found its gas coin used by somebody else each time. */
const MAX_ATTEMPTS = 5;
/** `nodes:write` is what a worker's token needs. */
const WORKER_PERMISSION = 'nodes:write';

/** Reads and writes of one wallet's stake. Calls that write run one after the other. */
export function createStakeChain(options: StakeChainOptions): StakeChain {
  const { client, wallet } = options;
  const { packageId, clusterId, chainId } = client.deployment;
  const budgets = { ...DEFAULT_GAS_BUDGETS, ...options.gasBudgets };
  const offer = (maximumBudgetMist: bigint): GasOffer => ({
    maximumBudgetMist,
    gasPriceMist: options.gasPriceMist,
  });
  const settleForMs = options.settleForMs ?? DEFAULT_SETTLE_FOR_MS;
  const ledger = openLedger({
    endpoints: client.endpoints,
    journal: options.journal,
    log: options.log,
    chainId,
    packageId,
    retryForMs: settleForMs,
  });
  const exclusive = oneAfterTheOther();
  const stakePurpose = (nodeId: string): Purpose => ({
    kind: 'stake',
    wallet: wallet.address,
    clusterId,
    subject: nodeId,
  });
  const mintPurpose = (recordId: string, holderKey: Uint8Array): Purpose => ({
    kind: 'mint',
    wallet: wallet.address,
    clusterId,
    subject: `${recordId}/${Buffer.from(holderKey).toString('hex')}`,
  });

  /**
   * Settles what is pending, then builds and sends until one transaction for the purpose has landed or `found` says that
   * there is nothing to do. `found` is asked before each is built: the chain's own word that the last one did not happen.
   */
  async function carryOut(
    purpose: Purpose,
    found: () => Promise<ChainReceipt | undefined>,
    request: () => TransactionRequest,
    signal?: AbortSignal,
  ): Promise<ChainReceipt> {
    const earlier = await settleEarlier(signal);
    if (earlier?.kind === 'done' && isSame(earlier.purpose, purpose)) return earlier.receipt;
    let last: Settled | undefined;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const receipt = await found();
      if (receipt) return receipt;
      last = await ledger.send(purpose, await prepareAndSign(request(), signal), signal);
      if (last.kind === 'done') return last.receipt;
    }
    throw new ChainError(
      'DAAS_WALLET_BUSY',
      `the wallet ${wallet.address} is used by another program at the same time (${last?.kind === 'dead' ? last.reason : 'nothing landed'}): stop it, or give this node a wallet of its own`,
      { isRetryable: true, details: { wallet: wallet.address } },
    );
  }

  /** A transaction that landed and failed cost gas and did nothing: it does not stand in the way of the next. */
  async function settleEarlier(signal?: AbortSignal): Promise<Settled | undefined> {
    try {
      return await ledger.settle(signal);
    } catch (error) {
      const isFailure =
        error instanceof ChainError && !error.isRetryable && error.details.digest !== undefined;
      if (!isFailure) throw error;
      options.log.warn('The transaction of an earlier life failed on chain', {
        code: error.code,
        digest: String(error.details.digest),
        detail: error.message,
      });
      return undefined;
    }
  }

  function prepareAndSign(request: TransactionRequest, signal?: AbortSignal): Promise<SignedTransaction> {
    return client.endpoints.withOne(
      async (endpoint) => signTransaction(wallet, await prepareTransaction(endpoint, request, signal)),
      signal,
    );
  }

  /** The live record of a node id, if it is ours; throws `DAAS_NODE_ID_TAKEN` if it is somebody else's. */
  async function ownRecord(nodeId: string, signal?: AbortSignal): Promise<ChainReceipt | undefined> {
    const id = await client.liveRecordOf(nodeId, signal);
    if (id === undefined) return undefined;
    const record = (await client.records([id], signal)).get(id);
    if (!record)
      throw new ChainError(
        'DAAS_CHAIN_UNAVAILABLE',
        `the chain names ${id} as the record of node '${nodeId}' and the endpoint does not have it yet`,
        { isRetryable: true },
      );
    if (record.staker !== wallet.address)
      throw new ConfigurationError(
        'DAAS_NODE_ID_TAKEN',
        `the node id '${nodeId}' belongs to ${record.staker} (record ${id}): choose another node id, or use that wallet`,
        { details: { nodeId, recordId: id, staker: record.staker, wallet: wallet.address } },
      );
    const receipt = ledger.receiptOf(stakePurpose(nodeId));
    return receipt?.objectId === id ? receipt : { objectId: id, digest: await lastDigestOf(id, signal) };
  }

  /** The transaction that last touched an object: all that is known of one that another journal made. */
  async function lastDigestOf(id: string, signal?: AbortSignal): Promise<string> {
    const read = await client.endpoints.read(
      `object ${id}`,
      (sui, ended) => readObjects(sui, [id], ended),
      signal,
    );
    return read.get(id)?.previousTransaction ?? '';
  }

  /** The record's token if it is for this key already; throws for what cannot get one. */
  async function ownToken(
    recordId: string,
    holderKey: Uint8Array,
    signal?: AbortSignal,
  ): Promise<ChainReceipt | undefined> {
    const record = (await client.records([recordId], signal)).get(recordId);
    assertMintable(record, recordId, wallet.address);
    if (record.token === undefined) return undefined;
    const token = (await client.tokens([record.token], signal)).get(record.token);
    if (!token || !Buffer.from(token.holderKey).equals(holderKey))
      throw new ConfigurationError(
        'DAAS_TOKEN_EXISTS',
        `the stake record ${recordId} has the Seal token ${record.token}, made for another node key: use the machine that has the key, or rotate the token to this key (k8s_gateway::rotate_seal_token, docs/contracts.md) with the wallet ${wallet.address}`,
        { details: { recordId, tokenId: record.token } },
      );
    const receipt = ledger.receiptOf(mintPurpose(recordId, holderKey));
    return receipt?.objectId === token.id
      ? receipt
      : { objectId: token.id, digest: await lastDigestOf(token.id, signal) };
  }

  return {
    cluster: (signal) => client.cluster(signal),
    records: (ids, signal) => client.records(ids, signal),
    tokens: (ids, signal) => client.tokens(ids, signal),
    liveRecordOf: (nodeId, signal) => client.liveRecordOf(nodeId, signal),
    point: (signal) => client.point(signal),
    wallet: wallet.address,
    clusterId,
    stakeForNode: ({ nodeId, stakeMist }, signal) =>
      exclusive(async () => {
        assertNodeId(nodeId);
        return carryOut(
          stakePurpose(nodeId),
          async () => {
            const existing = await ownRecord(nodeId, signal);
            if (!existing)
              await assertCanStake(client, wallet.address, { nodeId, stakeMist }, budgets, signal);
            return existing;
          },
          () =>
            stakeRequest(wallet.address, client.deployment, { nodeId, stakeMist }, offer(budgets.stakeMist)),
          signal,
        );
      }),
    createWorkerSealToken: ({ recordId, holderKey }, signal) =>
      exclusive(async () => {
        assertHolderKey(holderKey);
        return carryOut(
          mintPurpose(recordId, holderKey),
          // The endpoint may be a moment behind the one that carried the stake out.
          () =>
            client.endpoints.withOne(
              () => ownToken(recordId, holderKey, signal),
              signal,
              Math.min(settleForMs, VISIBLE_AFTER_MS),
            ),
          () =>
            mintRequest(wallet.address, client.deployment, { recordId, holderKey }, offer(budgets.mintMist)),
          signal,
        );
      }),
    async simulateStake({ nodeId, stakeMist }, signal) {
      assertNodeId(nodeId);
      await assertCanStake(client, wallet.address, { nodeId, stakeMist }, budgets, signal);
      const gas = offer(budgets.stakeMist);
      return simulate(
        client,
        stakeRequest(wallet.address, client.deployment, { nodeId, stakeMist }, gas),
        signal,
      );
    },
    async simulateSealToken({ recordId, holderKey }, signal) {
      assertHolderKey(holderKey);
      const gas = offer(budgets.mintMist);
      return simulate(
        client,
        mintRequest(wallet.address, client.deployment, { recordId, holderKey }, gas),
        signal,
      );
    },
    settlePending: (signal) =>
      exclusive(async () => {
        const settled = await settleEarlier(signal);
        return settled?.kind === 'done' ? settled.receipt : undefined;
      }),
  };
}

async function simulate(
  client: ChainClient,
  request: TransactionRequest,
  signal?: AbortSignal,
): Promise<SimulatedCost> {
  const { budgetMist } = await client.endpoints.withOne(
    (endpoint) => prepareTransaction(endpoint, request, signal),
    signal,
  );
  return { gasBudgetMist: budgetMist };
}

/** Throws `DAAS_STAKE_TOO_LOW` and `DAAS_BALANCE_TOO_LOW`, before anything is built. */
async function assertCanStake(
  client: ChainClient,
  wallet: string,
  { nodeId, stakeMist }: { readonly nodeId: string; readonly stakeMist: bigint },
  budgets: GasBudgets,
  signal?: AbortSignal,
): Promise<void> {
  const [{ state, nowMs }, balance] = await Promise.all([
    client.clusterState(signal),
    client.balance(wallet, signal),
  ]);
  assertStakeSuffices(nodeId, stakeMist, parametersAt(state, nowMs));
  // In practice this pays for the Seal token as well: no stake is left without one for want of gas.
  if (balance.coinsMist < stakeMist + budgets.stakeMist)
    throw balanceTooLow(
      { sender: wallet, spendMist: stakeMist },
      balance.coinsMist,
      budgets.stakeMist,
      balance.addressBalanceMist,
    );
}

/** What is offered for gas; what is left out is found by simulation, or is the reference price. */
interface GasOffer {
  readonly budgetMist?: bigint | undefined;
  readonly maximumBudgetMist?: bigint | undefined;
  readonly gasPriceMist?: bigint | undefined;
}

type Offered = Pick<TransactionRequest, 'budgetMist' | 'maximumBudgetMist' | 'gasPriceMist'>;

function offerOf({ budgetMist, maximumBudgetMist, gasPriceMist }: GasOffer): Offered {
  return {
    ...(budgetMist !== undefined && { budgetMist }),
    ...(maximumBudgetMist !== undefined && { maximumBudgetMist }),
    ...(gasPriceMist !== undefined && { gasPriceMist }),
  };
}

interface Contract {
  readonly packageId: string;
  readonly clusterId: string;
}

/** Stakes for a node; the record is shared by the call itself. */
export function stakeRequest(
  sender: string,
  { packageId, clusterId }: Contract,
  { nodeId, stakeMist }: { readonly nodeId: string; readonly stakeMist: bigint },
  gas: GasOffer = {},
): TransactionRequest {
  return {
    sender,
    shared: [clusterId],
    spendMist: stakeMist,
    packageId,
    ...offerOf(gas),
    build: (tx, objects) => {
      const [coin] = tx.splitCoins(tx.gas, [stakeMist]);
      staking.stakeForNode(tx, packageId, { cluster: objects.mutable(clusterId), coin, nodeId });
    },
  };
}

/** Mints the Seal token of a node's record. */
export function mintRequest(
  sender: string,
  { packageId, clusterId }: Contract,
  { recordId, holderKey }: { readonly recordId: string; readonly holderKey: Uint8Array },
  gas: GasOffer = {},
): TransactionRequest {
  return {
    sender,
    shared: [clusterId, recordId],
    spendMist: 0n,
    packageId,
    ...offerOf(gas),
    build: (tx, objects) => {
      k8sGateway.createWorkerSealToken(tx, packageId, {
        cluster: objects.mutable(clusterId),
        record: objects.mutable(recordId),
        holderKey,
      });
    },
  };
}

function assertNodeId(nodeId: string): void {
  if (!isNodeId(nodeId))
    throw new ConfigurationError(
      'DAAS_NODE_ID_INVALID',
      `'${nodeId}' is not a node id. Use one lower-case DNS label: 1 to 63 characters of a-z, 0-9 and hyphen, no hyphen at either end`,
      { details: { nodeId } },
    );
}

function assertHolderKey(holderKey: Uint8Array): void {
  if (holderKey.length !== 32)
    throw new ConfigurationError(
      'DAAS_HOLDER_KEY_INVALID',
      `the node key has ${holderKey.length} bytes, an Ed25519 public key has 32`,
    );
}

function assertStakeSuffices(
  nodeId: string,
  stakeMist: bigint,
  parameters: Parameters<typeof permissionsOf>[0] & { readonly minimumStakeMist: bigint },
): void {
  const details = { nodeId, stakeMist, minimumMist: parameters.minimumStakeMist };
  if (stakeMist < parameters.minimumStakeMist)
    throw new ConfigurationError(
      'DAAS_STAKE_TOO_LOW',
      `a stake of ${formatSui(stakeMist)} is below the minimum of the cluster, ${formatSui(parameters.minimumStakeMist)}: stake at least that`,
      { details },
    );
  const permissions = permissionsOf(parameters, stakeMist);
  if (!permissions.includes(WORKER_PERMISSION))
    throw new ConfigurationError(
      'DAAS_STAKE_TOO_LOW',
      `a stake of ${formatSui(stakeMist)} does not reach the tier that grants ${WORKER_PERMISSION}: stake more`,
      { details },
    );
}

function assertMintable(
  record: StakeRecord | undefined,
  recordId: string,
  wallet: string,
): asserts record is StakeRecord {
  const details = { recordId };
  if (!record)
    throw new ChainError(
      'DAAS_STAKE_UNKNOWN',
      `the cluster has no stake record ${recordId}: check the id; one that was made just now may take a moment to show`,
      { details, isRetryable: true },
    );
  if (record.staker !== wallet)
    throw new ConfigurationError(
      'DAAS_STAKE_NOT_OURS',
      `the stake record ${recordId} belongs to ${record.staker}, not to the wallet ${wallet}: use the wallet that made the stake`,
      { details: { ...details, staker: record.staker, wallet } },
    );
  if (record.status !== 'active')
    throw new ConfigurationError(
      'DAAS_STAKE_NOT_ACTIVE',
      `the stake record ${recordId} is ${record.status}: make a new stake`,
      { details: { ...details, status: record.status } },
    );
}

function isSame(a: Purpose, b: Purpose): boolean {
  return a.kind === b.kind && a.wallet === b.wallet && a.clusterId === b.clusterId && a.subject === b.subject;
}

/** Runs each body after the one before it has ended, well or not. */
function oneAfterTheOther(): <T>(body: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (body) => {
    const next = last.then(body, body);
    last = next.catch(() => undefined);
    return next;
  };
}
