import { type DeclarationContext, readFunction, readStruct } from './declarations.ts';
import type { DatatypeDefinition, Definitions, FunctionSignature } from './definitions.ts';
import type { MoveLocation } from './faults.ts';
import type { MoveHost } from './host.ts';
import { STD, SUI, type Type } from './types.ts';
import type { MoveValue } from './values.ts';

/** A call of a framework function. */
export interface NativeCall {
  readonly args: MoveValue[];
  readonly typeArgs: readonly Type[];
  readonly host: MoveHost;
  readonly definitions: Definitions;
  /** Aborts as the framework does, by default in the function itself. */
  abort(code: number, where?: Partial<MoveLocation>): never;
  /** Stops as an instruction out of range does. */
  fault(what: string): never;
}

export type NativeBody = (call: NativeCall) => MoveValue | MoveValue[] | undefined;

export interface NativeFunction {
  readonly signature: FunctionSignature;
  readonly body: NativeBody;
}

/** One module of the framework, as far as it exists here. */
export interface NativeModule {
  readonly address: string;
  readonly name: string;
  readonly datatypes: readonly DatatypeDefinition[];
  readonly functions: readonly NativeFunction[];
}

/** Framework datatypes that declarations may name without saying where they live. */
const HOMES: ReadonlyArray<readonly [address: string, module: string, names: string]> = [
  [STD, 'option', 'Option'],
  [STD, 'string', 'String'],
  [STD, 'ascii', 'AsciiString'],
  [SUI, 'object', 'UID ID'],
  [SUI, 'tx_context', 'TxContext'],
  [SUI, 'sui', 'SUI'],
  [SUI, 'balance', 'Balance Supply'],
  [SUI, 'coin', 'Coin'],
  [SUI, 'clock', 'Clock'],
  [SUI, 'table', 'Table'],
  [SUI, 'dynamic_field', 'Field'],
  [SUI, 'vec_set', 'VecSet'],
  [SUI, 'vec_map', 'VecMap Entry'],
  [SUI, 'package', 'UpgradeCap UpgradeTicket UpgradeReceipt'],
  [SUI, 'nitro_attestation', 'NitroAttestationDocument PCREntry'],
];

const NAMES = new Map(
  HOMES.flatMap(([address, module, names]) =>
    names.split(' ').map((name) => [name, { address, module }] as const),
  ),
);

/**
 * Declares a framework module: structs and functions under the lines by which the framework's source declares them.
 * The order of `functions` is not the framework's: abort locations in framework functions carry the function's name
 * truly, and its index only by chance.
 */
export function nativeModule(
  address: string,
  name: string,
  structs: readonly string[],
  functions: Readonly<Record<string, NativeBody>>,
): NativeModule {
  const context: DeclarationContext = { address, module: name, names: NAMES };
  return {
    address,
    name,
    datatypes: structs.map((text) => readStruct(text, context)),
    functions: Object.entries(functions).map(([text, body], index) => ({
      signature: readFunction(text, context, index),
      body,
    })),
  };
}
