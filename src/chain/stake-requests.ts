import type { ChainClient } from './chain-client.ts';
import type { GasCost } from './gas.ts';
import { k8sGateway, staking } from './generated/index.ts';
import type { ClusterActor } from './operation.ts';
import { prepareTransaction, type TransactionRequest } from './prepare-transaction.ts';

/** What is offered for gas; what is left out is found by simulation, or is the reference price. */
export interface GasOffer {
  readonly budgetMist?: bigint | undefined;
  readonly maximumBudgetMist?: bigint | undefined;
  readonly gasPriceMist?: bigint | undefined;
}

/** The contracts that a request calls. */
interface Contract {
  readonly packageId: string;
  readonly clusterId: string;
}

export interface StakeRequest {
  readonly nodeId: string;
  readonly stakeMist: bigint;
}
export interface MintRequest {
  readonly recordId: string;
  /** Ed25519 public key of the node, 32 bytes. */
  readonly holderKey: Uint8Array;
}

/** Stakes for a node. The call itself shares the record. */
export function stakeRequest(
  sender: string,
  { packageId, clusterId }: Contract,
  { nodeId, stakeMist }: StakeRequest,
  gas: GasOffer = {},
): TransactionRequest {
  return {
    sender,
    shared: [clusterId],
    spendMist: stakeMist,
    packageId,
    ...given(gas),
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
  { recordId, holderKey }: MintRequest,
  gas: GasOffer = {},
): TransactionRequest {
  return {
    sender,
    shared: [clusterId, recordId],
    spendMist: 0n,
    packageId,
    ...given(gas),
    build: (tx, objects) => {
      k8sGateway.createWorkerSealToken(tx, packageId, {
        cluster: objects.mutable(clusterId),
        record: objects.mutable(recordId),
        holderKey,
      });
    },
  };
}

type Offered = Pick<TransactionRequest, 'budgetMist' | 'maximumBudgetMist' | 'gasPriceMist'>;

function given({ budgetMist, maximumBudgetMist, gasPriceMist }: GasOffer): Offered {
  return {
    ...(budgetMist !== undefined && { budgetMist }),
    ...(maximumBudgetMist !== undefined && { maximumBudgetMist }),
    ...(gasPriceMist !== undefined && { gasPriceMist }),
  };
}

/** What a transaction would cost. */
export interface Preview {
  readonly cost: GasCost;
  /** The most gas it may take. */
  readonly budgetMist: bigint;
}

/** Simulates `StakeChain.stakeForNode`. It keeps no journal: use it to show the cost, not to stake. */
export function previewStake(
  { client, wallet, ...gas }: ClusterActor,
  request: StakeRequest,
  signal?: AbortSignal,
): Promise<Preview> {
  return preview(client, stakeRequest(wallet.address, client.deployment, request, gas), signal);
}

/** Simulates `StakeChain.createWorkerSealToken`; to show the cost, not to mint. */
export function previewMint(
  { client, wallet, ...gas }: ClusterActor,
  request: MintRequest,
  signal?: AbortSignal,
): Promise<Preview> {
  return preview(client, mintRequest(wallet.address, client.deployment, request, gas), signal);
}

async function preview(
  client: ChainClient,
  request: TransactionRequest,
  signal?: AbortSignal,
): Promise<Preview> {
  const { cost, budgetMist } = await client.endpoints.withOne(
    (endpoint) => prepareTransaction(endpoint, request, signal),
    signal,
  );
  return { cost, budgetMist };
}
