import { GrpcTypes } from '@mysten/sui/grpc';
import { type ExecutionFailure, type FailureReason, nameOf } from './failure.ts';
import { type MoveAbort, type MoveLocation, readCleverError } from './move/index.ts';
import type { RunCode } from './run-code.ts';

const {
  ExecutionError_ExecutionErrorKind: Kind,
  CommandArgumentError_CommandArgumentErrorKind: ArgumentKind,
  TypeArgumentError_TypeArgumentErrorKind: TypeArgumentKind,
} = GrpcTypes;

/** Names in BCS are those of the node's source; on the wire some of them were given others. */
const RENAMED: Readonly<Record<string, GrpcTypes.ExecutionError_ExecutionErrorKind>> = {
  SharedObjectOperationNotAllowed: Kind.CONSENSUS_OBJECT_OPERATION_NOT_ALLOWED,
  VMVerificationOrDeserializationError: Kind.VM_VERIFICATION_OR_DESERIALIZATION_ERROR,
  VMInvariantViolation: Kind.VM_INVARIANT_VIOLATION,
  MoveObjectTooBig: Kind.OBJECT_TOO_BIG,
  MovePackageTooBig: Kind.PACKAGE_TOO_BIG,
};
const ARGUMENT_RENAMED: Readonly<Record<string, GrpcTypes.CommandArgumentError_CommandArgumentErrorKind>> = {
  InvalidUsageOfPureArg: ArgumentKind.INVALID_USAGE_OF_PURE_ARGUMENT,
  InvalidBCSBytes: ArgumentKind.INVALID_BCS_BYTES,
  InvalidObjectByMutRef: ArgumentKind.INVALID_OBJECT_BY_MUT_REF,
  SharedObjectOperationNotAllowed: ArgumentKind.CONSENSUS_OBJECT_OPERATION_NOT_ALLOWED,
};

const upper = (name: string): string => name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();

function lookUp<T extends number>(
  values: object,
  renamed: Readonly<Record<string, T>>,
  name: string,
  byDefault: T,
): T {
  return renamed[name] ?? ((values as Record<string, T>)[upper(name)] as T | undefined) ?? byDefault;
}

export function renderError(failure: ExecutionFailure, code: RunCode): GrpcTypes.ExecutionError {
  const error: GrpcTypes.ExecutionError = {
    description: descriptionOf(failure),
    kind: lookUp(Kind, RENAMED, nameOf(failure.reason), Kind.EXECUTION_ERROR_KIND_UNKNOWN),
    errorDetails: detailsOf(failure, code),
  };
  if (failure.command !== undefined) error.command = BigInt(failure.command);
  return error;
}

const descriptionOf = ({ message, command }: ExecutionFailure): string =>
  command === undefined ? message : `${message} in command ${command}`;

function detailsOf(failure: ExecutionFailure, code: RunCode): GrpcTypes.ExecutionError['errorDetails'] {
  if (failure.abort) return { oneofKind: 'abort', abort: renderAbort(failure.abort, code) };
  const reason = failure.reason as Readonly<Record<string, unknown>>;
  if ('CommandArgumentError' in reason) {
    const { argIdx, kind } = reason.CommandArgumentError as { argIdx: number; kind: FailureReason };
    return {
      oneofKind: 'commandArgumentError',
      commandArgumentError: {
        argument: argIdx,
        kind: lookUp(
          ArgumentKind,
          ARGUMENT_RENAMED,
          nameOf(kind),
          ArgumentKind.COMMAND_ARGUMENT_ERROR_KIND_UNKNOWN,
        ),
      },
    };
  }
  if ('TypeArgumentError' in reason) {
    const { argumentIdx, kind } = reason.TypeArgumentError as { argumentIdx: number; kind: FailureReason };
    return {
      oneofKind: 'typeArgumentError',
      typeArgumentError: {
        typeArgument: argumentIdx,
        kind: lookUp(TypeArgumentKind, {}, nameOf(kind), TypeArgumentKind.TYPE_ARGUMENT_ERROR_KIND_UNKNOWN),
      },
    };
  }
  if ('UnusedValueWithoutDrop' in reason) {
    const { resultIdx, secondaryIdx } = reason.UnusedValueWithoutDrop as {
      resultIdx: number;
      secondaryIdx: number;
    };
    return { oneofKind: 'indexError', indexError: { index: resultIdx, subresult: secondaryIdx } };
  }
  return { oneofKind: undefined };
}

function renderAbort(abort: MoveAbort, code: RunCode): GrpcTypes.MoveAbort {
  const { location } = abort;
  const clever = readCleverError(abort.code, code.module(location.address, location.module));
  const rendered: GrpcTypes.MoveAbort = { abortCode: abort.code, location: renderLocation(location) };
  if (!clever) return rendered;
  rendered.cleverError = {
    lineNumber: BigInt(clever.lineNumber),
    ...(clever.errorCode === undefined ? {} : { errorCode: BigInt(clever.errorCode) }),
    ...(clever.constantName === undefined ? {} : { constantName: clever.constantName }),
    ...(clever.constantType === undefined ? {} : { constantType: clever.constantType }),
    value: cleverValue(clever),
  };
  return rendered;
}

function cleverValue(clever: {
  readonly rendered: string | undefined;
  readonly raw: Uint8Array | undefined;
}): GrpcTypes.CleverError['value'] {
  if (clever.rendered !== undefined) return { oneofKind: 'rendered', rendered: clever.rendered };
  return clever.raw === undefined ? { oneofKind: undefined } : { oneofKind: 'raw', raw: clever.raw };
}

const renderLocation = (location: MoveLocation): GrpcTypes.MoveLocation => ({
  package: location.address,
  module: location.module,
  function: location.functionIndex,
  instruction: location.instruction,
  functionName: location.functionName,
});
