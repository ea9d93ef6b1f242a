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
export interface Contract {
  readonly packageId: string;
  readonly clusterId: string;
}

export interface StakeRequest {
  readonly nodeId: string;
  readonly stakeMist: bigint;
  /** The terms that were judged: the contracts refuse the stake when the cluster has others. Default: the newest. */
  readonly termsVersion?: bigint | undefined;
}
export interface JoinRequest extends StakeRequest {
  /** Ed25519 public key of the node, 32 bytes. */
  readonly holderKey: Uint8Array;
}
export interface MintRequest {
  readonly recordId: string;
  /** Ed25519 public key of the node, 32 bytes. */
  readonly holderKey: Uint8Array;
}

/** A request that names the version of the terms. */
export type UnderTerms<Request> = Request & { readonly termsVersion: bigint };

/** Names the newest terms when the request names none. */
export async function underTerms<Request extends { readonly termsVersion?: bigint | undefined }>(
  client: ChainClient,
  request: Request,
  signal?: AbortSignal,
): Promise<UnderTerms<Request>> {
  const termsVersion = request.termsVersion ?? (await client.clusterState(signal)).state.termsVersion;
  return { ...request, termsVersion };
}

/** Stakes for a node, mints its Seal token when there is a node key, and shares the record. */
export function stakeRequest(
  sender: string,
  { packageId, clusterId }: Contract,
  { nodeId, stakeMist, termsVersion, holderKey }: UnderTerms<StakeRequest & Partial<JoinRequest>>,
  gas: GasOffer = {},
): TransactionRequest {
  return {
    sender,
    shared: [clusterId],
    spendMist: stakeMist,
    packageId,
    ...given(gas),
    build: (tx, objects) => {
      const coin = objects.coin(stakeMist);
      const cluster = objects.mutable(clusterId);
      const record = staking.stakeForNode(tx, packageId, { cluster, coin, nodeId, termsVersion });
      if (holderKey) k8sGateway.createWorkerSealToken(tx, packageId, { cluster, record, holderKey });
      staking.share(tx, packageId, { record });
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

export function given({ budgetMist, maximumBudgetMist, gasPriceMist }: GasOffer): Offered {
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

/** Simulates `stakeForNode`, or `join` when there is a node key. It keeps no journal: use it to show the cost. */
export async function previewStake(
  { client, wallet, ...gas }: ClusterActor,
  request: StakeRequest & Partial<JoinRequest>,
  signal?: AbortSignal,
): Promise<Preview> {
  const whole = await underTerms(client, request, signal);
  return preview(client, stakeRequest(wallet.address, client.deployment, whole, gas), signal);
}

/** Simulates a request. */
export async function preview(
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
