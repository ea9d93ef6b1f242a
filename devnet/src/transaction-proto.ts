import type { bcs } from '@mysten/sui/bcs';
import { GrpcTypes } from '@mysten/sui/grpc';
import { normalizeSuiAddress, toBase64 } from '@mysten/sui/utils';
import { fromBase64 } from './base64.ts';
import type { CallArg, TransactionDataV1 } from './chain-view.ts';
import type { Command } from './programmable.ts';
import { fieldInvalid, fieldMissing } from './rpc-error.ts';

type Argument = typeof bcs.Argument.$inferType;
type Expiration = TransactionDataV1['expiration'];

const { Input_InputKind: InputKind, Argument_ArgumentKind: ArgumentKind } = GrpcTypes;
const { TransactionExpiration_TransactionExpirationKind: ExpirationKind } = GrpcTypes;

// --- from BCS to the wire ------------------------------------------------------------------------------------------

/** A transaction on the wire, without `bcs` and `digest`, which the caller knows. */
export function transactionToProto(data: TransactionDataV1): GrpcTypes.Transaction {
  return GrpcTypes.Transaction.create({
    version: 1,
    sender: data.sender,
    gasPayment: {
      objects: data.gasData.payment.map(({ objectId, version, digest }) => ({
        objectId,
        version: BigInt(version),
        digest,
      })),
      owner: data.gasData.owner,
      price: BigInt(data.gasData.price),
      budget: BigInt(data.gasData.budget),
    },
    expiration: expirationToProto(data.expiration),
    kind: kindToProto(data),
  });
}

function kindToProto({ kind }: TransactionDataV1): GrpcTypes.TransactionKind {
  if (kind.$kind !== 'ProgrammableTransaction') return { data: { oneofKind: undefined } };
  const { inputs, commands } = kind.ProgrammableTransaction;
  return {
    kind: GrpcTypes.TransactionKind_Kind.PROGRAMMABLE_TRANSACTION,
    data: {
      oneofKind: 'programmableTransaction',
      programmableTransaction: {
        inputs: inputs.map(inputToProto),
        commands: commands.map((command) => ({ command: commandToProto(command) })),
      },
    },
  };
}

function inputToProto(input: CallArg): GrpcTypes.Input {
  if (input.$kind === 'Pure') return { kind: InputKind.PURE, pure: fromBase64(input.Pure.bytes) };
  if (input.$kind !== 'Object') return { kind: InputKind.FUNDS_WITHDRAWAL };
  const object = input.Object;
  if (object.$kind === 'SharedObject') {
    const { objectId, initialSharedVersion, mutable } = object.SharedObject;
    return { kind: InputKind.SHARED, objectId, version: BigInt(initialSharedVersion), mutable };
  }
  const ref = object.$kind === 'Receiving' ? object.Receiving : object.ImmOrOwnedObject;
  return {
    kind: object.$kind === 'Receiving' ? InputKind.RECEIVING : InputKind.IMMUTABLE_OR_OWNED,
    objectId: ref.objectId,
    version: BigInt(ref.version),
    digest: ref.digest,
  };
}

export function argumentToProto(argument: Argument): GrpcTypes.Argument {
  switch (argument.$kind) {
    case 'GasCoin':
      return { kind: ArgumentKind.GAS };
    case 'Input':
      return { kind: ArgumentKind.INPUT, input: argument.Input };
    case 'Result':
      return { kind: ArgumentKind.RESULT, result: argument.Result };
    case 'NestedResult':
      return {
        kind: ArgumentKind.RESULT,
        result: argument.NestedResult[0],
        subresult: argument.NestedResult[1],
      };
  }
}

function commandToProto(command: Command): GrpcTypes.Command['command'] {
  switch (command.$kind) {
    case 'MoveCall':
      return {
        oneofKind: 'moveCall',
        moveCall: {
          package: command.MoveCall.package,
          module: command.MoveCall.module,
          function: command.MoveCall.function,
          typeArguments: command.MoveCall.typeArguments,
          arguments: command.MoveCall.arguments.map(argumentToProto),
        },
      };
    case 'TransferObjects':
      return {
        oneofKind: 'transferObjects',
        transferObjects: {
          objects: command.TransferObjects.objects.map(argumentToProto),
          address: argumentToProto(command.TransferObjects.address),
        },
      };
    case 'SplitCoins':
      return {
        oneofKind: 'splitCoins',
        splitCoins: {
          coin: argumentToProto(command.SplitCoins.coin),
          amounts: command.SplitCoins.amounts.map(argumentToProto),
        },
      };
    case 'MergeCoins':
      return {
        oneofKind: 'mergeCoins',
        mergeCoins: {
          coin: argumentToProto(command.MergeCoins.destination),
          coinsToMerge: command.MergeCoins.sources.map(argumentToProto),
        },
      };
    case 'Publish':
      return {
        oneofKind: 'publish',
        publish: {
          modules: command.Publish.modules.map((module) => fromBase64(module)),
          dependencies: command.Publish.dependencies,
        },
      };
    case 'MakeMoveVec':
      return {
        oneofKind: 'makeMoveVector',
        makeMoveVector: {
          ...(command.MakeMoveVec.type === null ? {} : { elementType: command.MakeMoveVec.type }),
          elements: command.MakeMoveVec.elements.map(argumentToProto),
        },
      };
    case 'Upgrade':
      return {
        oneofKind: 'upgrade',
        upgrade: {
          modules: command.Upgrade.modules.map((module) => fromBase64(module)),
          dependencies: command.Upgrade.dependencies,
          package: command.Upgrade.package,
          ticket: argumentToProto(command.Upgrade.ticket),
        },
      };
  }
}

