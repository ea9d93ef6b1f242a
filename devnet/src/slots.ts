import {
  asStruct,
  balanceOf,
  field,
  ID_TYPE,
  isDatatype,
  isSameType,
  type MoveValue,
  STD,
  type Type,
} from './move/index.ts';
import type { StoredObject } from './objects.ts';

/** How a transaction holds an input. */
type InputAccess = 'owned' | 'immutable' | 'shared-mutable' | 'shared-read-only';

/** An object given to a transaction, or one of its coins. */
export interface ObjectInput {
  readonly object: StoredObject & { readonly kind: 'move' };
  readonly access: InputAccess;
}

/** A place in which a value of the transaction lives: an input, the gas coin, or a result. */
export interface Slot {
  /** The type; pure bytes have none before their first use. */
  type: Type | undefined;
  /** Holds the value, or nothing once it was moved. */
  readonly cell: MoveValue[];
  readonly pure: Uint8Array | undefined;
  readonly object: ObjectInput | undefined;
  readonly isGas: boolean;
}

/** Bytes that have no type before they are used. */
export const pureSlot = (pure: Uint8Array): Slot => ({
  type: undefined,
  cell: [],
  pure,
  object: undefined,
  isGas: false,
});

export const resultSlot = (type: Type, value: MoveValue): Slot => ({
  type,
  cell: [value],
  pure: undefined,
  object: undefined,
  isGas: false,
});

export const isReadOnly = ({ object }: Slot): boolean =>
  object?.access === 'immutable' || object?.access === 'shared-read-only';

/** Gives the coin in a slot another balance. */
export function setBalance(slot: Slot, amount: bigint): void {
  const coin = asStruct(slot.cell[0]);
  slot.cell[0] = { kind: 'struct', fields: [field(coin, 0), balanceOf(amount)] };
}

/** Types that may come as plain bytes: anything that owns nothing on chain. */
export function mayBePure(type: Type): boolean {
  switch (type.kind) {
    case 'vector':
      return mayBePure(type.element);
    case 'datatype':
      if (isDatatype(type, STD, 'option', 'Option')) return type.args.every(mayBePure);
      return (
        isDatatype(type, STD, 'string', 'String') ||
        isDatatype(type, STD, 'ascii', 'String') ||
        isSameType(type, ID_TYPE)
      );
    case 'signer':
    case 'reference':
    case 'parameter':
      return false;
    default:
      return true;
  }
}
