import type { CompiledModule } from './compiled-module.ts';
import { type IntegerBits, MoveMachineError } from './values.ts';

const WIDTHS: Readonly<Record<string, IntegerBits>> = {
  U8: 8,
  U16: 16,
  U32: 32,
  U64: 64,
  U128: 128,
  U256: 256,
};

export const variantTable = (module: CompiledModule, op: string) =>
  op.includes('Generic') ? module.variantInstantiations : module.variants;

export function entry<T>(table: readonly T[], index: number): T {
  const found = table[index];
  if (found === undefined) throw new MoveMachineError(`a table of the module has no entry ${index}`);
  return found;
}

export function widthOf(name: string): IntegerBits {
  const bits = WIDTHS[name];
  if (!bits) throw new MoveMachineError(`${name} is no integer type`);
  return bits;
}

/** Wide literals arrive as bigint, or as little-endian bytes. */
export function literal(operand: unknown): bigint {
  if (typeof operand === 'number' || typeof operand === 'bigint' || typeof operand === 'string')
    return BigInt(operand);
  if (Array.isArray(operand) || operand instanceof Uint8Array) {
    let value = 0n;
    Array.from(operand as ArrayLike<number>).forEach((byte, index) => {
      value |= BigInt(byte) << BigInt(8 * index);
    });
    return value;
  }
  throw new MoveMachineError('a literal of unknown form');
}

export function pair(operand: unknown): [number, number] {
  if (!Array.isArray(operand)) throw new MoveMachineError('an operand of unknown form');
  return [Number(operand[0]), Number(operand[1])];
}
