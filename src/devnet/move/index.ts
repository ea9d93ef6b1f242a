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
export {
  balanceOf,
  coinBalance,
  coinWith,
  FRAMEWORK,
  frameworkDatatype,
  frameworkFunction,
  idOfObject,
  isTxContextParameter,
  txContext,
  UPGRADE_CAP_TYPE,
  uidOf,
  upgradeCap,
} from './framework.ts';
export type { MoveHost, ObjectOwner } from './host.ts';
export { type Code, Machine } from './machine.ts';
export type { NativeFunction, NativeModule } from './native.ts';
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
  STRING_TYPE,
  SUI,
  SUI_TYPE,
  substitute,
  type Type,
  U64,
} from './types.ts';
export {
  asAddress,
  asInteger,
  asStruct,
  asVariant,
  asVector,
  at,
  copy,
  field,
  type MoveReference,
  type MoveValue,
  place,
  put,
  struct,
  u64,
  vector,
  vectorToBytes,
} from './values.ts';
