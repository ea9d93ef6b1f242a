// Reading compiled modules: named errors and signatures.
import { createRequire } from 'node:module';
import { compile, type Files, type Framework } from './move.ts';

// The package has its own idea of ES module exports; its CommonJS side is the one that Node loads as it is.
const bytecode = createRequire(import.meta.url)('@mysten/move-bytecode-template') as {
  deserialize(bytes: Uint8Array): CompiledModule;
};

interface Handle {
  readonly module: number;
  readonly name: number;
}
interface DatatypeHandle extends Handle {
  readonly abilities: unknown;
  readonly type_parameters: readonly { readonly constraints: unknown; readonly is_phantom: boolean }[];
}
interface FunctionHandle extends Handle {
  readonly parameters: number;
  readonly return_: number;
  readonly type_parameters: readonly unknown[];
}
interface CompiledModule {
  readonly self_module_handle_idx: number;
  readonly module_handles: readonly { readonly address: number; readonly name: number }[];
  readonly datatype_handles: readonly DatatypeHandle[];
  readonly function_handles: readonly FunctionHandle[];
  readonly signatures: readonly (readonly unknown[])[];
  readonly identifiers: readonly string[];
  readonly address_identifiers: readonly unknown[];
  readonly constant_pool: readonly { readonly type_: unknown; readonly data: readonly number[] }[];
  readonly struct_defs: readonly { readonly struct_handle: number; readonly field_information: unknown }[];
  readonly function_defs: readonly { readonly function: number; readonly visibility: unknown }[];
}

/** A named error: `#[error] const name: vector<u8> = sentence`. */
export interface NamedError {
  readonly module: string;
  readonly name: string;
  readonly sentence: string;
}

/** All named errors of compiled modules: the compiler leaves each one's name and sentence side by side. */
export function namedErrors(modules: Record<string, string>): NamedError[] {
  const errors: NamedError[] = [];
  for (const [module, base64] of Object.entries(modules)) {
    const pool = bytecode.deserialize(Buffer.from(base64, 'base64')).constant_pool;
    for (const [i, constant] of pool.entries()) {
      const name = bytesOf(constant);
      const sentence = pool[i + 1] && bytesOf(pool[i + 1]);
      if (name && sentence && /^E[A-Z]\w*$/.test(name)) errors.push({ module, name, sentence });
    }
  }
  return errors;
}

/** The text of a vector<u8> constant (its length comes first), or nothing if it is something else. */
function bytesOf(constant: CompiledModule['constant_pool'][number] | undefined): string | undefined {
  if (!constant || JSON.stringify(constant.type_) !== '{"Vector":"U8"}') return undefined;
  const data = Buffer.from(constant.data);
  const long = (data[0] ?? 0) >= 0x80;
  return data.subarray(long ? 2 : 1).toString('utf8');
}

/**
 * The interface of a framework: datatypes with abilities and fields, public functions with their types, each as one
 * line under `address::module::name`.
 */
export async function frameworkInterface(framework: Framework): Promise<Map<string, string>> {
  const lines = new Map<string, string>();
  // As a root package, the framework would lose its own address; under a name of no meaning it keeps it.
  const root = (files: Files, rest: string): Files => ({
    ...files,
    'Move.toml': `[package]\nname = "interface"\nedition = "2024"\nimplicit-dependencies = false\n${rest}interface = "0x0"\n`,
  });
  const sui = '[dependencies]\nMoveStdlib = { local = "../move-stdlib" }\n[addresses]\nsui = "0x2"\n';
  const parts = [
    ['0x1', await compile(root(framework.stdlib, '[addresses]\nstd = "0x1"\n'), framework)],
    ['0x2', await compile(root(framework.sui, sui), framework)],
  ] as const;
  for (const [address, build] of parts) {
    for (const base64 of Object.values(build.modules)) {
      describe(address, bytecode.deserialize(Buffer.from(base64, 'base64')), lines);
    }
  }
  return lines;
}

/** What of the first framework the second lacks or has otherwise; empty when the first is a part of the second. */
export function interfaceDifferences(part: Map<string, string>, whole: Map<string, string>): string[] {
  const differences: string[] = [];
  for (const [name, line] of part) {
    const other = whole.get(name);
    if (other !== line) differences.push(`${name}\n    own:  ${line}\n    real: ${other ?? '(nothing)'}`);
  }
  return differences;
}

function describe(address: string, module: CompiledModule, lines: Map<string, string>): void {
  const self = module.module_handles[module.self_module_handle_idx];
  const moduleName = self ? module.identifiers[self.name] : undefined;
  const token = (type: unknown): string => json(resolve(module, type));
  for (const definition of module.struct_defs) {
    const handle = module.datatype_handles[definition.struct_handle];
    if (!handle) continue;
    const fields = JSON.parse(json(definition.field_information), (key, value: unknown) =>
      key === 'name' && typeof value === 'number' ? module.identifiers[value] : value,
    ) as unknown;
    lines.set(
      `${address}::${moduleName}::${module.identifiers[handle.name]}`,
      `struct ${json(handle.abilities)} ${json(handle.type_parameters)} ${token(fields)}`,
    );
  }
  for (const definition of module.function_defs) {
    const handle = module.function_handles[definition.function];
    if (!handle || json(definition.visibility) !== '"Public"') continue;
    const parameters = (module.signatures[handle.parameters] ?? []).map(token);
    const results = (module.signatures[handle.return_] ?? []).map(token);
    lines.set(
      `${address}::${moduleName}::${module.identifiers[handle.name]}`,
      `public fun <${handle.type_parameters.map(json).join(', ')}>(${parameters.join(', ')}): (${results.join(', ')})`,
    );
  }
}

/** Replaces indexes of datatypes by their full names, at any depth. */
function resolve(module: CompiledModule, type: unknown): unknown {
  if (Array.isArray(type)) return type.map((one) => resolve(module, one));
  if (type === null || typeof type !== 'object') return type;
  return Object.fromEntries(
    Object.entries(type).map(([key, value]) => {
      if (key === 'Datatype') return [key, nameOf(module, Number(value))];
      if (key === 'DatatypeInstantiation' && Array.isArray(value)) {
        return [key, [nameOf(module, Number(value[0])), resolve(module, value[1])]];
      }
      return [key, resolve(module, value)];
    }),
  );
}

function nameOf(module: CompiledModule, index: number): string {
  const handle = module.datatype_handles[index];
  const home = handle && module.module_handles[handle.module];
  if (!home) throw new Error(`no datatype ${index}`);
  const address = String(module.address_identifiers[home.address]).replace(/^(0x)?0*/, '0x');
  return `${address}::${module.identifiers[home.name]}::${module.identifiers[handle.name]}`;
}

function json(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'bigint' ? inner.toString() : inner,
  );
}
