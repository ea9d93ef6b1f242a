import { bcs } from '@mysten/sui/bcs';
import { fromBase58 } from '@mysten/sui/utils';
import { digestOf } from './digest.ts';
import type { ExecutionFailure } from './failure.ts';
import type { GasCost } from './gas.ts';
import { formatType } from './move/index.ts';
import { ownerToBcs, type StoredObject } from './objects.ts';
import type { EmittedEvent } from './transaction-host.ts';

/** One object that a transaction touched: as it was, and as it is. */
export interface ObjectChange {
  readonly id: string;
  readonly before: StoredObject | undefined;
  readonly after: StoredObject | undefined;
  readonly idOperation: 'None' | 'Created' | 'Deleted';
}

export interface EffectsParts {
  readonly failure: ExecutionFailure | undefined;
  readonly epoch: bigint;
  readonly cost: GasCost;
  readonly digest: string;
  readonly gasObjectId: string | undefined;
  readonly events: readonly EmittedEvent[];
  readonly dependencies: Iterable<string>;
  readonly lamport: bigint;
  readonly changes: readonly ObjectChange[];
  /** Shared objects that were only read. */
  readonly readOnlyShared: readonly StoredObject[];
}

export interface EncodedEffects {
  readonly bytes: Uint8Array;
  readonly digest: string;
  readonly changes: readonly ObjectChange[];
  readonly readOnlyShared: readonly StoredObject[];
  /** What the bytes say of the transaction as a whole. */
  readonly decoded: {
    readonly gasObjectIndex: number | null;
    readonly dependencies: string[];
    readonly lamportVersion: string;
  };
  readonly eventsBytes: Uint8Array;
  readonly eventsDigest: string | undefined;
}

const Event = bcs.struct('Event', {
  packageId: bcs.Address,
  module: bcs.string(),
  sender: bcs.Address,
  type: bcs.StructTag,
  contents: bcs.byteVector(),
});
const TransactionEvents = bcs.struct('TransactionEvents', { data: bcs.vector(Event) });

function structTag(type: string): typeof bcs.StructTag.$inferInput {
  // A TypeTag of a struct is one byte (the variant) and then the StructTag.
  return bcs.StructTag.parse(bcs.TypeTag.serialize(type).toBytes().subarray(1));
}

const encodeEvents = (events: readonly EmittedEvent[]): Uint8Array =>
  TransactionEvents.serialize({
    data: events.map((event) => ({
      packageId: event.packageId,
      module: event.module,
      sender: event.sender,
      type: structTag(formatType(event.type)),
      contents: event.contents,
    })),
  }).toBytes();

const byBytes = (left: string, right: string): number =>
  Buffer.compare(Buffer.from(fromBase58(left)), Buffer.from(fromBase58(right)));

/** Effects of version 2 in BCS: the truth that the wire's form is made from. */
export function encodeEffects(parts: EffectsParts): EncodedEffects {
  const changes = [...parts.changes].sort((left, right) => (left.id < right.id ? -1 : 1));
  const readOnlyShared = [...parts.readOnlyShared].sort((left, right) => (left.id < right.id ? -1 : 1));
  const gasIndex = changes.findIndex(({ id }) => id === parts.gasObjectId);
  const eventsBytes = encodeEvents(parts.events);
  const eventsDigest = parts.events.length > 0 ? digestOf('TransactionEvents', eventsBytes) : undefined;
  const bytes = bcs.TransactionEffects.serialize({
    V2: {
      status: parts.failure
        ? { Failure: { error: parts.failure.reason, command: parts.failure.command ?? null } }
        : { Success: true },
      executedEpoch: parts.epoch,
      gasUsed: parts.cost,
      transactionDigest: parts.digest,
      gasObjectIndex: gasIndex < 0 ? null : gasIndex,
      eventsDigest: eventsDigest ?? null,
      dependencies: [...new Set(parts.dependencies)].sort(byBytes),
      lamportVersion: parts.lamport,
      changedObjects: changes.map((change) => [
        change.id,
        {
          inputState: change.before
            ? { Exist: [[change.before.version, change.before.digest], ownerToBcs(change.before.owner)] }
            : { NotExist: true },
          outputState: outputState(change.after),
          idOperation: { [change.idOperation]: true } as { None: true },
        },
      ]),
      unchangedConsensusObjects: readOnlyShared.map((object) => [
        object.id,
        { ReadOnlyRoot: [object.version, object.digest] },
      ]),
      auxDataDigest: null,
    },
  }).toBytes();
  const parsed = bcs.TransactionEffects.parse(bytes);
  if (parsed.$kind !== 'V2') throw new Error('effects of another version were written');
  return {
    bytes,
    digest: digestOf('TransactionEffects', bytes),
    changes,
    readOnlyShared,
    decoded: parsed.V2,
    eventsBytes,
    eventsDigest,
  };
}

function outputState(after: StoredObject | undefined) {
  if (!after) return { NotExist: true as const };
  return after.kind === 'package'
    ? { PackageWrite: [after.version, after.digest] as [bigint, string] }
    : {
        ObjectWrite: [after.digest, ownerToBcs(after.owner)] as [string, ReturnType<typeof ownerToBcs>],
      };
}
