import { GrpcTypes } from '@mysten/sui/grpc';
import { isValidSuiAddress, normalizeSuiAddress, toBase64 } from '@mysten/sui/utils';
import { coinOfObject } from './balances.ts';
import type { CallArg, TransactionDataV1 } from './chain-view.ts';
import { MAX_GAS_BUDGET, MAX_GAS_OBJECTS, REFERENCE_GAS_PRICE } from './gas.ts';
import type { Ledger } from './ledger.ts';
import { coinOf, isSameType, isTxContextParameter, SUI_TYPE } from './move/index.ts';
import { refOf, type StoredObject } from './objects.ts';
import type { Command } from './programmable.ts';
import { fieldInvalid, fieldMissing, internal, invalidArgument, notFound } from './rpc-error.ts';
import { commandFromProto, expirationFromProto } from './transaction-proto.ts';

const { Input_InputKind: InputKind } = GrpcTypes;

/**
 * Makes a whole transaction of one whose inputs, price or payment are still open: objects get their versions, shared
 * ones their mutability by how the commands use them.
 */
export function resolveTransaction(ledger: Ledger, proto: GrpcTypes.Transaction): TransactionDataV1 {
  const sender = proto.sender ?? '';
  if (!isValidSuiAddress(normalizeSuiAddress(sender)) || sender === '')
    throw fieldInvalid('transaction.sender', `invalid sender: ${sender}`);
  const body = proto.kind?.data;
  if (body?.oneofKind !== 'programmableTransaction')
    throw fieldMissing('transaction.kind.programmable_transaction');
  const commands = body.programmableTransaction.commands.map(commandFromProto);
  const inputs = body.programmableTransaction.inputs.map((input, index) =>
    resolveInput(ledger, commands, input, index),
  );
  const payment = (proto.gasPayment?.objects ?? []).map((ref) => resolvePayment(ledger, ref));
  const paid = payment.reduce((sum, coin) => sum + (coinOfObject(coin, ledger.code)?.amount ?? 0n), 0n);
  const budget =
    proto.gasPayment?.budget ?? (payment.length > 0 && paid < MAX_GAS_BUDGET ? paid : MAX_GAS_BUDGET);
  return {
    kind: { $kind: 'ProgrammableTransaction', ProgrammableTransaction: { inputs, commands } },
    sender: normalizeSuiAddress(sender),
    gasData: {
      payment: payment.map(refOf),
      owner: normalizeSuiAddress(proto.gasPayment?.owner ?? sender),
      price: String(proto.gasPayment?.price ?? REFERENCE_GAS_PRICE),
      budget: String(budget),
    },
    expiration: expirationFromProto(proto.expiration),
  };
}

function resolveInput(
  ledger: Ledger,
  commands: readonly Command[],
  input: GrpcTypes.Input,
  index: number,
): CallArg {
  if (input.pure !== undefined) return { $kind: 'Pure', Pure: { bytes: toBase64(input.pure) } };
  if (input.kind === InputKind.FUNDS_WITHDRAWAL || input.kind === InputKind.RECEIVING)
    throw invalidArgument(
      'withdrawals from address balances and receiving objects are not supported by this development chain',
    );
  if (input.objectId === undefined) throw invalidArgument('invalid unresolved input argument');
  const id = normalizeSuiAddress(input.objectId);
  const object = ledger.object(id);
  if (!object) throw notFound(`Object ${id} not found`);
  switch (object.owner.kind) {
    case 'object':
      throw invalidArgument(`object ${id} is object owned and cannot be used as an input`);
    case 'shared':
      return {
        $kind: 'Object',
        Object: {
          $kind: 'SharedObject',
          SharedObject: {
            objectId: id,
            initialSharedVersion: String(object.owner.initialVersion ?? 0n),
            mutable: isUsedMutably(ledger, commands, index),
          },
        },
      };
    default:
      checkRef(object, input);
      return {
        $kind: 'Object',
        Object: { $kind: 'ImmOrOwnedObject', ImmOrOwnedObject: refOf(object) },
      };
  }
}

function checkRef(object: StoredObject, ref: { version?: bigint; digest?: string }): void {
  if (ref.version !== undefined && ref.version !== object.version)
    throw invalidArgument(
      `provided version doesn't match, provided: Some(${ref.version}) actual: ${object.version}`,
    );
  if (ref.digest !== undefined && ref.digest !== object.digest)
    throw invalidArgument(
      `provided digest doesn't match, provided: Some(${ref.digest}) actual: ${object.digest}`,
    );
}

