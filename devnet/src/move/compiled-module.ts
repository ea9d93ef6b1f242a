import { deserialize, serialize } from '@mysten/move-bytecode-template';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import type { DatatypeDefinition, FieldDefinition, FunctionSignature, TypeParameter } from './definitions.ts';
import { type Ability, datatype, isPrimitiveName, type Type } from './types.ts';

/** One bytecode instruction: its name and its operand, if it has one. */
interface Instruction {
  readonly op: string;
  readonly operand: unknown;
}

interface FunctionHandle {
  readonly address: string;
  readonly module: string;
  readonly name: string;
  readonly parameterCount: number;
}

export interface FunctionBody {
  readonly code: readonly Instruction[];
  /** Parameters and locals together. */
  readonly localCount: number;
  readonly jumpTables: ReadonlyArray<readonly number[]>;
}

export interface FunctionDefinition {
  readonly signature: FunctionSignature;
  readonly body: FunctionBody | undefined;
}

interface Constant {
  readonly type: Type;
  readonly bytes: Uint8Array;
}

/** A compiled module, read once; indexes are those that the bytecode uses. */
export interface CompiledModule {
  readonly address: string;
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly datatypes: readonly DatatypeDefinition[];
  readonly functions: readonly FunctionDefinition[];
  readonly constants: readonly Constant[];
  readonly signatures: ReadonlyArray<readonly Type[]>;
  readonly functionHandles: readonly FunctionHandle[];
  readonly callInstantiations: ReadonlyArray<{ readonly handle: number; readonly signature: number }>;
  /** Number of fields by struct definition, and by instantiation of one. */
  readonly structSizes: readonly number[];
  readonly structInstantiationSizes: readonly number[];
  /** Position in its struct by field handle, and by instantiation of one. */
  readonly fieldPositions: readonly number[];
  readonly fieldInstantiationPositions: readonly number[];
  readonly variants: ReadonlyArray<{ readonly tag: number; readonly size: number }>;
  readonly variantInstantiations: ReadonlyArray<{ readonly tag: number; readonly size: number }>;
  /** Addresses of the packages this one calls or takes types from, its own left out. */
  readonly dependencies: readonly string[];
}

type Token =
  | string
  | { Vector: Token }
  | { Datatype: number }
  | { DatatypeInstantiation: [number, Token[]] }
  | { Reference: Token }
  | { MutableReference: Token }
  | { TypeParameter: number };

interface RawField {
  name: number;
  signature: Token;
}

/** The part of the deserialised module that is read here. */
interface RawModule {
  self_module_handle_idx: number;
  module_handles: { address: number; name: number }[];
  datatype_handles: {
    module: number;
    name: number;
    abilities: number;
    type_parameters: { constraints: number; is_phantom: boolean }[];
  }[];
  function_handles: {
    module: number;
    name: number;
    parameters: number;
    return_: number;
    type_parameters: number[];
  }[];
  field_handles: { owner: number; field: number }[];
  field_instantiations: { handle: number }[];
  struct_def_instantiations: { def: number }[];
  function_instantiations: { handle: number; type_parameters: number }[];
  signatures: Token[][];
  identifiers: string[];
  address_identifiers: string[];
  constant_pool: { type_: Token; data: number[] | Uint8Array }[];
  struct_defs: { struct_handle: number; field_information: 'Native' | { Declared: RawField[] } }[];
  function_defs: {
    function: number;
    visibility: 'Public' | 'Friend' | 'Private';
    is_entry: boolean;
    code: null | {
      locals: number;
      code: (string | Record<string, unknown>)[];
      jump_tables: { jump_table: { Full: number[] } }[];
    };
  }[];
  enum_defs?: { enum_handle: number; variants: { variant_name: number; fields: RawField[] }[] }[];
  enum_def_instantiations?: { def: number }[];
  variant_handles?: { enum_def: number; variant: number }[];
  variant_instantiation_handles?: { enum_def: number; variant: number }[];
}

