import type { bcs } from '@mysten/sui/bcs';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import { fromBase64 } from './base64.ts';
import { type Argument, CommandArguments } from './command-arguments.ts';
import { argumentFailure, ExecutionFailure, failureOf } from './failure.ts';
import {
  abilitiesOf,
  asAddress,
  asInteger,
  type Code,
  coinBalance,
  coinWith,
  copy,
  decode,
  encode,
  type FunctionSignature,
  formatType,
  idOfObject,
  isSameType,
  isTxContextParameter,
  type Machine,
  type MoveValue,
  parseType,
  place,
  STD,
  SUI,
  substitute,
  type Type,
  txContext,
  UPGRADE_CAP_TYPE,
  upgradeCap,
  vector,
} from './move/index.ts';
import type { PublishedPackage } from './packages.ts';
import { type ObjectInput, pureSlot, resultSlot, type Slot, setBalance } from './slots.ts';
import type { TransactionHost } from './transaction-host.ts';

export type Command = typeof bcs.Command.$inferType;

/** What a simulation shows of a command: its results, and what it changed through `&mut`. */
export interface CommandOutput {
  readonly returnValues: readonly TypedBytes[];
  readonly mutated: ReadonlyArray<TypedBytes & { readonly argument: Argument }>;
}

export interface TypedBytes {
  readonly type: string;
  readonly bytes: Uint8Array;
}

export interface Publisher {
  /** Stores the modules under a fresh id; throws an `ExecutionFailure` for modules that cannot be. */
  publish(
    modules: readonly Uint8Array[],
    dependencies: readonly string[],
    packageId: string,
  ): PublishedPackage;
}

const U64_MAX = 2n ** 64n - 1n;

/** Runs the commands of a programmable transaction over its inputs. */
export class ProgrammableRun {
  readonly outputs: CommandOutput[] = [];
  readonly #inputs: readonly Slot[];
  readonly #gas: Slot;
  readonly #results: Slot[][] = [];
  readonly #arguments: CommandArguments;
  readonly #machine: Machine;
  readonly #host: TransactionHost;
  readonly #code: Code;
  readonly #publisher: Publisher;
  readonly #isChecked: boolean;

