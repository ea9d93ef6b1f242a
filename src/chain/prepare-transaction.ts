import {
  Inputs,
  Transaction,
  type TransactionArgument,
  TransactionDataBuilder,
} from '@mysten/sui/transactions';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { ConfigurationError, DaasError } from '#base';
import {
  affordableBudget,
  type Coin,
  type CoinReference,
  choosePayment,
  gasTooLow,
  type Payment,
  readCoins,
  type Spending,
} from './coins.ts';
import { chainUnavailable, type Endpoint } from './endpoints/index.ts';
import { executed, failureKind, failureOf, INCLUDE } from './executed-transaction.ts';
import { executionError } from './execution-error.ts';
import { budgetFor, type GasCost, gasPriceFor } from './gas.ts';
import type { ObjectArgument } from './generated/index.ts';
import { type ReadObject, readEpoch, readObjects } from './object-reads.ts';
import type { Wallet } from './wallet.ts';

/** What a transaction does; gas, versions and expiry are found when it is prepared. */
export interface TransactionRequest {
  readonly sender: string;
  /** Shared objects it touches. */
  readonly shared: readonly string[];
  /** Objects of the sender that it takes, besides coins. */
  readonly owned?: readonly string[];
  /** What `build` takes as a coin of the sender's, at most. */
  readonly spendMist: bigint;
  /** Another wallet that pays the gas, and signs too; the sender when left out. */
  readonly gasOwner?: string | undefined;
  /** For how many epochs more than the current one it can be sent; none when left out. */
  readonly moreEpochs?: bigint | undefined;
  /** The most gas that may be paid; found by simulation when left out. */
  readonly budgetMist?: bigint;
  /** The limit of a budget that is found by simulation. */
  readonly maximumBudgetMist?: bigint;
  /** Price of a gas unit; the reference price when left out. */
  readonly gasPriceMist?: bigint;
  /** The package of the contracts, for the names of aborts. */
  readonly packageId?: string;
  /** Adds the commands. `mutable(id)` and `readonly(id)` make arguments of shared objects, `owned(id)` of the sender's. `coin(mist)` is of the spent. */
  readonly build: (tx: Transaction, objects: ObjectArguments) => void;
}
interface ObjectArguments {
  mutable(id: string): ObjectArgument;
  readonly(id: string): ObjectArgument;
  owned(id: string): ObjectArgument;
  coin(mist: bigint): TransactionArgument;
}

/** A transaction that only needs a signature. */
export interface PreparedTransaction {
  readonly bytes: Uint8Array;
  readonly digest: string;
  /** The last epoch in which it can be carried out. */
  readonly expirationEpoch: bigint;
  /** The coins it takes, at their versions: once one of them has changed, the transaction can never be executed. */
  readonly gas: readonly CoinReference[];
  /** The other objects of the sender that it takes; the same holds for them. */
  readonly owned: readonly CoinReference[];
  readonly budgetMist: bigint;
  readonly cost: GasCost;
}
/**
 * Builds and simulates, with facts of one endpoint. The transaction is valid in the current epoch only (and `moreEpochs`), so
 * that signed bytes that were never sent expire. Throws `DAAS_BALANCE_TOO_LOW` and the contract's named aborts before anything is
 * signed.
 */
export async function prepareTransaction(
  endpoint: Endpoint,
  request: TransactionRequest,
  signal?: AbortSignal,
): Promise<PreparedTransaction> {
  const { epoch, coins, ownCoins, objects } = await readFacts(endpoint, request, signal);
  const owned = new Map(
    (request.owned ?? []).map((id) => [id, ownedReference(id, objects.get(id), endpoint.url)]),
  );
  const versions = new Map(
    request.shared.map((id) => [id, sharedVersion(id, objects.get(id)?.initialSharedVersion, endpoint.url)]),
  );
  const gasPrice = gasPriceFor(request.gasPriceMist, epoch.gasPrice);
  const expirationEpoch = epoch.epoch + (request.moreEpochs ?? 0n);
  const spent = spentCoins(ownCoins, request);
  const build = (budgetMist: bigint, payment: Payment) =>
    buildBytes(request, { versions, owned, spent, payment, budgetMist, gasPrice, expirationEpoch });

  const trial: Trial = async (budgetMist, payment) =>
    simulateBytes(endpoint, await build(budgetMist, payment), request.packageId, signal);

  const spending = gasSpending(request);
  const { budgetMist, payment } =
    request.budgetMist === undefined
      ? await findOffer(coins, spending, gasPrice, trial)
      : { budgetMist: request.budgetMist, payment: choosePayment(coins, spending, request.budgetMist) };
  const bytes = await build(budgetMist, payment);
  return {
    bytes,
    digest: TransactionDataBuilder.getDigestFromBytes(bytes),
    expirationEpoch,
    gas: [...payment.gas, ...payment.merged],
    owned: [...owned.values(), ...spent],
    budgetMist,
    cost: await simulateBytes(endpoint, bytes, request.packageId, signal),
  };
}

