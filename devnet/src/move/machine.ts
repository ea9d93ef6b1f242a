// oxlint-disable eslint/max-lines -- one switch over all instructions, see #execute
import { decode } from './codec.ts';
import type { CompiledModule, FunctionBody, FunctionDefinition } from './compiled-module.ts';
import type { Definitions, FunctionSignature } from './definitions.ts';
import {
  MoveAbort,
  type MoveLocation,
  MoveNotSupported,
  MoveOutOfGas,
  MovePrimitiveFault,
} from './faults.ts';
import type { MoveHost } from './host.ts';
import type { NativeFunction } from './native.ts';
import { entry, literal, pair, variantTable, widthOf } from './operands.ts';
import { substitute, type Type } from './types.ts';
import {
  asBoolean,
  asInteger,
  asStruct,
  asVariant,
  asVector,
  at,
  copy,
  equals,
  type IntegerBits,
  integer,
  MoveMachineError,
  type MoveValue,
  place,
  put,
  u64,
  vector,
} from './values.ts';

/** The code of a chain: published packages, and the framework, whose functions are native here. */
export interface Code extends Definitions {
  module(address: string, name: string): CompiledModule | undefined;
  native(address: string, module: string, name: string): NativeFunction | undefined;
}

/** Sui's limit of nested calls. */
const MAX_DEPTH = 1024;
/**
 * Executes Move bytecode, instruction by instruction as the Move VM specifies it.
 *
 * It trusts the bytecode to have passed a compiler's verifier (this chain has none of its own): bytecode that no
 * compiler would emit ends in a `MoveMachineError`. Framework functions are native (see `native.ts`).
 */
export class Machine {
  readonly #code: Code;
  readonly #host: MoveHost;
  #budget: number;
  #depth = 0;
  #executed = 0;

  constructor(code: Code, host: MoveHost, instructionBudget: number) {
    this.#code = code;
    this.#host = host;
    this.#budget = instructionBudget;
  }

  /** Instructions executed so far: what computation is charged for. */
  get executed(): number {
    return this.#executed;
  }

  /** Calls a function whose arguments are values of the parameters' types; references are places. */
  call(
    address: string,
    moduleName: string,
    name: string,
    typeArgs: readonly Type[],
    args: MoveValue[],
  ): MoveValue[] {
    const native = this.#code.native(address, moduleName, name);
    if (native) return this.#callNative(native, typeArgs, args);
    const module = this.#code.module(address, moduleName);
    const definition = module?.functions.find(({ signature }) => signature.name === name);
    if (!module || !definition)
      throw new MoveNotSupported(
        `${address}::${moduleName}::${name} is not executable here: this dev chain knows published packages and a part of Sui's framework`,
      );
    return this.#run(module, definition, typeArgs, args);
  }

