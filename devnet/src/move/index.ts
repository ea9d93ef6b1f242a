/** The Move machine of the dev chain: reads compiled modules, executes them, and knows the framework natively. */
export { readCleverError } from './clever-error.ts';
export { BcsError, decode, encode } from './codec.ts';
export { type CompiledModule, readModule, readModuleAt } from './compiled-module.ts';
export {
  abilitiesOf,
  type DatatypeDefinition,
  type Definitions,
  type FieldDefinition,
  type FunctionSignature,
  type TypeParameter,
} from './definitions.ts';
export {
  MoveAbort,
  type MoveLocation,
  MoveNotSupported,
  MoveOutOfGas,
  MovePrimitiveFault,
} from './faults.ts';
export { FRAMEWORK, frameworkDatatype, frameworkFunction } from './framework.ts';
export type { MoveHost, ObjectOwner } from './host.ts';
export { type Code, Machine } from './machine.ts';
export type { NativeFunction } from './native.ts';
export { balanceOf, coinBalance, coinWith } from './sui-coins.ts';
export { idOfObject, uidOf } from './sui-objects.ts';
export { UPGRADE_CAP_TYPE, upgradeCap } from './sui-packages.ts';
export { isTxContextParameter, txContext } from './sui-transaction.ts';
export {
  type Ability,
  coinOf,
  type DatatypeType,
  datatype,
  formatType,
  ID_TYPE,
  isCoin,
  isDatatype,
  isSameType,
  isSuiCoin,
  parseType,
  STD,
  SUI,
  SUI_TYPE,
  substitute,
  type Type,
} from './types.ts';
export {
  asAddress,
  asInteger,
  asStruct,
  asVariant,
  asVector,
  copy,
  field,
  type MoveReference,
  type MoveValue,
  place,
  struct,
  u64,
  vector,
  vectorToBytes,
} from './values.ts';