async function readFacts(endpoint: Endpoint, request: TransactionRequest, signal?: AbortSignal) {
  const { sender, gasOwner = sender, shared, owned = [], spendMist } = request;
  const coinsOf = (owner: string) =>
    endpoint.call('the coins of the wallet', (client, ended) => readCoins(client, owner, ended), signal);
  const [epoch, coins, ownCoins, objects] = await Promise.all([
    endpoint.call('the epoch', readEpoch, signal),
    coinsOf(gasOwner),
    // The gas coin of another wallet is not the sender's to spend.
    gasOwner !== sender && spendMist > 0n ? coinsOf(sender) : [],
    endpoint.call(
      'the objects of the transaction',
      (client, ended) => readObjects(client, [...shared, ...owned], ended),
      signal,
    ),
  ]);
  return { epoch, coins, ownCoins, objects };
}

const isSponsored = ({ sender, gasOwner = sender }: TransactionRequest) => gasOwner !== sender;

/** The coins of the sender that are spent beside the gas of a sponsor. */
function spentCoins(coins: readonly Coin[], request: TransactionRequest): CoinReference[] {
  if (!isSponsored(request) || request.spendMist === 0n) return [];
  const { gas, merged } = choosePayment(coins, request, 0n);
  return [...gas, ...merged];
}

/** What the gas coins have to pay, beside the gas. */
function gasSpending(request: TransactionRequest): GasSpending {
  const { sender, gasOwner = sender, spendMist, maximumBudgetMist } = request;
  const offered = maximumBudgetMist === undefined ? {} : { maximumBudgetMist };
  return { sender: gasOwner, spendMist: isSponsored(request) ? 0n : spendMist, ...offered };
}

interface GasSpending extends Spending {
  readonly maximumBudgetMist?: bigint;
}

/** The cost of a transaction with this budget and these coins, by simulation. */
type Trial = (budgetMist: bigint, payment: Payment) => Promise<GasCost>;

/** The highest rebate for a coin that is merged away. */
const COIN_REBATE_MIST = 1_000_000n;

/**
 * The least safe budget, and as few coins as pay for it. A first trial with all coins finds the cost. If it merged coins
 * away, their rebates lowered the cost, and a second trial with fewer coins finds the real one.
 */
async function findOffer(
  coins: readonly Coin[],
  request: GasSpending,
  gasPrice: bigint,
  trial: Trial,
): Promise<{ readonly budgetMist: bigint; readonly payment: Payment }> {
  const capMist = request.maximumBudgetMist;
  const capped = (mist: bigint) => (capMist !== undefined && capMist < mist ? capMist : mist);
  const mostMist = affordableBudget(coins, request);
  const all = choosePayment(coins, request, mostMist);
  const cost = await trial(mostMist, all).catch((error: unknown) => {
    throw isInsufficientGas(error) ? gasTooLow(coins, request, mostMist) : error;
  });
  const leastMist = capped(budgetFor(cost, gasPrice));
  const merged = BigInt(sizeOf(all) - 1);
  if (merged === 0n) return { budgetMist: leastMist, payment: all };
  const ampleMist = leastMist + merged * COIN_REBATE_MIST;
  // All coins are needed.
  if (ampleMist > mostMist) return { budgetMist: leastMist, payment: all };
  const payment = choosePayment(coins, request, ampleMist);
  const foundMist = budgetFor(await trial(ampleMist, payment), gasPrice);
  return { budgetMist: capped(foundMist < ampleMist ? foundMist : ampleMist), payment };
}

const sizeOf = ({ gas, merged }: Payment) => gas.length + merged.length;

const isInsufficientGas = (error: unknown) =>
  error instanceof DaasError && error.details.kind === 'InsufficientGas';

function sharedVersion(id: string, version: bigint | undefined, url: string): bigint {
  if (version !== undefined) return version;
  throw new ConfigurationError(
    'DAAS_OBJECT_UNKNOWN',
    `${url} knows no shared object ${id}: check the id and the network`,
    { details: { id, url } },
  );
}

