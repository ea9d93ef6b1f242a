import { bcs } from '@mysten/sui/bcs';
import type { SuiClientTypes } from '@mysten/sui/client';
import { normalizeStructTag, normalizeSuiAddress } from '@mysten/sui/utils';
import { ChainError } from './endpoints/index.ts';
import type { ExecutionFailure } from './execution-error.ts';
import type { GasCost } from './gas.ts';

/** A transaction that was executed, with success or failure. */
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

export const INCLUDE = { effects: true, events: true, objectTypes: true } as const;
type AnyResult = SuiClientTypes.TransactionResult<typeof INCLUDE>;

/** The parts of a reply that this project reads. */
export function executed(result: AnyResult): Executed {
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

/** The protocol's own name of a failure: the SDK maps some of them to `Unknown`, and nodes word them differently. */
export function failureKind(effects: Uint8Array | null | undefined): string | undefined {
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

/** The failure; an abort is named when it happened in the contracts. */
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

/** As `eventOf`. Throws `DAAS_CHAIN_ANSWER_INCOMPLETE` when the reply lacks the event. */
export function expectEvent(
  transaction: Executed,
  packageId: string,
  module: string,
  name: string,
): Uint8Array {
  const event = eventOf(transaction, packageId, module, name);
  if (event) return event;
  const { digest } = transaction;
  throw new ChainError(
    'DAAS_CHAIN_ANSWER_INCOMPLETE',
    `the transaction ${digest} landed, and the reply lacks its event ${name}: look it up by the digest`,
    { details: { digest } },
  );
}
