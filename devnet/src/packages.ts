import { ExecutionFailure } from './failure.ts';
import { type CompiledModule, FRAMEWORK, readModule, readModuleAt, STD, SUI } from './move/index.ts';

/** The modules of a package, read; they carry the package's address. */
export interface PublishedPackage {
  readonly id: string;
  readonly modules: ReadonlyMap<string, CompiledModule>;
  readonly dependencies: readonly string[];
}

/**
 * Reads modules that are being published and moves them to their package's address. Real nodes verify the bytecode
 * here; this chain takes it as the compiler made it, and only checks that it can be read and that its dependencies
 * are named.
 */
export function readPackage(
  modules: readonly Uint8Array[],
  dependencies: readonly string[],
  packageId: string,
): PublishedPackage {
  const read = new Map<string, CompiledModule>();
  if (modules.length === 0) throw new ExecutionFailure({ VMVerificationOrDeserializationError: true });
  for (const bytes of modules) {
    const compiled = tryRead(bytes, packageId);
    if (!compiled) throw new ExecutionFailure({ PublishErrorNonZeroAddress: true });
    read.set(compiled.name, compiled);
  }
  const missing = [...read.values()]
    .flatMap((module) => module.dependencies)
    .find((id) => !dependencies.includes(id));
  if (missing !== undefined) throw new ExecutionFailure({ PublishUpgradeMissingDependency: true });
  return { id: packageId, modules: read, dependencies };
}

function tryRead(bytes: Uint8Array, packageId: string): CompiledModule | undefined {
  try {
    return readModuleAt(bytes, packageId);
  } catch {
    throw new ExecutionFailure({ VMVerificationOrDeserializationError: true });
  }
}

/**
 * Framework functions that these modules call and that this chain has not. A package with such a call can be
 * published, but the call ends in `FeatureNotYetSupported`.
 */
export function missingFrameworkFunctions(modules: readonly Uint8Array[]): string[] {
  const known = new Set(
    FRAMEWORK.flatMap((module) =>
      module.functions.map(({ signature }) => `${module.address}::${module.name}::${signature.name}`),
    ),
  );
  const called = modules
    .flatMap((bytes) => readModule(bytes).functionHandles)
    .filter(({ address }) => address === STD || address === SUI)
    .map(({ address, module, name }) => `${address}::${module}::${name}`);
  return [...new Set(called)].filter((name) => !known.has(name)).sort();
}
