import { GrpcStatusCode } from '@mysten/sui/grpc';
import { normalizeSuiAddress } from '@mysten/sui/utils';

const MAX_MESSAGE = 1_000;

/** Ends a call with a gRPC status. `message` is what a client sees. */
export class RpcStatus extends Error {
  override readonly name = 'RpcStatus';
  readonly code: GrpcStatusCode;
  readonly violations: readonly FieldViolation[];

  constructor(code: GrpcStatusCode, message: string, violations: readonly FieldViolation[] = []) {
    // It travels in a header: one that repeats megabytes of a bad value ends the connection instead.
    super(message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message);
    this.code = code;
    this.violations = violations;
  }
}

/** One entry of google.rpc.BadRequest. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
  readonly reason: 'FIELD_INVALID' | 'FIELD_MISSING';
}

export const invalidArgument = (message: string): RpcStatus =>
  new RpcStatus(GrpcStatusCode.INVALID_ARGUMENT, message);
export const notFound = (message: string): RpcStatus => new RpcStatus(GrpcStatusCode.NOT_FOUND, message);
export const internal = (message: string): RpcStatus => new RpcStatus(GrpcStatusCode.INTERNAL, message);

/** A request that does not make sense: INVALID_ARGUMENT with the field that is wrong. */
export function fieldInvalid(field: string, text: string): RpcStatus {
  const description = text.slice(0, MAX_MESSAGE);
  return new RpcStatus(GrpcStatusCode.INVALID_ARGUMENT, description, [
    { field, description, reason: 'FIELD_INVALID' },
  ]);
}

export function fieldMissing(field: string): RpcStatus {
  const description = `missing ${field}`;
  return new RpcStatus(GrpcStatusCode.INVALID_ARGUMENT, description, [
    { field, description, reason: 'FIELD_MISSING' },
  ]);
}

/** An address or object id in the forms that a node reads: `0x` and 1 to 64 hexadecimal digits. */
export function idField(field: string, value: string): string {
  if (!/^0x[0-9a-fA-F]{1,64}$/.test(value)) throw fieldInvalid(field, `invalid ${field}: ${value}`);
  return normalizeSuiAddress(value);
}

/** An input of a transaction that a node refuses before it runs, said as a simulation says it. */
export class InputError extends Error {
  override readonly name = 'InputError';
  /** ABORTED instead of INVALID_ARGUMENT: the node may come to know the object later. */
  readonly isTransient: boolean;

  constructor(message: string, isTransient = false) {
    super(message);
    this.isTransient = isTransient;
  }
}

export const simulationStatus = (error: InputError): RpcStatus =>
  invalidArgument(`Error checking transaction input objects: ${error.message}`);

export const executionStatus = (error: InputError): RpcStatus =>
  error.isTransient
    ? new RpcStatus(
        GrpcStatusCode.ABORTED,
        `Transaction processing aborted (retriable with the same transaction). Retriable errors: [${error.message}]`,
      )
    : invalidArgument(
        `Transaction is rejected as invalid by more than 1/3 of validators by stake (non-retriable). Non-retriable errors: [${error.message}]`,
      );

// --- google.rpc.Status on the wire ------------------------------------------------------------------------------

const BAD_REQUEST = '/google.rpc.BadRequest';
const varint = (value: number): number[] =>
  value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
const bytesField = (number: number, bytes: Uint8Array): Uint8Array =>
  Uint8Array.from([...varint((number << 3) | 2), ...varint(bytes.length), ...bytes]);
const textField = (number: number, text: string): Uint8Array => bytesField(number, Buffer.from(text));

/** google.rpc.Status as protobuf: what the trailer `grpc-status-details-bin` carries, base64 without padding. */
export function encodeStatus({ code, message, violations }: RpcStatus): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.from([1 << 3, ...varint(code)]), textField(2, message)];
  if (violations.length > 0) {
    const badRequest = Buffer.concat(
      violations.map(({ field, description, reason }) =>
        bytesField(1, Buffer.concat([textField(1, field), textField(2, description), textField(3, reason)])),
      ),
    );
    parts.push(bytesField(3, Buffer.concat([textField(1, BAD_REQUEST), bytesField(2, badRequest)])));
  }
  return Buffer.concat(parts);
}