  #callNative(native: NativeFunction, typeArgs: readonly Type[], args: MoveValue[]): MoveValue[] {
    this.#charge(10);
    const { signature } = native;
    const fail = (code: number, where: Partial<MoveLocation> = {}): never => {
      throw new MoveAbort({ ...startOf(signature), ...where }, BigInt(code));
    };
    const fault = (what: string): never => {
      throw new MovePrimitiveFault(startOf(signature), what);
    };
    const result = native.body({
      args,
      typeArgs,
      host: this.#host,
      definitions: this.#code,
      abort: fail,
      fault,
    });
    if (result === undefined) return [];
    return Array.isArray(result) ? result : [result];
  }

  #charge(instructions: number): void {
    this.#executed += instructions;
    if (this.#executed > this.#budget) throw new MoveOutOfGas('the gas budget is used up');
  }

  #run(
    module: CompiledModule,
    definition: FunctionDefinition,
    typeArgs: readonly Type[],
    args: MoveValue[],
  ): MoveValue[] {
    const { body, signature } = definition;
    if (!body) throw new MoveNotSupported(`${module.address}::${module.name}::${signature.name} is native`);
    this.#depth++;
    try {
      if (this.#depth > MAX_DEPTH)
        throw new MovePrimitiveFault(startOf(signature), 'the call stack is too deep');
      return this.#execute(module, body, signature, typeArgs, args);
    } finally {
      this.#depth--;
    }
  }

  /**
   * One switch over all instructions, longer than a function here may be: they share the operand stack and the program counter,
   * and a call for each instruction would halve the speed.
   */
  // oxlint-disable-next-line eslint/max-lines-per-function -- as the comment says
  #execute(
    module: CompiledModule,
    body: FunctionBody,
    signature: FunctionSignature,
    typeArgs: readonly Type[],
    args: MoveValue[],
  ): MoveValue[] {
    // Places refer to the locals, so one array serves both views: `held` is where a local may be empty.
    const locals = args.slice();
    locals.length = body.localCount;
    const held: (MoveValue | undefined)[] = locals;
    const stack: MoveValue[] = [];
    let counter = 0;

    const pop = (): MoveValue => {
      const value = stack.pop();
      if (value === undefined) throw new MoveMachineError('the stack is empty');
      return value;
    };
    const popMany = (count: number): MoveValue[] => {
      if (stack.length < count) throw new MoveMachineError('the stack is too short');
      return stack.splice(stack.length - count, count);
    };
    const fault = (what: string): never => {
      throw new MovePrimitiveFault({ ...startOf(signature), instruction: counter }, what);
    };
    const local = (index: number): MoveValue => {
      const value = held[index];
      if (value === undefined) throw new MoveMachineError(`local ${index} holds nothing`);
      return value;
    };
    const checked = (bits: IntegerBits, value: bigint): MoveValue =>
      value < 0n || value >> BigInt(bits) !== 0n ? fault('arithmetic out of range') : integer(bits, value);
    const arithmetic = (compute: (left: bigint, right: bigint) => bigint): void => {
      const right = asInteger(pop());
      const left = asInteger(pop());
      stack.push(checked(left.bits, compute(left.value, right.value)));
    };
    const compare = (test: (left: bigint, right: bigint) => boolean): void => {
      const right = asInteger(pop());
      const left = asInteger(pop());
      stack.push(test(left.value, right.value));
    };
    const shift = (compute: (value: bigint, by: bigint, bits: IntegerBits) => bigint): void => {
      const by = asInteger(pop());
      const { bits, value } = asInteger(pop());
      if (by.value >= BigInt(bits)) fault('a shift by the whole width');
      stack.push(integer(bits, compute(value, by.value, bits)));
    };
    const itemPlace = (): MoveValue => {
      const index = Number(asInteger(pop()).value);
      const { items } = asVector(at(pop()));
      return index < items.length ? place(items, index) : fault('an index out of bounds');
    };
    const fieldPlace = (position: number): MoveValue => place(asStruct(at(pop())).fields, position);

    for (;;) {
      const step = body.code[counter];
      if (!step) throw new MoveMachineError('execution ran past the end of the function');
      this.#charge(1);
      const { op, operand } = step;
      const number = typeof operand === 'number' ? operand : 0;
      let next = counter + 1;
      switch (op) {
        case 'Nop':
          break;
        case 'Pop':
          pop();
          break;
        case 'Ret':
          return popMany(signature.returns.length);
        case 'Branch':
          next = number;
          break;
        case 'BrTrue':
          if (asBoolean(pop())) next = number;
          break;
        case 'BrFalse':
          if (!asBoolean(pop())) next = number;
          break;
        case 'Abort':
          throw new MoveAbort({ ...startOf(signature), instruction: counter }, asInteger(pop()).value);

        case 'LdTrue':
          stack.push(true);
          break;
        case 'LdFalse':
          stack.push(false);
          break;
        case 'LdU8':
        case 'LdU16':
        case 'LdU32':
        case 'LdU64':
        case 'LdU128':
        case 'LdU256':
          stack.push(integer(widthOf(op.slice(2)), literal(operand)));
          break;
        case 'LdConst': {
          const constant = entry(module.constants, number);
          stack.push(decode(constant.bytes, constant.type, this.#code));
          break;
        }

        case 'CopyLoc':
          stack.push(copy(local(number)));
          break;
        case 'MoveLoc':
          stack.push(local(number));
          held[number] = undefined;
          break;
        case 'StLoc':
          locals[number] = pop();
          break;
        case 'MutBorrowLoc':
        case 'ImmBorrowLoc':
          stack.push(place(locals, number));
          break;
        case 'ReadRef':
          stack.push(copy(at(pop())));
          break;
        case 'WriteRef': {
          const reference = pop();
          put(reference, pop());
          break;
        }
        case 'FreezeRef':
          break;
        case 'MutBorrowField':
        case 'ImmBorrowField':
          stack.push(fieldPlace(entry(module.fieldPositions, number)));
          break;
        case 'MutBorrowFieldGeneric':
        case 'ImmBorrowFieldGeneric':
          stack.push(fieldPlace(entry(module.fieldInstantiationPositions, number)));
          break;

        case 'Pack':
          stack.push({ kind: 'struct', fields: popMany(entry(module.structSizes, number)) });
          break;
        case 'PackGeneric':
          stack.push({ kind: 'struct', fields: popMany(entry(module.structInstantiationSizes, number)) });
          break;
        case 'Unpack':
        case 'UnpackGeneric':
          stack.push(...asStruct(pop()).fields);
          break;
        case 'PackVariant':
        case 'PackVariantGeneric': {
          const { tag, size } = entry(variantTable(module, op), number);
          stack.push({ kind: 'variant', tag, fields: popMany(size) });
          break;
        }
        case 'UnpackVariant':
        case 'UnpackVariantGeneric': {
          const value = asVariant(pop());
          if (value.tag !== entry(variantTable(module, op), number).tag) fault('another variant');
          stack.push(...value.fields);
          break;
        }
        case 'UnpackVariantImmRef':
        case 'UnpackVariantMutRef':
        case 'UnpackVariantGenericImmRef':
        case 'UnpackVariantGenericMutRef': {
          const { tag, fields } = asVariant(at(pop()));
          if (tag !== entry(variantTable(module, op), number).tag) fault('another variant');
          fields.forEach((_, index) => {
            stack.push(place(fields, index));
          });
          break;
        }
        case 'VariantSwitch':
          next = entry(entry(body.jumpTables, number), asVariant(at(pop())).tag);
          break;

        case 'Add':
          arithmetic((left, right) => left + right);
          break;
        case 'Sub':
          arithmetic((left, right) => left - right);
          break;
        case 'Mul':
          arithmetic((left, right) => left * right);
          break;
        case 'Div':
          arithmetic((left, right) => (right === 0n ? -1n : left / right));
          break;
        case 'Mod':
          arithmetic((left, right) => (right === 0n ? -1n : left % right));
          break;
        case 'BitOr':
          arithmetic((left, right) => left | right);
          break;
        case 'BitAnd':
          arithmetic((left, right) => left & right);
          break;
        case 'Xor':
          arithmetic((left, right) => left ^ right);
          break;
        case 'Shl':
          shift((value, by, bits) => BigInt.asUintN(bits, value << by));
          break;
        case 'Shr':
          shift((value, by) => value >> by);
          break;
        case 'Or': {
          const right = asBoolean(pop());
          stack.push(asBoolean(pop()) || right);
          break;
        }
        case 'And': {
          const right = asBoolean(pop());
          stack.push(asBoolean(pop()) && right);
          break;
        }
        case 'Not':
          stack.push(!asBoolean(pop()));
          break;
        case 'Eq': {
          const right = pop();
          stack.push(equals(pop(), right));
          break;
        }
        case 'Neq': {
          const right = pop();
          stack.push(!equals(pop(), right));
          break;
        }
        case 'Lt':
          compare((left, right) => left < right);
          break;
        case 'Gt':
          compare((left, right) => left > right);
          break;
        case 'Le':
          compare((left, right) => left <= right);
          break;
        case 'Ge':
          compare((left, right) => left >= right);
          break;
        case 'CastU8':
        case 'CastU16':
        case 'CastU32':
        case 'CastU64':
        case 'CastU128':
        case 'CastU256':
          stack.push(checked(widthOf(op.slice(4)), asInteger(pop()).value));
          break;

        case 'VecPack': {
          const [, count] = pair(operand);
          stack.push(vector(popMany(count)));
          break;
        }
        case 'VecUnpack': {
          const [, count] = pair(operand);
          const { items } = asVector(pop());
          if (items.length !== count) fault('a vector of another length');
          stack.push(...items);
          break;
        }
        case 'VecLen':
          stack.push(u64(asVector(at(pop())).items.length));
          break;
        case 'VecImmBorrow':
        case 'VecMutBorrow':
          stack.push(itemPlace());
          break;
        case 'VecPushBack': {
          const item = pop();
          asVector(at(pop())).items.push(item);
          break;
        }
        case 'VecPopBack': {
          const item = asVector(at(pop())).items.pop();
          stack.push(item ?? fault('a pop from an empty vector'));
          break;
        }
        case 'VecSwap': {
          const second = Number(asInteger(pop()).value);
          const first = Number(asInteger(pop()).value);
          const { items } = asVector(at(pop()));
          const [left, right] = [items[first], items[second]];
          if (left === undefined || right === undefined) return fault('an index out of bounds');
          items[first] = right;
          items[second] = left;
          break;
        }

        case 'Call':
        case 'CallGeneric': {
          const instantiation = op === 'Call' ? undefined : entry(module.callInstantiations, number);
          const handle = entry(module.functionHandles, instantiation?.handle ?? number);
          const callArgs = popMany(handle.parameterCount);
          const callTypeArgs = instantiation
            ? entry(module.signatures, instantiation.signature).map((type) => substitute(type, typeArgs))
            : [];
          stack.push(...this.call(handle.address, handle.module, handle.name, callTypeArgs, callArgs));
          break;
        }
        default:
          throw new MoveNotSupported(`the instruction ${op} is not executable here`);
      }
      counter = next;
    }
  }
}

const startOf = (signature: FunctionSignature): MoveLocation => ({
  address: signature.address,
  module: signature.module,
  functionIndex: signature.index,
  functionName: signature.name,
  instruction: 0,
});
