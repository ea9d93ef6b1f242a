import { bcs } from '@mysten/sui/bcs';
import type { SuiClientTypes } from '@mysten/sui/client';
import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { Inputs, Transaction, TransactionDataBuilder } from '@mysten/sui/transactions';
import { normalizeStructTag, normalizeSuiAddress } from '@mysten/sui/utils';
import { ConfigurationError, DaasError } from '#base';
import { readEpoch, readObjects } from './chain-client.ts';
import {
  affordableBudget,
  type Coin,
  type CoinReference,
  choosePayment,
  gasTooLow,
  type Payment,
  readCoins,
} from './coins.ts';
import type { Endpoint, Endpoints } from './endpoint.ts';
import { ChainError, chainUnavailable, type ExecutionFailure, executionError } from './errors.ts';
import { budgetFor, type GasCost, gasPriceFor } from './gas.ts';
import type { ObjectArgument } from './generated/index.ts';
import type { Wallet } from './wallet.ts';

/** What a transaction is to do; everything else (gas, versions, expiry) is found when it is prepared. */
export interface TransactionRequest {
  readonly sender: string;
  /** Shared objects it touches. */
  readonly shared: readonly string[];
  /** Split from the gas coin by `build`. */
  readonly spendMist: bigint;
  /** The most gas that may be paid; found by simulation when left out. */
  readonly budgetMist?: bigint;
  /** The bound of what is found by simulation. */
  readonly maximumBudgetMist?: bigint;
  /** Offered for a unit of gas; the reference price when left out. */
  readonly gasPriceMist?: bigint;
  /** For messages, with the names of aborts: `packageId` of the contracts. */
  readonly packageId?: string;
  /** Adds the commands. `mutable(id)` and `readonly(id)` are the arguments of shared objects. */
  build(tx: Transaction, objects: SharedArguments): void;
}
interface SharedArguments {
  mutable(id: string): ObjectArgument;
  readonly(id: string): ObjectArgument;
}

/** A transaction with everything fixed: signing it is all that is left. */
export interface PreparedTransaction {
  readonly bytes: Uint8Array;
  readonly digest: string;
  /** The last epoch in which it can be carried out. */
  readonly expirationEpoch: bigint;
  /** The coins it takes, at their versions: once one has moved on, the transaction can never be carried out. */
  readonly gas: readonly CoinReference[];
  readonly budgetMist: bigint;
  readonly cost: GasCost;
}
/**
 * Builds and simulates. All facts come from one endpoint. It is valid in the current epoch only, so that bytes that were
 * signed and never sent die by themselves. Throws `DAAS_BALANCE_TOO_LOW`, and the named abort the contract would answer
 * with, before anything is signed.
 */
export async function prepareTransaction(
  endpoint: Endpoint,
  request: TransactionRequest,
  signal?: AbortSignal,
): Promise<PreparedTransaction> {
  const [epoch, coins, objects] = await Promise.all([
    endpoint.call('the epoch', readEpoch, signal),
    endpoint.call(
      'the coins of the wallet',
      (client, ended) => readCoins(client, request.sender, ended),
      signal,
    ),
    endpoint.call('shared objects', (client, ended) => readObjects(client, request.shared, ended), signal),
  ]);
  const versions = new Map(
    request.shared.map((id) => [id, sharedVersion(id, objects.get(id)?.initialSharedVersion, endpoint.url)]),
  );
  const gasPrice = gasPriceFor(request.gasPriceMist, epoch.gasPrice);
  const build = (budgetMist: bigint, payment: Payment) =>
    buildBytes(request, { versions, payment, budgetMist, gasPrice, epoch: epoch.epoch });

  const trial: Trial = async (budgetMist, payment) =>
    simulate(endpoint, await build(budgetMist, payment), request.packageId, signal);

  const { budgetMist, payment } =
    request.budgetMist === undefined
      ? await findOffer(coins, request, gasPrice, trial)
      : { budgetMist: request.budgetMist, payment: choosePayment(coins, request, request.budgetMist) };
  const bytes = await build(budgetMist, payment);
  return {
    bytes,
    digest: TransactionDataBuilder.getDigestFromBytes(bytes),
    expirationEpoch: epoch.epoch,
    gas: [...payment.gas, ...payment.merged],
    budgetMist,
    cost: await simulate(endpoint, bytes, request.packageId, signal),
  };
}

