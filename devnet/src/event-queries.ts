import { GrpcTypes } from '@mysten/sui/grpc';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import type { ExecutedTransaction, Ledger } from './ledger.ts';
import { type DatatypeType, isSameType, parseType } from './move/index.ts';
import { applyMask, type MaskTree } from './read-mask.ts';
import { renderEvent, renderExecuted } from './render-transaction.ts';
import { fieldInvalid } from './rpc-error.ts';
import type { EmittedEvent } from './transaction-host.ts';

/** One event with its position on the chain. */
export interface PlacedEvent {
  readonly transaction: ExecutedTransaction;
  readonly event: EmittedEvent;
  readonly index: number;
}

/** Cursors are opaque to clients: here checkpoint and event index as two u64, big-endian, so that bytes sort as positions. */
export function cursorOf(checkpoint: bigint, index: number): Uint8Array {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64BE(checkpoint, 0);
  bytes.writeBigUInt64BE(BigInt(index), 8);
  return bytes;
}

const MAX_ITEMS = 1000;
const DEFAULT_ITEMS = 50;
const { QueryEndReason: End, Ordering } = GrpcTypes;

export function eventsOf(transaction: ExecutedTransaction): PlacedEvent[] {
  return transaction.outcome.events.map((event, index) => ({ transaction, event, index }));
}

export function renderPlacedEvent(placed: PlacedEvent, ledger: Ledger, mask: MaskTree): GrpcTypes.Event {
  const whole: GrpcTypes.Event = {
    ...renderEvent(placed.event, ledger.code),
    checkpoint: placed.transaction.checkpoint,
    transactionDigest: placed.transaction.digest,
    // The system's transaction comes first in every checkpoint.
    transactionIndex: 1n,
    eventIndex: placed.index,
  };
  return applyMask(whole, mask, GrpcTypes.Event);
}

/** Terms are alternatives, the literals of a term must all hold. */
export function matchesEvent(filter: GrpcTypes.EventFilter | undefined, { event }: PlacedEvent): boolean {
  if (!filter || filter.terms.length === 0) return true;
  return filter.terms.some(({ literals }) =>
    literals.every(({ negated, predicate }) => {
      switch (predicate.oneofKind) {
        case 'sender':
          return negated !== (event.sender === normalizeSuiAddress(predicate.sender.address ?? ''));
        case 'emitModule':
          return negated !== isInModule(predicate.emitModule.module ?? '', event.packageId, event.module);
        case 'eventType':
          return negated !== isOfType(predicate.eventType.eventType ?? '', event.type);
        default:
          throw fieldInvalid('filter', 'this chain filters events by sender, emitting module and type');
      }
    }),
  );
}

/** `0xpkg` or `0xpkg::module`. */
function isInModule(filter: string, address: string, module: string): boolean {
  const [wantedAddress = '', wantedModule] = filter.split('::');
  return (
    normalizeSuiAddress(wantedAddress) === address && (wantedModule === undefined || wantedModule === module)
  );
}

/** `0xpkg`, `0xpkg::module`, `0xpkg::module::Name`, with or without type arguments. */
function isOfType(filter: string, type: DatatypeType): boolean {
  const parts = filter.split('<')[0]?.split('::') ?? [];
  if (parts.length < 3) return isInModule(filter, type.address, type.module);
  if (filter.includes('<')) return isSameType(parseType(filter), type);
  const [address = '', module, name] = parts;
  return normalizeSuiAddress(address) === type.address && module === type.module && name === type.name;
}

export function matchesTransaction(
  filter: GrpcTypes.TransactionFilter | undefined,
  transaction: ExecutedTransaction,
): boolean {
  if (!filter || filter.terms.length === 0) return true;
  return filter.terms.some(({ literals }) =>
    literals.every(({ negated, predicate }) => {
      switch (predicate.oneofKind) {
        case 'sender':
          return (
            negated !== (transaction.data.sender === normalizeSuiAddress(predicate.sender.address ?? ''))
          );
        case 'affectedObject': {
          const id = normalizeSuiAddress(predicate.affectedObject.objectId ?? '');
          return negated !== transaction.outcome.effects.changes.some((change) => change.id === id);
        }
        case 'emitModule':
          return (
            negated !==
            transaction.outcome.events.some((event) =>
              isInModule(predicate.emitModule.module ?? '', event.packageId, event.module),
            )
          );
        case 'eventType':
          return (
            negated !==
            transaction.outcome.events.some(({ type }) => isOfType(predicate.eventType.eventType ?? '', type))
          );
        case 'moveCall':
          return negated !== callsFunction(transaction, predicate.moveCall.function ?? '');
        default:
          throw fieldInvalid('filter', 'this chain does not filter transactions by that');
      }
    }),
  );
}

