import type { ChainClient } from './chain-client.ts';
import { deliver } from './deliver-transaction.ts';
import { ChainError, type Endpoints } from './endpoints/index.ts';
import { type Executed, failureOf } from './executed-transaction.ts';
import { executionError } from './execution-error.ts';
import type { GasCost } from './gas.ts';
import { prepareTransaction, signTransaction, type TransactionRequest } from './prepare-transaction.ts';
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
  /** Signs, sends, and waits until the outcome is known. */
  execute(signal?: AbortSignal): Promise<Result>;
}

interface Signing {
  readonly wallet: Wallet;
  /** The most gas; found by simulation when left out. */
  readonly budgetMist?: bigint;
  /** Price of a gas unit; a higher one is executed sooner. The reference price when left out. */
  readonly gasPriceMist?: bigint;
  /** How long to wait for the outcome of a transaction; default 60 s. */
  readonly settleForMs?: number;
}
/** A wallet, and the full nodes it sends through. */
export interface Actor extends Signing {
  readonly endpoints: Endpoints;
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
interface OperationCall<Result> extends Pick<TransactionRequest, 'build'> {
  /** Shared objects it touches. */
  readonly shared?: readonly string[];
  /** For the names of aborts: the package of the contracts. */
  readonly packageId?: string;
  readonly resultOf: (transaction: Executed) => Result;
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

async function planCall<Result>(
  actor: Actor | ClusterActor,
  { shared = [], packageId, build, resultOf }: OperationCall<Result>,
  signal?: AbortSignal,
): Promise<Plan<Result>> {
  const endpoints = 'client' in actor ? actor.client.endpoints : actor.endpoints;
  const { wallet, budgetMist, gasPriceMist, settleForMs = DEFAULT_SETTLE_FOR_MS } = actor;
  const request: TransactionRequest = {
    sender: wallet.address,
    shared,
    spendMist: 0n,
    build,
    ...(packageId !== undefined && { packageId }),
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
    execute: async (ended) => {
      const signed = await signTransaction(wallet, prepared);
      const delivery = await deliver(endpoints, signed, { retryForMs: settleForMs, signal: ended });
      if (delivery.kind === 'dead') throw overtaken(signed.digest, delivery.reason);
      const { transaction } = delivery;
      if (!transaction.success)
        throw executionError(failureOf(transaction.error, packageId), { digest: transaction.digest });
      return resultOf(transaction);
    },
  };
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
