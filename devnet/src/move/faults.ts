/** Where Move code stopped. `functionIndex` and `instruction` are offsets in the compiled module. */
export interface MoveLocation {
  readonly address: string;
  readonly module: string;
  readonly functionIndex: number;
  readonly functionName: string;
  readonly instruction: number;
}

/** Base of everything by which running Move code ends without success. */
export abstract class MoveFault extends Error {}

/** `abort` or a failed `assert!`. */
export class MoveAbort extends MoveFault {
  override readonly name = 'MoveAbort';
  readonly location: MoveLocation;
  readonly code: bigint;

  constructor(location: MoveLocation, code: bigint) {
    super(`abort ${code} in ${location.address}::${location.module}::${location.functionName}`);
    this.location = location;
    this.code = code;
  }
}

/** Arithmetic out of range, division by zero, an index out of bounds, a cast that does not fit. */
export class MovePrimitiveFault extends MoveFault {
  override readonly name = 'MovePrimitiveFault';
  readonly location: MoveLocation;

  constructor(location: MoveLocation, what: string) {
    super(`${what} in ${location.address}::${location.module}::${location.functionName}`);
    this.location = location;
  }
}

/** More instructions than the gas budget pays for. */
export class MoveOutOfGas extends MoveFault {
  override readonly name = 'MoveOutOfGas';
}

/** A function that exists on a real chain, but that this machine has not. */
export class MoveNotSupported extends MoveFault {
  override readonly name = 'MoveNotSupported';
}