  constructor(options: {
    inputs: ReadonlyArray<ObjectInput | Uint8Array>;
    gas: ObjectInput | undefined;
    gasValue: bigint;
    machine: Machine;
    host: TransactionHost;
    code: Code;
    publisher: Publisher;
    /** False in a simulation without checks, which may call what a transaction may not. */
    isChecked: boolean;
  }) {
    this.#machine = options.machine;
    this.#host = options.host;
    this.#code = options.code;
    this.#publisher = options.publisher;
    this.#isChecked = options.isChecked;
    this.#inputs = options.inputs.map((input) =>
      input instanceof Uint8Array ? pureSlot(input) : this.#objectSlot(input),
    );
    const { gas } = options;
    this.#gas = {
      type: gas?.object.type,
      cell: gas ? [coinWith(gas.object.id, options.gasValue)] : [],
      pure: undefined,
      object: gas,
      isGas: true,
    };
    this.#arguments = new CommandArguments({
      inputs: this.#inputs,
      gas: this.#gas,
      results: this.#results,
      code: options.code,
    });
  }

  /** Executes all commands; throws an `ExecutionFailure` that names the command which failed. */
  run(commands: readonly Command[]): void {
    commands.forEach((command, index) => {
      try {
        this.#results.push(this.#execute(command));
      } catch (error) {
        const failure = failureOf(error);
        if (!failure) throw error;
        throw failure.at(index);
      }
    });
    if (this.#isChecked) this.#checkLeftovers();
  }

  /** The gas coin's balance after the commands, or nothing if it was given away. */
  get gasValue(): bigint | undefined {
    const [coin] = this.#gas.cell;
    return coin === undefined ? undefined : coinBalance(coin);
  }

  /** Inputs as they stand after the commands: their new contents, or nothing for those that were moved. */
  inputsAfter(): Map<string, { input: ObjectInput; contents: Uint8Array | undefined }> {
    return new Map(
      this.#inputs.flatMap((slot) => {
        if (!slot.object) return [];
        const [value] = slot.cell;
        const { type } = slot.object.object;
        const contents = value === undefined ? undefined : encode(value, type, this.#code);
        return [[slot.object.object.id, { input: slot.object, contents }] as const];
      }),
    );
  }

  #objectSlot(input: ObjectInput): Slot {
    return {
      type: input.object.type,
      cell: [decode(input.object.contents, input.object.type, this.#code)],
      pure: undefined,
      object: input,
      isGas: false,
    };
  }

  #execute(command: Command): Slot[] {
    switch (command.$kind) {
      case 'MoveCall':
        return this.#moveCall(command.MoveCall);
      case 'TransferObjects':
        return this.#transferObjects(command.TransferObjects);
      case 'SplitCoins':
        return this.#splitCoins(command.SplitCoins);
      case 'MergeCoins':
        return this.#mergeCoins(command.MergeCoins);
      case 'MakeMoveVec':
        return this.#makeVector(command.MakeMoveVec);
      case 'Publish':
        return this.#publish(command.Publish);
      default:
        throw new ExecutionFailure(
          { FeatureNotYetSupported: true },
          undefined,
          `${command.$kind} is not executable here: this development chain does not upgrade packages`,
        );
    }
  }

  // --- commands ------------------------------------------------------------------------------------------------

  #moveCall(call: Extract<Command, { $kind: 'MoveCall' }>['MoveCall']): Slot[] {
    const packageId = normalizeSuiAddress(call.package);
    const signature = this.#signature(packageId, call.module, call.function);
    if (this.#isChecked && signature.visibility !== 'public' && !signature.isEntry)
      throw new ExecutionFailure({ NonEntryFunctionInvoked: true });
    const typeArgs = call.typeArguments.map(parseType);
    if (typeArgs.length !== signature.typeParameters.length)
      throw new ExecutionFailure({ TypeArityMismatch: true });
    typeArgs.forEach((argument, index) => {
      this.#checkTypeArgument(argument, signature, index);
    });

    const parameters = signature.parameters.map((type) => substitute(type, typeArgs));
    const given = parameters.filter((type) => !isTxContextParameter(type)).length;
    if (given !== call.arguments.length) throw new ExecutionFailure({ ArityMismatch: true });

    let next = 0;
    const mutated: { argument: Argument; slot: Slot; type: Type }[] = [];
    const args = parameters.map((type) => {
      if (isTxContextParameter(type)) return place([txContext()], 0);
      const index = next++;
      const argument = call.arguments[index] as Argument;
      const value = this.#arguments.value(argument, type, index);
      if (type.kind === 'reference' && type.isMutable)
        mutated.push({ argument, slot: this.#arguments.slot(argument, index), type: type.to });
      return value;
    });

    this.#host.emitter = { packageId, module: call.module };
    const values = this.#machine.call(packageId, call.module, call.function, typeArgs, args);
    const returned = signature.returns.map((type) => substitute(type, typeArgs));
    const results = values.map((value, index): Slot => {
      const type = returned[index] as Type;
      // A returned reference is read at once: later commands see what it pointed at.
      const held = type.kind === 'reference' ? copy(readThrough(value)) : value;
      return resultSlot(type.kind === 'reference' ? type.to : type, held);
    });
    this.outputs.push({
      returnValues: results.map((slot) => this.#bytesOf(slot)),
      mutated: mutated.flatMap(({ argument, slot }) =>
        slot.cell.length > 0 ? [{ argument, ...this.#bytesOf(slot) }] : [],
      ),
    });
    return results;
  }

  #transferObjects(command: Extract<Command, { $kind: 'TransferObjects' }>['TransferObjects']): Slot[] {
    const address = asAddress(
      this.#arguments.value(command.address, { kind: 'address' }, command.objects.length),
    );
    command.objects.forEach((argument, index) => {
      const { type, value } = this.#arguments.takeObject(argument, index, true);
      if (!abilitiesOf(type, this.#code).has('store'))
        throw new ExecutionFailure({ InvalidTransferObject: true });
      this.#host.transfer(type, value, { kind: 'address', address });
    });
    this.outputs.push({ returnValues: [], mutated: [] });
    return [];
  }

  #splitCoins(command: Extract<Command, { $kind: 'SplitCoins' }>['SplitCoins']): Slot[] {
    const coin = this.#arguments.coin(command.coin, 0);
    const results = command.amounts.map((argument, index) => {
      const amount = asInteger(this.#arguments.value(argument, { kind: 'u64' }, index + 1)).value;
      const left = coinBalance(coin.slot.cell[0]) - amount;
      if (left < 0n) throw new ExecutionFailure({ InsufficientCoinBalance: true });
      setBalance(coin.slot, left);
      const id = this.#host.freshId();
      this.#host.created(id);
      return resultSlot(coin.type, coinWith(id, amount));
    });
    this.outputs.push({
      returnValues: results.map((slot) => this.#bytesOf(slot)),
      mutated: [{ argument: command.coin, ...this.#bytesOf(coin.slot) }],
    });
    return results;
  }

  #mergeCoins(command: Extract<Command, { $kind: 'MergeCoins' }>['MergeCoins']): Slot[] {
    const destination = this.#arguments.coin(command.destination, 0);
    command.sources.forEach((argument, index) => {
      const { type, value } = this.#arguments.takeObject(argument, index + 1, false);
      if (!isSameType(type, destination.type)) throw argumentFailure(index + 1, 'TypeMismatch');
      const sum = coinBalance(destination.slot.cell[0]) + coinBalance(value);
      if (sum > U64_MAX) throw new ExecutionFailure({ CoinBalanceOverflow: true });
      setBalance(destination.slot, sum);
      this.#host.deleted(idOfObject(value));
    });
    this.outputs.push({
      returnValues: [],
      mutated: [{ argument: command.destination, ...this.#bytesOf(destination.slot) }],
    });
    return [];
  }

  #makeVector(command: Extract<Command, { $kind: 'MakeMoveVec' }>['MakeMoveVec']): Slot[] {
    let element = command.type === null ? undefined : parseType(command.type);
    const items = command.elements.map((argument, index) => {
      element ??= this.#arguments.slot(argument, index).type;
      if (!element) throw argumentFailure(index, 'InvalidMakeMoveVecNonObjectArgument');
      return this.#arguments.value(argument, element, index);
    });
    if (!element) throw argumentFailure(0, 'TypeMismatch');
    const slot = resultSlot({ kind: 'vector', element }, vector(items));
    this.outputs.push({ returnValues: [this.#bytesOf(slot)], mutated: [] });
    return [slot];
  }

  #publish(command: Extract<Command, { $kind: 'Publish' }>['Publish']): Slot[] {
    const packageId = this.#host.freshId();
    this.#host.created(packageId);
    const published = this.#publisher.publish(
      command.modules.map((module) => fromBase64(module)),
      command.dependencies.map((id) => normalizeSuiAddress(id)),
      packageId,
    );
    for (const module of published.modules.values()) {
      const init = module.functions.find(({ signature }) => signature.name === 'init');
      if (!init) continue;
      this.#host.emitter = { packageId, module: module.name };
      const args = init.signature.parameters.map((type) =>
        // A one-time witness is a struct of one bool; `init` gets the only one there will ever be.
        isTxContextParameter(type) ? place([txContext()], 0) : witness(),
      );
      this.#machine.call(packageId, module.name, 'init', [], args);
    }
    const capId = this.#host.freshId();
    this.#host.created(capId);
    const slot = resultSlot(UPGRADE_CAP_TYPE, upgradeCap(capId, packageId));
    this.outputs.push({ returnValues: [this.#bytesOf(slot)], mutated: [] });
    return [slot];
  }

  // --- arguments -------------------------------------------------------------------------------------------------

  #signature(packageId: string, module: string, name: string): FunctionSignature {
    const native = this.#code.native(packageId, module, name);
    const found =
      native?.signature ??
      this.#code.module(packageId, module)?.functions.find(({ signature }) => signature.name === name)
        ?.signature;
    if (found) return found;
    if (packageId === STD || packageId === SUI)
      throw new ExecutionFailure(
        { FunctionNotFound: true },
        undefined,
        `${packageId}::${module}::${name} is not executable here: this development chain has only a part of Sui's framework`,
      );
    throw new ExecutionFailure({ FunctionNotFound: true });
  }

  #checkTypeArgument(argument: Type, signature: FunctionSignature, index: number): void {
    const abilities = abilitiesOf(argument, this.#code);
    if (
      argument.kind === 'datatype' &&
      !this.#code.datatype(argument.address, argument.module, argument.name)
    )
      throw new ExecutionFailure({
        TypeArgumentError: { argumentIdx: index, kind: { TypeNotFound: true } },
      });
    for (const constraint of signature.typeParameters[index]?.constraints ?? [])
      if (!abilities.has(constraint))
        throw new ExecutionFailure({
          TypeArgumentError: { argumentIdx: index, kind: { ConstraintNotSatisfied: true } },
        });
  }

  #checkLeftovers(): void {
    this.#results.forEach((results, resultIdx) => {
      results.forEach((slot, secondaryIdx) => {
        if (slot.cell.length === 0 || !slot.type) return;
        if (!abilitiesOf(slot.type, this.#code).has('drop'))
          throw new ExecutionFailure(
            { UnusedValueWithoutDrop: { resultIdx, secondaryIdx } },
            undefined,
            `Unused result without the drop ability. Command result ${resultIdx}, return value ${secondaryIdx}`,
          );
      });
    });
  }

  #bytesOf(slot: Slot): TypedBytes {
    if (!slot.type || slot.cell[0] === undefined) return { type: '', bytes: new Uint8Array() };
    return { type: formatType(slot.type), bytes: encode(slot.cell[0], slot.type, this.#code) };
  }
}

const witness = (): MoveValue => ({ kind: 'struct', fields: [false] });

const readThrough = (value: MoveValue): MoveValue =>
  typeof value === 'object' && value.kind === 'reference'
    ? (value.container[value.index] as MoveValue)
    : value;
