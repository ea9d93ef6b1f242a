import type { bcs } from '@mysten/sui/bcs';
import { argumentFailure, ExecutionFailure } from './failure.ts';
import {
  abilitiesOf,
  BcsError,
  type Code,
  copy,
  type DatatypeType,
  decode,
  isCoin,
  isSameType,
  type MoveValue,
  place,
  type Type,
} from './move/index.ts';
import { isReadOnly, mayBePure, type Slot } from './slots.ts';

export type Argument = typeof bcs.Argument.$inferType;

/** What the arguments of a programmable transaction's commands stand for: inputs, the gas coin, results of earlier commands. */
export class CommandArguments {
  readonly #inputs: readonly Slot[];
  readonly #gas: Slot;
  readonly #results: readonly Slot[][];
  readonly #code: Code;

  constructor(options: { inputs: readonly Slot[]; gas: Slot; results: readonly Slot[][]; code: Code }) {
    this.#inputs = options.inputs;
    this.#gas = options.gas;
    this.#results = options.results;
    this.#code = options.code;
  }

  slot(argument: Argument, index: number): Slot {
    switch (argument.$kind) {
      case 'GasCoin':
        return this.#gas;
      case 'Input':
        return this.#inputs[argument.Input] ?? fail(index, 'IndexOutOfBounds');
      case 'Result': {
        const results = this.#results[argument.Result] ?? fail(index, 'IndexOutOfBounds');
        const [only] = results;
        if (!only || results.length !== 1) throw argumentFailure(index, 'InvalidResultArity');
        return only;
      }
      case 'NestedResult': {
        const [command, result] = argument.NestedResult;
        const results = this.#results[command] ?? fail(index, 'IndexOutOfBounds');
        return results[result] ?? fail(index, 'SecondaryIndexOutOfBounds');
      }
    }
  }

  /** The value for a parameter: a place for references, the value itself (moved or copied) otherwise. */
  value(argument: Argument, type: Type, index: number): MoveValue {
    const slot = this.slot(argument, index);
    const wanted = type.kind === 'reference' ? type.to : type;
    if (slot.pure && slot.cell.length === 0) {
      const value = this.#readPure(slot.pure, wanted, index);
      if (type.kind !== 'reference') return value;
      // A reference needs a place that stays, and later uses see what was written through it.
      slot.cell.push(value);
      slot.type = wanted;
    }
    if (slot.cell.length === 0) throw argumentFailure(index, 'ArgumentWithoutValue');
    if (!slot.type || !isSameType(slot.type, wanted)) throw argumentFailure(index, 'TypeMismatch');
    if (type.kind === 'reference') {
      if (type.isMutable && isReadOnly(slot)) throw argumentFailure(index, 'InvalidObjectByMutRef');
      return place(slot.cell, 0);
    }
    if (abilitiesOf(type, this.#code).has('copy')) return copy(slot.cell[0] as MoveValue);
    if (slot.isGas) throw argumentFailure(index, 'InvalidGasCoinUsage');
    return this.#take(slot, index);
  }

  #take(slot: Slot, index: number): MoveValue {
    const access = slot.object?.access;
    if (access === 'immutable' || access === 'shared-read-only')
      throw argumentFailure(index, 'InvalidObjectByValue');
    return slot.cell.pop() ?? fail(index, 'ArgumentWithoutValue');
  }

  takeObject(argument: Argument, index: number, mayBeGas: boolean): { type: DatatypeType; value: MoveValue } {
    const slot = this.slot(argument, index);
    if (slot.cell.length === 0)
      throw argumentFailure(index, slot.pure ? 'TypeMismatch' : 'ArgumentWithoutValue');
    if (slot.isGas && !mayBeGas) throw argumentFailure(index, 'InvalidGasCoinUsage');
    const { type } = slot;
    if (type?.kind !== 'datatype' || !abilitiesOf(type, this.#code).has('key'))
      throw argumentFailure(index, 'TypeMismatch');
    if (slot.object?.access === 'shared-mutable' && mayBeGas)
      throw new ExecutionFailure({ SharedObjectOperationNotAllowed: true });
    return { type, value: this.#take(slot, index) };
  }

  coin(argument: Argument, index: number): { slot: Slot; type: DatatypeType } {
    const slot = this.slot(argument, index);
    if (slot.cell.length === 0)
      throw argumentFailure(index, slot.pure ? 'TypeMismatch' : 'ArgumentWithoutValue');
    const { type } = slot;
    if (!type || !isCoin(type)) throw argumentFailure(index, 'TypeMismatch');
    if (isReadOnly(slot)) throw argumentFailure(index, 'InvalidObjectByMutRef');
    return { slot, type };
  }

  #readPure(bytes: Uint8Array, type: Type, index: number): MoveValue {
    if (!mayBePure(type)) throw argumentFailure(index, 'InvalidUsageOfPureArg');
    try {
      return decode(bytes, type, this.#code);
    } catch (error) {
      if (error instanceof BcsError) throw argumentFailure(index, 'InvalidBCSBytes');
      throw error;
    }
  }
}

function fail(index: number, problem: Parameters<typeof argumentFailure>[1]): never {
  throw argumentFailure(index, problem);
}