const ABILITIES: ReadonlyArray<readonly [number, Ability]> = [
  [1, 'copy'],
  [2, 'drop'],
  [4, 'store'],
  [8, 'key'],
];

const abilitySet = (bits: number): ReadonlySet<Ability> =>
  new Set(ABILITIES.filter(([bit]) => (bits & bit) !== 0).map(([, ability]) => ability));

function entry<T>(table: readonly T[] | undefined, index: number, what: string): T {
  const found = table?.[index];
  if (found === undefined) throw new Error(`the module has no ${what} ${index}`);
  return found;
}

/** Reads Move bytecode; throws when it is none. */
export const readModule = (bytes: Uint8Array): CompiledModule =>
  describe(deserialize(bytes) as RawModule, bytes);

/**
 * The module as a chain stores it: compiled for address 0x0, moved to the address of its package. `undefined` when it
 * was compiled for another address; throws when the bytes are no Move bytecode.
 */
export function readModuleAt(bytes: Uint8Array, packageId: string): CompiledModule | undefined {
  const raw = deserialize(bytes) as RawModule;
  const { address } = entry(raw.module_handles, raw.self_module_handle_idx, 'module handle');
  if (BigInt(`0x${entry(raw.address_identifiers, address, 'address')}`) !== 0n) return undefined;
  raw.address_identifiers[address] = packageId.slice(2);
  return describe(raw, serialize(raw));
}

