import type { ChainView } from './chain-view.ts';
import {
  type Code,
  type CompiledModule,
  type DatatypeDefinition,
  frameworkDatatype,
  frameworkFunction,
  type NativeFunction,
} from './move/index.ts';
import { type PublishedPackage, readPackage } from './packages.ts';

/** The chain's code, plus the packages that this transaction publishes. */
export class RunCode implements Code {
  readonly published: PublishedPackage[] = [];
  readonly #chain: Pick<ChainView, 'package'>;

  constructor(chain: Pick<ChainView, 'package'>) {
    this.#chain = chain;
  }

  publish(
    modules: readonly Uint8Array[],
    dependencies: readonly string[],
    packageId: string,
  ): PublishedPackage {
    const published = readPackage(modules, dependencies, packageId);
    this.published.push(published);
    return published;
  }

  module(address: string, name: string): CompiledModule | undefined {
    const own = this.published.find(({ id }) => id === address) ?? this.#chain.package(address);
    return own?.modules.get(name);
  }

  native(address: string, module: string, name: string): NativeFunction | undefined {
    return frameworkFunction(address, module, name);
  }

  datatype(address: string, module: string, name: string): DatatypeDefinition | undefined {
    return (
      frameworkDatatype(address, module, name) ??
      this.module(address, module)?.datatypes.find((definition) => definition.name === name)
    );
  }
}