function callsFunction({ data }: ExecutedTransaction, filter: string): boolean {
  const [address = '', module, name] = filter.split('::');
  if (data.kind.$kind !== 'ProgrammableTransaction') return false;
  return data.kind.ProgrammableTransaction.commands.some(
    (command) =>
      command.$kind === 'MoveCall' &&
      command.MoveCall.package === normalizeSuiAddress(address) &&
      (module === undefined || command.MoveCall.module === module) &&
      (name === undefined || command.MoveCall.function === name),
  );
}

interface Item<T> {
  readonly checkpoint: bigint;
  readonly index: number;
  readonly item: T;
}

interface Frame<T> {
  readonly item: T | undefined;
  readonly watermark: GrpcTypes.Watermark;
  readonly end: GrpcTypes.QueryEnd | undefined;
}

/**
 * A listing as the node streams it: every frame has a watermark, exactly one has the end's reason. ITEM_LIMIT rides on
 * the last item, LEDGER_TIP comes on a frame without an item.
 */
function* page<T>(
  items: Iterable<Item<T>>,
  request: {
    readonly startCheckpoint?: bigint;
    readonly endCheckpoint?: bigint;
    readonly options?: GrpcTypes.QueryOptions;
  },
  tip: bigint,
): Generator<Frame<T>> {
  const { options } = request;
  const isDescending = options?.ordering === Ordering.DESCENDING;
  const limit = Math.min(options?.limit ?? DEFAULT_ITEMS, MAX_ITEMS);
  const after = options?.after && Buffer.from(options.after);
  const before = options?.before && Buffer.from(options.before);
  const inRange = [...items].filter(({ checkpoint, index }) => {
    const cursor = cursorOf(checkpoint, index);
    return (
      (after === undefined || Buffer.compare(cursor, after) > 0) &&
      (before === undefined || Buffer.compare(cursor, before) < 0) &&
      (request.startCheckpoint === undefined || checkpoint >= request.startCheckpoint) &&
      (request.endCheckpoint === undefined || checkpoint < request.endCheckpoint)
    );
  });
  if (isDescending) inRange.reverse();
  const shown = inRange.slice(0, limit);
  for (const [position, { checkpoint, index, item }] of shown.entries()) {
    const isLast = position === limit - 1;
    yield {
      item,
      // Up to where everything has been shown: more may follow of the item's own checkpoint.
      watermark: { cursor: cursorOf(checkpoint, index), checkpoint: checkpoint > 0n ? checkpoint - 1n : 0n },
      end: isLast ? { reason: End.ITEM_LIMIT } : undefined,
    };
  }
  if (shown.length === limit) return;
  const reason =
    before !== undefined
      ? End.CURSOR_BOUND
      : request.endCheckpoint !== undefined
        ? End.CHECKPOINT_BOUND
        : End.LEDGER_TIP;
  yield {
    item: undefined,
    watermark: { cursor: before ?? cursorOf(tip, 0xffff_ffff), checkpoint: tip },
    end: { reason },
  };
}

const withDefined = <T extends object>(parts: T): T =>
  Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as T;

export async function* listEvents(
  ledger: Ledger,
  request: GrpcTypes.ListEventsRequest,
  mask: MaskTree,
): AsyncGenerator<object> {
  const items = [...ledger.transactions.values()]
    .flatMap(eventsOf)
    .filter((placed) => matchesEvent(request.filter, placed))
    .map((placed) => ({ checkpoint: placed.transaction.checkpoint, index: placed.index, item: placed }));
  for (const { item, watermark, end } of page(items, request, ledger.tip.sequenceNumber))
    yield withDefined({ event: item && renderPlacedEvent(item, ledger, mask), watermark, end });
}

export async function* listTransactions(
  ledger: Ledger,
  request: GrpcTypes.ListTransactionsRequest,
  mask: MaskTree,
): AsyncGenerator<object> {
  const items = [...ledger.transactions.values()]
    .filter((transaction) => matchesTransaction(request.filter, transaction))
    .map((transaction) => ({ checkpoint: transaction.checkpoint, index: 0, item: transaction }));
  for (const { item, watermark, end } of page(items, request, ledger.tip.sequenceNumber))
    yield withDefined({
      transaction: item && renderExecuted(item, ledger.code, mask, true),
      watermark,
      end,
    });
}
