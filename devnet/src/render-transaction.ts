import { GrpcTypes } from '@mysten/sui/grpc';
import { balanceChanges } from './balances.ts';
import type { ObjectChange } from './effects.ts';
import type { Outcome } from './executor.ts';
import type { ExecutedTransaction } from './ledger.ts';
import { formatType } from './move/index.ts';
import { applyMask, asksFor, type MaskTree, subMask } from './read-mask.ts';
import { renderError } from './render-error.ts';
import { contentsToJson, objectTypeOf, renderObject, renderOwner } from './render-object.ts';
import type { RunCode } from './run-code.ts';
import type { EmittedEvent } from './transaction-host.ts';
import { transactionToProto } from './transaction-proto.ts';

const {
  ChangedObject_InputObjectState: In,
  ChangedObject_OutputObjectState: Out,
  ChangedObject_IdOperation: IdOperation,
} = GrpcTypes;

const ID_OPERATION = {
  None: IdOperation.NONE,
  Created: IdOperation.CREATED,
  Deleted: IdOperation.DELETED,
} as const;

export const timestampOf = (ms: number) => ({
  seconds: BigInt(Math.floor(ms / 1000)),
  nanos: (ms % 1000) * 1_000_000,
});

/** What was done, on the wire. `checkpoint` and `timestamp` are there only once the checkpoint is. */
export function renderExecuted(
  executed: ExecutedTransaction,
  code: RunCode,
  mask: MaskTree,
  withCheckpoint: boolean,
): GrpcTypes.ExecutedTransaction {
  const whole = renderOutcome(executed.outcome, executed, code, mask);
  whole.digest = executed.digest;
  whole.transaction = GrpcTypes.Transaction.create({
    ...transactionToProto(executed.data),
    digest: executed.digest,
    bcs: { name: 'TransactionData', value: executed.bytes },
  });
  whole.signatures = executed.signatures.map((value) => ({
    bcs: { name: 'UserSignatureBytes', value },
    signature: { oneofKind: undefined },
  }));
  if (withCheckpoint) {
    whole.checkpoint = executed.checkpoint;
    whole.timestamp = timestampOf(executed.timestampMs);
  }
  return applyMask(whole, mask, GrpcTypes.ExecutedTransaction);
}

/** The parts that a simulation has too. Not masked yet. */
export function renderOutcome(
  outcome: Outcome,
  transaction: { readonly digest: string; readonly epoch: bigint },
  code: RunCode,
  mask: MaskTree,
): GrpcTypes.ExecutedTransaction {
  const whole = GrpcTypes.ExecutedTransaction.create();
  if (asksFor(mask, 'effects')) whole.effects = renderEffects(outcome, transaction, code);
  if (asksFor(mask, 'events') && outcome.events.length > 0)
    whole.events = {
      bcs: { name: 'TransactionEvents', value: outcome.effects.eventsBytes },
      ...(outcome.effects.eventsDigest === undefined ? {} : { digest: outcome.effects.eventsDigest }),
      events: outcome.events.map((event) => renderEvent(event, code)),
    };
  if (asksFor(mask, 'balance_changes'))
    whole.balanceChanges = balanceChanges(outcome.effects.changes, code).map((change) => ({
      address: change.address,
      coinType: change.coinType,
      amount: String(change.amount),
    }));
  if (asksFor(mask, 'objects'))
    whole.objects = {
      objects: outcome.effects.changes.flatMap(({ before, after }) =>
        [before, after].flatMap((object) =>
          object ? [renderObject(object, subMask(subMask(mask, 'objects'), 'objects'), code)] : [],
        ),
      ),
    };
  return whole;
}

export function renderEvent(event: EmittedEvent, code: RunCode): GrpcTypes.Event {
  const type = formatType(event.type);
  return {
    packageId: event.packageId,
    module: event.module,
    sender: event.sender,
    eventType: type,
    contents: { name: type, value: event.contents },
    json: contentsToJson(event.contents, event.type, code),
  };
}

function renderEffects(
  outcome: Outcome,
  transaction: { readonly digest: string; readonly epoch: bigint },
  code: RunCode,
): GrpcTypes.TransactionEffects {
  const { effects, failure, cost } = outcome;
  const { decoded } = effects;
  const changedObjects = effects.changes.map((change) => renderChange(change));
  const gasObject = decoded.gasObjectIndex === null ? undefined : changedObjects[decoded.gasObjectIndex];
  return GrpcTypes.TransactionEffects.create({
    bcs: { name: 'TransactionEffects', value: effects.bytes },
    digest: effects.digest,
    version: 2,
    status: failure ? { success: false, error: renderError(failure, code) } : { success: true },
    epoch: transaction.epoch,
    gasUsed: cost,
    transactionDigest: transaction.digest,
    ...(gasObject ? { gasObject } : {}),
    ...(effects.eventsDigest === undefined ? {} : { eventsDigest: effects.eventsDigest }),
    dependencies: decoded.dependencies,
    lamportVersion: BigInt(decoded.lamportVersion),
    changedObjects,
    unchangedConsensusObjects: effects.readOnlyShared.map((object) => ({
      kind: GrpcTypes.UnchangedConsensusObject_UnchangedConsensusObjectKind.READ_ONLY_ROOT,
      objectId: object.id,
      version: object.version,
      digest: object.digest,
      objectType: objectTypeOf(object),
    })),
  });
}

function renderChange({ id, before, after, idOperation }: ObjectChange): GrpcTypes.ChangedObject {
  const shown = after ?? before;
  return {
    objectId: id,
    inputState: before ? In.EXISTS : In.DOES_NOT_EXIST,
    ...(before
      ? {
          inputVersion: before.version,
          inputDigest: before.digest,
          inputOwner: renderOwner(before.owner),
        }
      : {}),
    outputState: outputStateOf(after),
    ...(after
      ? {
          outputVersion: after.version,
          outputDigest: after.digest,
          outputOwner: renderOwner(after.owner),
        }
      : {}),
    idOperation: ID_OPERATION[idOperation],
    ...(shown ? { objectType: objectTypeOf(shown) } : {}),
  };
}

function outputStateOf(after: ObjectChange['after']): GrpcTypes.ChangedObject_OutputObjectState {
  if (!after) return Out.DOES_NOT_EXIST;
  return after.kind === 'package' ? Out.PACKAGE_WRITE : Out.OBJECT_WRITE;
}