/** An endpoint without the object is behind, or another transaction has taken it: the next attempt reads anew. */
function ownedReference(id: string, object: ReadObject | undefined, url: string): CoinReference {
  if (!object) throw chainUnavailable(`object ${id}`, url, new Error('the node does not have it'));
  return { objectId: object.id, version: object.version.toString(), digest: object.digest };
}

interface Fixed {
  readonly versions: ReadonlyMap<string, bigint>;
  readonly owned: ReadonlyMap<string, CoinReference>;
  /** Coins of the sender that are spent; none when the gas coin is. */
  readonly spent: readonly CoinReference[];
  readonly payment: Payment;
  readonly budgetMist: bigint;
  readonly gasPrice: bigint;
  readonly expirationEpoch: bigint;
}

/** Of one command; Sui's limit is 512. */
const MAX_ARGUMENTS = 500;

/** The same request with the same facts gives the same bytes. Asks no node. */
export function buildBytes(request: TransactionRequest, fixed: Fixed): Promise<Uint8Array> {
  const tx = new Transaction();
  tx.setSender(request.sender);
  if (request.gasOwner !== undefined) tx.setGasOwner(request.gasOwner);
  tx.setGasPrice(fixed.gasPrice);
  tx.setGasBudget(fixed.budgetMist);
  tx.setGasPayment(fixed.payment.gas.map((coin) => ({ ...coin })));
  tx.setExpiration({ Epoch: fixed.expirationEpoch.toString() });
  const argument = (mutable: boolean) => (id: string) => {
    const initialSharedVersion = fixed.versions.get(id);
    if (initialSharedVersion === undefined) throw new Error(`${id} is not among the shared objects`);
    return Inputs.SharedObjectRef({
      objectId: normalizeSuiAddress(id),
      initialSharedVersion: initialSharedVersion.toString(),
      mutable,
    });
  };
  mergeInto(tx, tx.gas, fixed.payment.merged);
  const [first, ...others] = fixed.spent.map((reference) => tx.objectRef({ ...reference }));
  if (first) mergeObjects(tx, first, others);
  const coin = (mist: bigint) => tx.splitCoins(first ?? tx.gas, [mist])[0];
  const owned = (id: string) => {
    const reference = fixed.owned.get(id);
    if (!reference) throw new Error(`${id} is not among the objects of the sender`);
    return Inputs.ObjectRef({ ...reference });
  };
  request.build(tx, { mutable: argument(true), readonly: argument(false), owned, coin });
  return tx.build();
}

function mergeInto(tx: Transaction, target: TransactionArgument, coins: readonly CoinReference[]): void {
  mergeObjects(
    tx,
    target,
    coins.map((reference) => tx.objectRef({ ...reference })),
  );
}

function mergeObjects(tx: Transaction, target: TransactionArgument, coins: TransactionArgument[]): void {
  for (let at = 0; at < coins.length; at += MAX_ARGUMENTS)
    tx.mergeCoins(target, coins.slice(at, at + MAX_ARGUMENTS));
}

/** What bytes would cost. Throws what they would fail with, by the contract's name. */
export async function simulateBytes(
  endpoint: Endpoint,
  bytes: Uint8Array,
  packageId: string | undefined,
  signal?: AbortSignal,
): Promise<GasCost> {
  const result = await endpoint.call(
    'a simulation',
    (client, ended) =>
      client.core.simulateTransaction({ transaction: bytes, include: INCLUDE, signal: ended }),
    signal,
  );
  const transaction = executed(result);
  if (!transaction.success)
    throw executionError(failureOf(transaction.error, packageId), {
      stage: 'simulation',
      kind: failureKind((result.Transaction ?? result.FailedTransaction).effects.bcs),
    });
  return transaction.cost;
}

/** The bytes that are sent, and what it takes to find out their outcome. */
export interface SignedTransaction {
  readonly bytes: Uint8Array;
  readonly signature: string;
  /** Of the wallet that pays the gas, when it is another one. */
  readonly sponsorSignature?: string | undefined;
  readonly digest: string;
  readonly expirationEpoch: bigint;
  readonly gas: readonly ObjectVersion[];
  readonly owned?: readonly ObjectVersion[];
}
export interface ObjectVersion {
  readonly objectId: string;
  readonly version: string;
}

export async function signTransaction(
  wallet: Wallet,
  prepared: PreparedTransaction,
): Promise<SignedTransaction> {
  const { bytes, digest, expirationEpoch, gas, owned } = prepared;
  return { bytes, digest, expirationEpoch, gas, owned, signature: await wallet.signTransaction(bytes) };
}