function resolvePayment(ledger: Ledger, ref: GrpcTypes.ObjectReference): StoredObject {
  const id = normalizeSuiAddress(ref.objectId ?? '');
  const object = ledger.object(id);
  if (!object) throw notFound(`Object ${id} not found`);
  if (object.kind !== 'move' || !isSameType(object.type, coinOf(SUI_TYPE)))
    throw fieldInvalid('payment', `object ${id} is not a valid gas coin`);
  checkRef(object, ref);
  return object;
}

/** A shared input is mutable when any command takes it by `&mut` or by value. */
function isUsedMutably(ledger: Ledger, commands: readonly Command[], input: number): boolean {
  return commands.some((command) => {
    const isInput = (argument: { $kind: string; Input?: unknown }) =>
      argument.$kind === 'Input' && argument.Input === input;
    switch (command.$kind) {
      case 'MoveCall': {
        const positions = command.MoveCall.arguments.flatMap((argument, position) =>
          isInput(argument) ? [position] : [],
        );
        if (positions.length === 0) return false;
        const parameters = parametersOf(ledger, command.MoveCall);
        return positions.some((position) => {
          const type = parameters[position];
          if (!type) throw invalidArgument('invalid input argument: the function takes fewer');
          return type.kind !== 'reference' || type.isMutable;
        });
      }
      case 'SplitCoins':
        return isInput(command.SplitCoins.coin);
      case 'MergeCoins':
        return [command.MergeCoins.destination, ...command.MergeCoins.sources].some(isInput);
      case 'TransferObjects':
        return command.TransferObjects.objects.some(isInput);
      case 'MakeMoveVec':
        return command.MakeMoveVec.elements.some(isInput);
      default:
        return false;
    }
  });
}

/** The parameters that a caller gives, the transaction's context left out. */
function parametersOf(ledger: Ledger, call: Extract<Command, { $kind: 'MoveCall' }>['MoveCall']) {
  const signature =
    ledger.code.native(call.package, call.module, call.function)?.signature ??
    ledger.code
      .module(call.package, call.module)
      ?.functions.find(({ signature: { name } }) => name === call.function)?.signature;
  if (!signature) throw functionNotFound(ledger, call);
  return signature.parameters.filter((type) => !isTxContextParameter(type));
}

function functionNotFound(
  ledger: Ledger,
  call: { readonly package: string; readonly module: string; readonly function: string },
) {
  if (!ledger.object(call.package)) return notFound(`Object ${call.package} not found`);
  return internal(`Function not found: ${call.function}`);
}

/** Functions that are called must exist before anything is simulated: a missing one is an error of the request. */
export function checkCalledFunctions(ledger: Ledger, commands: readonly Command[]): void {
  for (const command of commands) if (command.$kind === 'MoveCall') parametersOf(ledger, command.MoveCall);
}

/**
 * Chooses the coins that pay: all SUI coins of the owner that are no inputs, up to the protocol's maximum.
 * Throws INVALID_ARGUMENT when they do not cover the budget.
 */
export function selectGas(ledger: Ledger, data: TransactionDataV1): TransactionDataV1 {
  const used = new Set(
    data.kind.$kind === 'ProgrammableTransaction'
      ? data.kind.ProgrammableTransaction.inputs.flatMap((input) =>
          input.$kind === 'Object' && input.Object.$kind === 'ImmOrOwnedObject'
            ? [normalizeSuiAddress(input.Object.ImmOrOwnedObject.objectId)]
            : [],
        )
      : [],
  );
  const coins = ledger.objects
    .ownedBy(data.gasData.owner, ledger.code)
    .filter((object) => object.kind === 'move' && isSameType(object.type, coinOf(SUI_TYPE)))
    .filter(({ id }) => !used.has(id))
    .slice(0, MAX_GAS_OBJECTS);
  const total = coins.reduce((sum, coin) => sum + (coinOfObject(coin, ledger.code)?.amount ?? 0n), 0n);
  if (total < BigInt(data.gasData.budget))
    throw invalidArgument(
      `Unable to perform gas selection due to insufficient SUI balance (in address balance or coins) for account ${data.gasData.owner} to satisfy required budget ${data.gasData.budget}.`,
    );
  return { ...data, gasData: { ...data.gasData, payment: coins.map(refOf) } };
}
