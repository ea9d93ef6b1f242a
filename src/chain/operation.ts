import type { ChainClient } from './chain-client.ts';
import type { ClusterAct } from './cluster-act.ts';
import { deliver } from './deliver-transaction.ts';
import { ChainError, type Endpoints } from './endpoints/index.ts';
import { type Executed, failureOf } from './executed-transaction.ts';
import { executionError } from './execution-error.ts';
import type { FoundingAct } from './founding-act.ts';
import type { GasCost } from './gas.ts';
import {
  type PreparedTransaction,
  prepareTransaction,
  type SignedTransaction,
  signTransaction,
  type TransactionRequest,
} from './prepare-transaction.ts';
import type { Contract } from './stake-requests.ts';
import type { Wallet } from './wallet.ts';

/**
 * A transaction that is ready to be signed: its effect and cost are known, and nothing is sent yet. Planning simulates the
 * transaction, so that the contract's refusals are reported by name and cost nothing.
 */
export interface Plan<Result> {
  readonly digest: string;
  readonly cost: GasCost;
  /** The most gas it may take. */
  readonly budgetMist: bigint;
  /** For a file that other wallets sign; undefined for what no file can say. */
  readonly draft: Draft | undefined;
  /** Signs, sends, and waits until the outcome is known. */
  execute(signal?: AbortSignal): Promise<Result>;
}

/** A transaction that other wallets can sign, with the act that its bytes do. */
export interface Draft {
  readonly deployment: Where;
  readonly sender: string;
  readonly act: ClusterAct | FoundingAct;
  readonly prepared: PreparedTransaction;
}

/** What an act is done on: a cluster is there after `cluster create` alone, and a package after `contracts publish`. */
export interface Where {
  readonly chainId: string;
  readonly packageId?: string | undefined;
  readonly clusterId?: string | undefined;
}

interface Signing {
  readonly wallet: Wallet;
  /** The most gas; found by simulation when left out. */
  readonly budgetMist?: bigint;
  /** Price of a gas unit; a higher one is executed sooner. The reference price when left out. */
  readonly gasPriceMist?: bigint;
  /** Another wallet that pays the gas, and signs too. */
  readonly gasOwner?: string | undefined;
  /** For how many epochs more than the current one it can be sent; none when left out. */
  readonly moreEpochs?: bigint | undefined;
  /** How long to wait for the outcome of a transaction; default 60 s. */
  readonly settleForMs?: number;
}
/** A wallet, and the full nodes it sends through. */
export interface Actor extends Signing {
  readonly endpoints: Endpoints;
  /** For a file that other wallets sign. */
  readonly chainId?: string;
}
/** A wallet that acts on one cluster. */
export interface ClusterActor extends Signing {
  readonly client: ChainClient;
}

/** One thing that a wallet can do on chain. */
export interface Operation<By extends Actor | ClusterActor, Input, Result> {
  /** Simulates it. Throws what the contract would refuse with, before anything is signed. */
  plan(actor: By, input: Input, signal?: AbortSignal): Promise<Plan<Result>>;
  /** Plans and executes, for programs that do not ask first. */
  execute(actor: By, input: Input, signal?: AbortSignal): Promise<Result>;
}

/** What an operation is made of: the calls it adds to a transaction, and how its result is read from what was executed. */
export interface OperationCall<Result> extends Pick<TransactionRequest, 'build'> {
  /** Shared objects it touches. */
  readonly shared?: readonly string[];
  /** For the names of aborts: the package of the contracts. */
  readonly packageId?: string;
  readonly resultOf: (transaction: Executed) => Result;
  /** What a file for other wallets says of it. */
  readonly act?: ClusterAct | FoundingAct;
}

const DEFAULT_SETTLE_FOR_MS = 60_000;

/** Makes an operation from the description of its one transaction; `describe` may read the chain first. */
export function operation<By extends Actor | ClusterActor, Input, Result>(
  describe: (
    actor: By,
    input: Input,
    signal?: AbortSignal,
  ) => OperationCall<Result> | Promise<OperationCall<Result>>,
): Operation<By, Input, Result> {
  const plan = async (actor: By, input: Input, signal?: AbortSignal) =>
    planCall(actor, await describe(actor, input, signal), signal);
  return {
    plan,
    execute: async (actor, input, signal) => (await plan(actor, input, signal)).execute(signal),
  };
}

