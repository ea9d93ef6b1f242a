// The interface of the compiled modules: structs and functions with resolved types, and the named aborts.
import { readFileSync } from 'node:fs';
import { deserialize } from '@mysten/move-bytecode-template';
import { BUILD_FILE } from './move.ts';

export type MoveType =
  | { readonly kind: 'u8' | 'u64' | 'bool' | 'address' }
  | { readonly kind: 'vector'; readonly of: MoveType }
  /** `module::Name`, for 0x1 and 0x2 too: no two modules of one name meet here. */
  | {
      readonly kind: 'struct';
      readonly name: string;
      readonly isOurs: boolean;
      readonly typeArguments: readonly MoveType[];
    }
  | { readonly kind: 'reference'; readonly isMutable: boolean; readonly to: MoveType };

interface MoveFunction {
  readonly parameters: readonly MoveType[];
  readonly returns: readonly MoveType[];
}

export interface Interface {
  /** By `module::Name`. */
  readonly structs: ReadonlyMap<string, ReadonlyArray<{ readonly name: string; readonly type: MoveType }>>;
  /** Public functions, by `module::name`. */
  readonly functions: ReadonlyMap<string, MoveFunction>;
}

// biome-ignore lint/suspicious/noExplicitAny: the deserializer of the WASM package is untyped.
type Raw = any;

/** Reads all modules of the committed build. */
export function readInterface(file = BUILD_FILE): Interface {
  const { modules } = JSON.parse(readFileSync(file, 'utf8')) as { modules: Record<string, string> };
  const structs = new Map<string, Array<{ name: string; type: MoveType }>>();
  const functions = new Map<string, MoveFunction>();
  for (const base64 of Object.values(modules)) {
    const raw: Raw = deserialize(Buffer.from(base64, 'base64'));
    const resolve = typeResolver(raw);
    const self: string = raw.identifiers[raw.module_handles[raw.self_module_handle_idx].name];
    for (const definition of raw.struct_defs) {
      const name: string = raw.identifiers[raw.datatype_handles[definition.struct_handle].name];
      structs.set(
        `${self}::${name}`,
        definition.field_information.Declared.map((field: Raw) => ({
          name: raw.identifiers[field.name] as string,
          type: resolve(field.signature),
        })),
      );
    }
    for (const definition of raw.function_defs) {
      if (definition.visibility !== 'Public') continue;
      const handle = raw.function_handles[definition.function];
      functions.set(`${self}::${raw.identifiers[handle.name]}`, {
        parameters: raw.signatures[handle.parameters].map(resolve),
        returns: raw.signatures[handle.return_].map(resolve),
      });
    }
  }
  return { structs, functions };
}

function typeResolver(raw: Raw): (token: Raw) => MoveType {
  const primitives: Record<string, 'u8' | 'u64' | 'bool' | 'address'> = {
    U8: 'u8',
    U64: 'u64',
    Bool: 'bool',
    Address: 'address',
  };
  function struct(index: number, typeArguments: readonly Raw[]): MoveType {
    const handle = raw.datatype_handles[index];
    const module = raw.module_handles[handle.module];
    return {
      kind: 'struct',
      name: `${raw.identifiers[module.name]}::${raw.identifiers[handle.name]}`,
      isOurs: /^0+$/.test(raw.address_identifiers[module.address]),
      typeArguments: typeArguments.map(resolve),
    };
  }
  function resolve(token: Raw): MoveType {
    if (typeof token === 'string') {
      const kind = primitives[token];
      if (!kind) throw new Error(`the scenarios know no type ${token}`);
      return { kind };
    }
    if ('Vector' in token) return { kind: 'vector', of: resolve(token.Vector) };
    if ('Datatype' in token) return struct(token.Datatype, []);
    if ('DatatypeInstantiation' in token)
      return struct(token.DatatypeInstantiation[0], token.DatatypeInstantiation[1]);
    if ('Reference' in token) return { kind: 'reference', isMutable: false, to: resolve(token.Reference) };
    if ('MutableReference' in token)
      return { kind: 'reference', isMutable: true, to: resolve(token.MutableReference) };
    throw new Error(`the scenarios know no type ${JSON.stringify(token)}`);
  }
  return resolve;
}

export function isStruct(type: MoveType, name: string): boolean {
  return type.kind === 'struct' && type.name === name;
}

/** The type behind a reference, or the type itself. */
export function referent(type: MoveType): MoveType {
  return type.kind === 'reference' ? type.to : type;
}