function expirationToProto(expiration: Expiration): GrpcTypes.TransactionExpiration {
  if (expiration.$kind === 'None') return { kind: ExpirationKind.NONE };
  if (expiration.$kind === 'Epoch') return { kind: ExpirationKind.EPOCH, epoch: BigInt(expiration.Epoch) };
  const isWindow = expiration.$kind === 'ValidDuring';
  const window = isWindow ? expiration.ValidDuring : expiration.Validity;
  return {
    kind: isWindow ? ExpirationKind.VALID_DURING : ExpirationKind.VALIDITY,
    ...(window.minEpoch === null ? {} : { minEpoch: BigInt(window.minEpoch) }),
    ...(window.maxEpoch === null ? {} : { epoch: BigInt(window.maxEpoch) }),
    chain: window.chain,
    nonce: window.nonce,
  };
}

// --- from the wire to BCS's form ---------------------------------------------------------------------------------------

function argumentFromProto(argument: GrpcTypes.Argument | undefined): Argument {
  switch (argument?.kind) {
    case ArgumentKind.GAS:
      return { $kind: 'GasCoin', GasCoin: true };
    case ArgumentKind.INPUT:
      return { $kind: 'Input', Input: argument.input ?? 0 };
    case ArgumentKind.RESULT:
      return argument.subresult === undefined
        ? { $kind: 'Result', Result: argument.result ?? 0 }
        : { $kind: 'NestedResult', NestedResult: [argument.result ?? 0, argument.subresult] };
    default:
      throw fieldInvalid('commands', 'invalid command: an argument without kind');
  }
}

export function commandFromProto({ command }: GrpcTypes.Command): Command {
  switch (command.oneofKind) {
    case 'moveCall': {
      const call = command.moveCall;
      return {
        $kind: 'MoveCall',
        MoveCall: {
          package: normalizeSuiAddress(call.package ?? ''),
          module: call.module ?? '',
          function: call.function ?? '',
          typeArguments: call.typeArguments,
          arguments: call.arguments.map(argumentFromProto),
        },
      };
    }
    case 'transferObjects':
      return {
        $kind: 'TransferObjects',
        TransferObjects: {
          objects: command.transferObjects.objects.map(argumentFromProto),
          address: argumentFromProto(command.transferObjects.address),
        },
      };
    case 'splitCoins':
      return {
        $kind: 'SplitCoins',
        SplitCoins: {
          coin: argumentFromProto(command.splitCoins.coin),
          amounts: command.splitCoins.amounts.map(argumentFromProto),
        },
      };
    case 'mergeCoins':
      return {
        $kind: 'MergeCoins',
        MergeCoins: {
          destination: argumentFromProto(command.mergeCoins.coin),
          sources: command.mergeCoins.coinsToMerge.map(argumentFromProto),
        },
      };
    case 'publish':
      return {
        $kind: 'Publish',
        Publish: {
          modules: command.publish.modules.map((module) => toBase64(module)),
          dependencies: command.publish.dependencies.map((id) => normalizeSuiAddress(id)),
        },
      };
    case 'makeMoveVector':
      return {
        $kind: 'MakeMoveVec',
        MakeMoveVec: {
          type: command.makeMoveVector.elementType ?? null,
          elements: command.makeMoveVector.elements.map(argumentFromProto),
        },
      };
    case 'upgrade':
      return {
        $kind: 'Upgrade',
        Upgrade: {
          modules: command.upgrade.modules.map((module) => toBase64(module)),
          dependencies: command.upgrade.dependencies,
          package: command.upgrade.package ?? '',
          ticket: argumentFromProto(command.upgrade.ticket),
        },
      };
    default:
      throw fieldInvalid('commands', 'invalid command: it has no kind');
  }
}

export function expirationFromProto(expiration: GrpcTypes.TransactionExpiration | undefined): Expiration {
  switch (expiration?.kind) {
    case undefined:
    case ExpirationKind.NONE:
      return { $kind: 'None', None: true };
    case ExpirationKind.EPOCH:
      return { $kind: 'Epoch', Epoch: Number(expiration.epoch ?? 0n) };
    case ExpirationKind.VALID_DURING: {
      if (expiration.chain === undefined) throw fieldMissing('expiration.chain');
      return {
        $kind: 'ValidDuring',
        ValidDuring: {
          minEpoch: expiration.minEpoch === undefined ? null : String(expiration.minEpoch),
          maxEpoch: expiration.epoch === undefined ? null : String(expiration.epoch),
          minTimestamp: null,
          maxTimestamp: null,
          chain: expiration.chain,
          nonce: expiration.nonce ?? 0,
        },
      };
    }
    default:
      throw fieldInvalid('expiration', 'this chain knows the expirations NONE, EPOCH and VALID_DURING');
  }
}