/** An operation on a cluster whose calls follow from the contract and its input alone. */
export interface ClusterOperation<Input, Result> extends Operation<ClusterActor, Input, Result> {
  callOf(contract: Contract, input: Input): OperationCall<Result>;
}

/** `actOf` names what a file for other wallets says; from that the same calls are built again. */
export function clusterOperation<Input, Result>(
  actOf: (input: Input) => ClusterAct,
  callOf: (contract: Contract, input: Input) => OperationCall<Result>,
): ClusterOperation<Input, Result> {
  return {
    callOf,
    ...operation(({ client }: ClusterActor, input: Input) => ({
      ...callOf(client.deployment, input),
      act: actOf(input),
    })),
  };
}

/** The request of a call, without what is offered for gas. */
export function requestOfCall(
  sender: string,
  { shared = [], packageId, build }: Omit<OperationCall<unknown>, 'resultOf'>,
): TransactionRequest {
  return { sender, shared, spendMist: 0n, build, ...(packageId !== undefined && { packageId }) };
}

async function planCall<Result>(
  actor: Actor | ClusterActor,
  call: OperationCall<Result>,
  signal?: AbortSignal,
): Promise<Plan<Result>> {
  const endpoints = 'client' in actor ? actor.client.endpoints : actor.endpoints;
  const { wallet, budgetMist, gasPriceMist, gasOwner, moreEpochs, settleForMs } = actor;
  const request: TransactionRequest = {
    ...requestOfCall(wallet.address, call),
    gasOwner,
    moreEpochs,
    ...(budgetMist !== undefined && { budgetMist }),
    ...(gasPriceMist !== undefined && { gasPriceMist }),
  };
  const prepared = await endpoints.withOne(
    (endpoint) => prepareTransaction(endpoint, request, signal),
    signal,
  );
  return {
    digest: prepared.digest,
    cost: prepared.cost,
    budgetMist: prepared.budgetMist,
    draft: draftOf(actor, call, prepared),
    execute: async (ended) =>
      sendCall(endpoints, await signTransaction(wallet, prepared), { call, settleForMs }, ended),
  };
}

function draftOf(
  actor: Actor | ClusterActor,
  { act, packageId }: Pick<OperationCall<unknown>, 'act' | 'packageId'>,
  prepared: PreparedTransaction,
): Draft | undefined {
  const deployment = 'client' in actor ? actor.client.deployment : whereOf(actor, packageId);
  return act && deployment && { act, prepared, deployment, sender: actor.wallet.address };
}

function whereOf({ chainId }: Actor, packageId: string | undefined): Where | undefined {
  return chainId === undefined ? undefined : { chainId, packageId };
}

/** Sends a signed transaction of a call, and waits until its outcome is known. */
export async function sendCall<Result>(
  endpoints: Endpoints,
  signed: SignedTransaction,
  {
    call: { packageId, resultOf },
    settleForMs = DEFAULT_SETTLE_FOR_MS,
  }: {
    readonly call: Pick<OperationCall<Result>, 'packageId' | 'resultOf'>;
    readonly settleForMs?: number | undefined;
  },
  signal?: AbortSignal,
): Promise<Result> {
  const delivery = await deliver(endpoints, signed, { retryForMs: settleForMs, signal });
  if (delivery.kind === 'dead') throw overtaken(signed.digest, delivery.reason);
  const { transaction } = delivery;
  if (!transaction.success)
    throw executionError(failureOf(transaction.error, packageId), { digest: transaction.digest });
  return resultOf(transaction);
}

export function overtaken(digest: string, reason: string): ChainError {
  return new ChainError(
    'DAAS_TRANSACTION_OVERTAKEN',
    `nothing was done, the transaction ${digest} can no longer be executed: ${reason}. Run the command again`,
    { isRetryable: true, details: { digest, reason } },
  );
}

/** The result of an operation that is done when it has landed. */
export const digestOf = ({ digest }: Executed): { readonly digest: string } => ({ digest });