// oxlint-disable-next-line eslint/max-lines-per-function -- readers of one module’s tables, which refer to each other by index
function describe(raw: RawModule, bytes: Uint8Array): CompiledModule {
  const identifier = (index: number) => entry(raw.identifiers, index, 'identifier');
  const address = (index: number) => normalizeSuiAddress(entry(raw.address_identifiers, index, 'address'));
  const moduleAt = (index: number) => {
    const handle = entry(raw.module_handles, index, 'module handle');
    return { address: address(handle.address), name: identifier(handle.name) };
  };
  const self = moduleAt(raw.self_module_handle_idx);

  const datatypeAt = (index: number, args: readonly Type[]): Type => {
    const handle = entry(raw.datatype_handles, index, 'datatype handle');
    const home = moduleAt(handle.module);
    return datatype(home.address, home.name, identifier(handle.name), args);
  };
  const type = (token: Token): Type => {
    if (typeof token === 'string') {
      const name = token.toLowerCase();
      if (!isPrimitiveName(name)) throw new Error(`${token} is no Move type`);
      return { kind: name };
    }
    if ('Vector' in token) return { kind: 'vector', element: type(token.Vector) };
    if ('Datatype' in token) return datatypeAt(token.Datatype, []);
    if ('DatatypeInstantiation' in token)
      return datatypeAt(token.DatatypeInstantiation[0], token.DatatypeInstantiation[1].map(type));
    if ('Reference' in token) return { kind: 'reference', isMutable: false, to: type(token.Reference) };
    if ('MutableReference' in token)
      return { kind: 'reference', isMutable: true, to: type(token.MutableReference) };
    return { kind: 'parameter', index: token.TypeParameter };
  };
  const signatures = raw.signatures.map((tokens) => tokens.map(type));
  const signature = (index: number) => entry(signatures, index, 'signature');
  const fields = (declared: readonly RawField[]): FieldDefinition[] =>
    declared.map((field) => ({ name: identifier(field.name), type: type(field.signature) }));

  const define = (handleIndex: number, body: DatatypeDefinition['body']): DatatypeDefinition => {
    const handle = entry(raw.datatype_handles, handleIndex, 'datatype handle');
    return {
      address: self.address,
      module: self.name,
      name: identifier(handle.name),
      abilities: abilitySet(handle.abilities),
      parameters: handle.type_parameters.map(
        (parameter): TypeParameter => ({
          constraints: abilitySet(parameter.constraints),
          isPhantom: parameter.is_phantom,
        }),
      ),
      body,
    };
  };
  const structFields = raw.struct_defs.map(({ field_information }) =>
    field_information === 'Native' ? [] : fields(field_information.Declared),
  );
  const structs = raw.struct_defs.map(({ struct_handle }, index) =>
    define(struct_handle, { kind: 'struct', fields: entry(structFields, index, 'struct') }),
  );
  const enums = (raw.enum_defs ?? []).map(({ enum_handle, variants }) =>
    define(enum_handle, {
      kind: 'enum',
      variants: variants.map((variant) => ({
        name: identifier(variant.variant_name),
        fields: fields(variant.fields),
      })),
    }),
  );

  const functions = raw.function_defs.map((definition, index): FunctionDefinition => {
    const handle = entry(raw.function_handles, definition.function, 'function handle');
    const parameters = signature(handle.parameters);
    const { code } = definition;
    return {
      signature: {
        address: self.address,
        module: self.name,
        name: identifier(handle.name),
        index,
        visibility: VISIBILITY[definition.visibility],
        isEntry: definition.is_entry,
        typeParameters: handle.type_parameters.map((bits) => ({
          constraints: abilitySet(bits),
          isPhantom: false,
        })),
        parameters,
        returns: signature(handle.return_),
      },
      body: code
        ? {
            code: code.code.map(instruction),
            localCount: parameters.length + signature(code.locals).length,
            jumpTables: (code.jump_tables ?? []).map(({ jump_table }) => jump_table.Full),
          }
        : undefined,
    };
  });

  const sizeOf = (index: number) => entry(structFields, index, 'struct').length;
  const positionOf = (index: number) => entry(raw.field_handles, index, 'field handle').field;
  const variantOf = (enumIndex: number, tag: number) => ({
    tag,
    size: entry(entry(raw.enum_defs, enumIndex, 'enum').variants, tag, 'variant').fields.length,
  });
  return {
    address: self.address,
    name: self.name,
    bytes,
    datatypes: [...structs, ...enums],
    functions,
    constants: raw.constant_pool.map(({ type_, data }) => ({
      type: type(type_),
      bytes: Uint8Array.from(data),
    })),
    signatures,
    functionHandles: raw.function_handles.map((handle) => {
      const home = moduleAt(handle.module);
      return {
        address: home.address,
        module: home.name,
        name: identifier(handle.name),
        parameterCount: signature(handle.parameters).length,
      };
    }),
    callInstantiations: raw.function_instantiations.map(({ handle, type_parameters }) => ({
      handle,
      signature: type_parameters,
    })),
    structSizes: structFields.map(({ length }) => length),
    structInstantiationSizes: raw.struct_def_instantiations.map(({ def }) => sizeOf(def)),
    fieldPositions: raw.field_handles.map(({ field }) => field),
    fieldInstantiationPositions: raw.field_instantiations.map(({ handle }) => positionOf(handle)),
    variants: (raw.variant_handles ?? []).map(({ enum_def, variant }) => variantOf(enum_def, variant)),
    variantInstantiations: (raw.variant_instantiation_handles ?? []).map(({ enum_def, variant }) =>
      variantOf(entry(raw.enum_def_instantiations, enum_def, 'enum instantiation').def, variant),
    ),
    dependencies: [
      ...new Set(
        raw.module_handles.map(({ address: index }) => address(index)).filter((at) => at !== self.address),
      ),
    ],
  };
}

const VISIBILITY = { Public: 'public', Friend: 'friend', Private: 'private' } as const;

function instruction(raw: string | Record<string, unknown>): Instruction {
  if (typeof raw === 'string') return { op: raw, operand: undefined };
  const [pair] = Object.entries(raw);
  if (!pair) throw new Error('an instruction without a name');
  return { op: pair[0], operand: pair[1] };
}
