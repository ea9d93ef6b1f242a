import type { bcs } from '@mysten/sui/bcs';
import {
  MoveAbort,
  type MoveLocation,
  MoveNotSupported,
  MoveOutOfGas,
  MovePrimitiveFault,
} from './move/index.ts';

type Effects = typeof bcs.TransactionEffects.$inferInput;
type EffectsV2 = Extract<Effects, { V2: unknown }>['V2'];
type Status = EffectsV2['status'];
type FailureStatus = Extract<Status, { Failure: unknown }>['Failure'];
/** Why a transaction that was executed did not succeed, in the form that goes into its effects. */
export type FailureReason = FailureStatus['error'];

/** Ends the execution of a transaction: charged, recorded, without success. */
export class ExecutionFailure extends Error {
  override readonly name = 'ExecutionFailure';
  readonly reason: FailureReason;
  readonly command: number | undefined;
  /** Where an abort happened, for its clever error. */
  readonly abort: MoveAbort | undefined;

  constructor(reason: FailureReason, command?: number, message?: string, abort?: MoveAbort) {
    super(message ?? describe(reason));
    this.reason = reason;
    this.command = command;
    this.abort = abort;
  }

  at(command: number): ExecutionFailure {
    return new ExecutionFailure(this.reason, command, this.message, this.abort);
  }
}

export type ArgumentProblem =
  | 'TypeMismatch'
  | 'InvalidBCSBytes'
  | 'InvalidUsageOfPureArg'
  | 'IndexOutOfBounds'
  | 'SecondaryIndexOutOfBounds'
  | 'InvalidGasCoinUsage'
  | 'InvalidValueUsage'
  | 'InvalidObjectByValue'
  | 'InvalidObjectByMutRef'
  | 'InvalidMakeMoveVecNonObjectArgument'
  | 'ArgumentWithoutValue'
  | 'InvalidResultArity';

export function argumentFailure(argument: number, problem: ArgumentProblem): ExecutionFailure {
  const kind =
    problem === 'IndexOutOfBounds'
      ? { IndexOutOfBounds: { idx: argument } }
      : problem === 'SecondaryIndexOutOfBounds'
        ? { SecondaryIndexOutOfBounds: { resultIdx: argument, secondaryIdx: 0 } }
        : problem === 'InvalidResultArity'
          ? { InvalidResultArity: { resultIdx: argument } }
          : { [problem]: true };
  return new ExecutionFailure(
    { CommandArgumentError: { argIdx: argument, kind } } as unknown as FailureReason,
    undefined,
    `Invalid command argument at ${argument}. ${problem}`,
  );
}

const locationToBcs = (location: MoveLocation) => ({
  module: { address: location.address, name: location.module },
  function: location.functionIndex,
  instruction: location.instruction,
  functionName: location.functionName,
});

/** What a fault of the Move machine becomes in the effects; anything else is an error of this program. */
export function failureOf(error: unknown): ExecutionFailure | undefined {
  if (error instanceof ExecutionFailure) return error;
  if (error instanceof MoveAbort)
    return new ExecutionFailure(
      { MoveAbort: [locationToBcs(error.location), error.code] },
      undefined,
      error.message,
      error,
    );
  if (error instanceof MovePrimitiveFault)
    return new ExecutionFailure(
      { MovePrimitiveRuntimeError: locationToBcs(error.location) },
      undefined,
      `Move Primitive Runtime Error: ${error.message}`,
    );
  if (error instanceof MoveOutOfGas) return new ExecutionFailure({ InsufficientGas: true }, undefined);
  if (error instanceof MoveNotSupported)
    return new ExecutionFailure({ FeatureNotYetSupported: true }, undefined, error.message);
  return undefined;
}

/** The name of the reason, as `ExecutionFailureStatus` calls it. */
export const nameOf = (reason: FailureReason): string =>
  Object.keys(reason).find((key) => key !== '$kind') ?? 'Unknown';

const SENTENCES: Readonly<Record<string, string>> = {
  InsufficientGas: 'Insufficient Gas.',
  InsufficientCoinBalance: 'Insufficient coin balance for operation.',
  CoinBalanceOverflow: 'The coin balance overflows u64.',
  InvalidTransferObject:
    'Invalid Transfer Object. Possibly not address-owned or possibly does not have public transfer.',
  FunctionNotFound: 'Function Not Found.',
  ArityMismatch:
    'Arity mismatch for Move function: the number of arguments differs from the number of parameters.',
  TypeArityMismatch: 'Type arity mismatch for Move function.',
  NonEntryFunctionInvoked:
    'Non Entry Function Invoked. Move Call must start with an entry or a public function.',
  VMVerificationOrDeserializationError:
    'Move Bytecode Verification Error. Please run the Bytecode Verifier for more information.',
  PublishErrorNonZeroAddress:
    'Publish Error, Non-zero Address. The modules must be compiled for address 0x0.',
  PublishUpgradeMissingDependency: 'Publish/Upgrade Error, Missing dependency.',
  SharedObjectOperationNotAllowed:
    'The shared object operation is not allowed: it can only be deleted or shared again.',
};

const describe = (reason: FailureReason): string => SENTENCES[nameOf(reason)] ?? nameOf(reason);
