import type { DatatypeDefinition } from './definitions.ts';
import type { NativeFunction, NativeModule } from './native.ts';
import { STANDARD_LIBRARY } from './standard-library.ts';
import { nitroAttestationModule } from './sui-attestation.ts';
import { balanceModule, coinModule } from './sui-coins.ts';
import { vecMapModule, vecSetModule } from './sui-collections.ts';
import { dynamicFieldModule, tableModule } from './sui-fields.ts';
import { objectModule } from './sui-objects.ts';
import { addressModule, hexModule, packageModule, suiModule } from './sui-packages.ts';
import { clockModule, eventModule, transferModule, txContextModule } from './sui-transaction.ts';

/** The modules at 0x1 and 0x2 that exist here. */
export const FRAMEWORK: readonly NativeModule[] = [
  ...STANDARD_LIBRARY,
  objectModule,
  txContextModule,
  transferModule,
  eventModule,
  clockModule,
  suiModule,
  balanceModule,
  coinModule,
  dynamicFieldModule,
  tableModule,
  vecSetModule,
  vecMapModule,
  hexModule,
  addressModule,
  packageModule,
  nitroAttestationModule,
];

const key = (address: string, module: string, name: string): string => `${address}::${module}::${name}`;

const FUNCTIONS: ReadonlyMap<string, NativeFunction> = new Map(
  FRAMEWORK.flatMap((module) =>
    module.functions.map((native) => [key(module.address, module.name, native.signature.name), native]),
  ),
);
const DATATYPES: ReadonlyMap<string, DatatypeDefinition> = new Map(
  FRAMEWORK.flatMap((module) =>
    module.datatypes.map((definition) => [key(module.address, module.name, definition.name), definition]),
  ),
);

export const frameworkFunction = (
  address: string,
  module: string,
  name: string,
): NativeFunction | undefined => FUNCTIONS.get(key(address, module, name));
export const frameworkDatatype = (
  address: string,
  module: string,
  name: string,
): DatatypeDefinition | undefined => DATATYPES.get(key(address, module, name));