/** What a transaction with this budget and these coins would cost. */
type Trial = (budgetMist: bigint, payment: Payment) => Promise<GasCost>;

/** What comes back, at most, for a coin that is merged away. */
const COIN_REBATE_MIST = 1_000_000n;

/**
 * The least budget that is safe, and as few coins as pay for it. A first trial with all that the wallet has finds the cost;
 * where it merged coins away, their rebates made it cheaper than it is with fewer, and a second trial tells by how much.
 */
async function findOffer(
  coins: readonly Coin[],
  request: TransactionRequest,
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
  // All of them are needed then.
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

interface Fixed {
  readonly versions: ReadonlyMap<string, bigint>;
  readonly payment: Payment;
  readonly budgetMist: bigint;
  readonly gasPrice: bigint;
  readonly epoch: bigint;
}

/** Of one command; Sui's limit is 512. */
const MAX_ARGUMENTS = 500;

function buildBytes(request: TransactionRequest, fixed: Fixed): Promise<Uint8Array> {
  const tx = new Transaction();
  tx.setSender(request.sender);
  tx.setGasPrice(fixed.gasPrice);
  tx.setGasBudget(fixed.budgetMist);
  tx.setGasPayment(fixed.payment.gas.map((coin) => ({ ...coin })));
  tx.setExpiration({ Epoch: fixed.epoch.toString() });
  const argument = (mutable: boolean) => (id: string) => {
    const initialSharedVersion = fixed.versions.get(id);
    if (initialSharedVersion === undefined) throw new Error(`${id} is not among the shared objects`);
    return Inputs.SharedObjectRef({
      objectId: normalizeSuiAddress(id),
      initialSharedVersion: initialSharedVersion.toString(),
      mutable,
    });
  };
  const { merged } = fixed.payment;
  for (let at = 0; at < merged.length; at += MAX_ARGUMENTS)
    tx.mergeCoins(
      tx.gas,
      merged.slice(at, at + MAX_ARGUMENTS).map((coin) => tx.objectRef({ ...coin })),
    );
  request.build(tx, { mutable: argument(true), readonly: argument(false) });
  return tx.build();
}

async function simulate(
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

/** A transaction that has been carried out, well or not. */
export interface Executed {
  readonly digest: string;
  readonly success: boolean;
  readonly error: SuiClientTypes.ExecutionError | null;
  readonly cost: GasCost;
  readonly events: ReadonlyArray<{ readonly type: string; readonly bcs: Uint8Array }>;
  readonly created: ReadonlyArray<{ readonly id: string; readonly type: string }>;
  /** Packages it published. */
  readonly published: readonly string[];
}

const INCLUDE = { effects: true, events: true, objectTypes: true } as const;
type AnyResult = SuiClientTypes.TransactionResult<typeof INCLUDE>;

function executed(result: AnyResult): Executed {
  const transaction = result.Transaction ?? result.FailedTransaction;
  const { effects } = transaction;
  const changed = effects.changedObjects;
  const gas = effects.gasUsed;
  const [computationMist, storageMist, rebateMist] = [
    BigInt(gas.computationCost),
    BigInt(gas.storageCost),
    BigInt(gas.storageRebate),
  ];
  return {
    digest: transaction.digest,
    success: transaction.status.success,
    error: transaction.status.error,
    cost: { computationMist, storageMist, rebateMist, totalMist: computationMist + storageMist - rebateMist },
    events: transaction.events.map((event) => ({ type: event.eventType, bcs: event.bcs })),
    created: changed
      .filter(({ idOperation, outputState }) => idOperation === 'Created' && outputState === 'ObjectWrite')
      .map(({ objectId }) => ({ id: objectId, type: transaction.objectTypes[objectId] ?? '' })),
    published: changed
      .filter(({ outputState }) => outputState === 'PackageWrite')
      .map(({ objectId }) => objectId),
  };
}

/** The protocol's own name of a failure: the SDK knows some of them as `Unknown` alone, and nodes word them differently. */
function failureKind(effects: Uint8Array | null | undefined): string | undefined {
  if (!effects) return undefined;
  const { V1, V2 } = bcs.TransactionEffects.parse(effects);
  const { status } = V2 ?? V1 ?? {};
  return status?.Failure?.error.$kind;
}

/** The BCS of the first event of that type. */
export function eventOf(
  transaction: Executed,
  packageId: string,
  module: string,
  name: string,
): Uint8Array | undefined {
  const wanted = normalizeStructTag(`${packageId}::${module}::${name}`);
  return transaction.events.find(({ type }) => normalizeStructTag(type) === wanted)?.bcs;
}

/** The failure in our words: an abort has a name when it happened in the contracts. */
export function failureOf(
  error: SuiClientTypes.ExecutionError | null,
  packageId: string | undefined,
): ExecutionFailure {
  const message = error?.message ?? 'the node gives no reason';
  if (error?.$kind !== 'MoveAbort' || !error.MoveAbort) return { message, abort: undefined };
  const { location, cleverError } = error.MoveAbort;
  const isOurs =
    packageId !== undefined &&
    location?.package !== undefined &&
    normalizeSuiAddress(location.package) === normalizeSuiAddress(packageId);
  const constant = cleverError?.constantName;
  return {
    message,
    abort: isOurs && location.module && constant ? { module: location.module, constant } : undefined,
  };
}

/** The bytes that are sent, and everything needed to tell what became of them. */
export interface SignedTransaction {
  readonly bytes: Uint8Array;
  readonly signature: string;
  readonly digest: string;
  readonly expirationEpoch: bigint;
  readonly gas: ReadonlyArray<{ readonly objectId: string; readonly version: string }>;
}

export async function signTransaction(
  wallet: Wallet,
  prepared: PreparedTransaction,
): Promise<SignedTransaction> {
  const { bytes, digest, expirationEpoch, gas } = prepared;
  return { bytes, digest, expirationEpoch, gas, signature: await wallet.signTransaction(bytes) };
}

/** `dead`: it was not carried out, and never will be. */
export type Delivery =
  | { readonly kind: 'landed'; readonly transaction: Executed }
  | { readonly kind: 'dead'; readonly reason: string };

/**
 * Sends signed bytes until it is known what became of them. Sending the same bytes again is harmless: it answers with the
 * original effects. Throws a retryable error (`DAAS_CHAIN_UNAVAILABLE`, `DAAS_TRANSACTION_PENDING`) when that is not
 * known within `retryForMs`; the bytes may land later then.
 */
export async function deliver(
  endpoints: Endpoints,
  signed: SignedTransaction,
  { retryForMs, signal }: { readonly retryForMs: number; readonly signal?: AbortSignal | undefined },
): Promise<Delivery> {
  const delivery = await send(endpoints, signed, retryForMs, signal);
  if (delivery.kind === 'landed') await untilReadable(endpoints, signed.digest, signal);
  return delivery;
}

/** A node may answer for a transaction a moment before its own reads show what that has done. */
const READABLE_AFTER_MS = 5_000;

/** Waits until reads show the transaction. Never fails: it has landed, whatever reads say. */
async function untilReadable(endpoints: Endpoints, digest: string, signal?: AbortSignal): Promise<void> {
  const what = `transaction ${digest}`;
  await endpoints
    .withOne(
      async (endpoint) => {
        if (!(await findTransaction(endpoint, digest, signal)))
          throw chainUnavailable(what, endpoint.url, new Error('the node does not show it yet'));
      },
      signal,
      READABLE_AFTER_MS,
    )
    .catch(() => undefined);
}

function send(
  endpoints: Endpoints,
  signed: SignedTransaction,
  retryForMs: number,
  signal?: AbortSignal,
): Promise<Delivery> {
  return endpoints.withOne(
    async (endpoint): Promise<Delivery> => {
      try {
        const result = await endpoint.call(
          `transaction ${signed.digest}`,
          (client, ended) =>
            client.core.executeTransaction({
              transaction: signed.bytes,
              signatures: [signed.signature],
              include: INCLUDE,
              signal: ended,
            }),
          signal,
        );
        return { kind: 'landed', transaction: executed(result) };
      } catch (error) {
        if (!(error instanceof DaasError) || error.code !== 'DAAS_CHAIN_REFUSED') throw error;
        return fateOf(endpoint, signed, error, signal);
      }
    },
    signal,
    retryForMs,
  );
}

/**
 * What became of a transaction that this node would not carry out. The order matters: had it used up the gas coins or
 * the epoch that is read first, the node would know its digest by the time it is asked for it.
 */
async function fateOf(
  endpoint: Endpoint,
  signed: SignedTransaction,
  refusal: DaasError,
  signal?: AbortSignal,
): Promise<Delivery> {
  const reason = await whyDead(endpoint, signed, signal);
  const transaction = await findTransaction(endpoint, signed.digest, signal);
  if (transaction) return { kind: 'landed', transaction };
  if (reason) return { kind: 'dead', reason };
  throw new ChainError(
    'DAAS_TRANSACTION_PENDING',
    `${endpoint.url} does not carry out the transaction ${signed.digest} now, and it can still land until epoch ${signed.expirationEpoch} ends: nothing else is sent for the same purpose before`,
    {
      cause: refusal,
      isRetryable: true,
      details: { digest: signed.digest, expirationEpoch: signed.expirationEpoch },
    },
  );
}

function findTransaction(
  endpoint: Endpoint,
  digest: string,
  signal?: AbortSignal,
): Promise<Executed | undefined> {
  return endpoint.call(
    `transaction ${digest}`,
    async (client, ended) => {
      try {
        return executed(await client.core.getTransaction({ digest, include: INCLUDE, signal: ended }));
      } catch (error) {
        if ((error as { reason?: unknown }).reason === 'notFound') return undefined;
        throw error;
      }
    },
    signal,
  );
}

/** Why the transaction can never be carried out from the state this node has, if so. */
async function whyDead(
  endpoint: Endpoint,
  signed: SignedTransaction,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const { epoch } = await endpoint.call('the epoch', readEpoch, signal);
  if (epoch > signed.expirationEpoch)
    return `it expired with epoch ${signed.expirationEpoch}, the epoch is ${epoch}`;
  const coins = await endpoint.call(
    'the gas coins',
    async (client, ended) => {
      const latest = await readObjects(
        client,
        signed.gas.map(({ objectId }) => objectId),
        ended,
      );
      const missing = signed.gas.filter(({ objectId }) => !latest.has(objectId));
      return { latest, wereSeen: await seenVersions(client, missing, ended) };
    },
    signal,
  );
  for (const { objectId, version } of signed.gas) {
    const now = coins.latest.get(objectId)?.version;
    if (now !== undefined && now > BigInt(version))
      return `its gas coin ${objectId} was used by another transaction`;
    // Missing may also mean that the node is behind. That it had this very version says it is not.
    if (now === undefined && coins.wereSeen.has(objectId))
      return `its gas coin ${objectId} was merged away by another transaction`;
  }
  return undefined;
}

/** Those of the objects of which the node has this old version. */
async function seenVersions(
  client: SuiGrpcClient,
  references: ReadonlyArray<{ readonly objectId: string; readonly version: string }>,
  signal: AbortSignal,
): Promise<Set<string>> {
  if (references.length === 0) return new Set();
  const { response } = await client.ledgerService.batchGetObjects(
    {
      requests: references.map(({ objectId, version }) => ({ objectId, version: BigInt(version) })),
      readMask: { paths: ['object_id', 'version'] },
    },
    { abort: signal },
  );
  const seen = new Set<string>();
  response.objects.forEach(({ result }, index) => {
    const reference = references[index];
    if (reference && result.oneofKind === 'object' && result.object.version === BigInt(reference.version))
      seen.add(reference.objectId);
  });
  return seen;
}
