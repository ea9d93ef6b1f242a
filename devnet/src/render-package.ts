import { GrpcTypes } from '@mysten/sui/grpc';
import {
  type Ability,
  type DatatypeDefinition,
  type DatatypeType,
  FRAMEWORK,
  type FunctionSignature,
  type Type,
  type TypeParameter,
} from './move/index.ts';
import type { PackageObject } from './objects.ts';
import type { RunCode } from './run-code.ts';

const ABILITY: Readonly<Record<Ability, GrpcTypes.Ability>> = {
  copy: GrpcTypes.Ability.COPY,
  drop: GrpcTypes.Ability.DROP,
  store: GrpcTypes.Ability.STORE,
  key: GrpcTypes.Ability.KEY,
};
const { OpenSignatureBody_Type: Body, OpenSignature_Reference: Reference } = GrpcTypes;
const PRIMITIVE: Readonly<Partial<Record<Type['kind'], GrpcTypes.OpenSignatureBody_Type>>> = {
  address: Body.ADDRESS,
  bool: Body.BOOL,
  u8: Body.U8,
  u16: Body.U16,
  u32: Body.U32,
  u64: Body.U64,
  u128: Body.U128,
  u256: Body.U256,
};

/** The functions and datatypes of a module, whether it was published or is native here. */
export interface ModuleFace {
  readonly name: string;
  readonly contents: Uint8Array | undefined;
  readonly functions: readonly FunctionSignature[];
  readonly datatypes: readonly DatatypeDefinition[];
}

export function modulesOf(object: PackageObject, code: RunCode): ModuleFace[] {
  const native = FRAMEWORK.filter(({ address }) => address === object.id);
  if (native.length > 0)
    return native.map(({ name, functions, datatypes }) => ({
      name,
      // Framework modules are native here: there is no bytecode to show.
      contents: undefined,
      functions: functions.map(({ signature }) => signature),
      datatypes,
    }));
  return [...object.modules].flatMap(([name, contents]) => {
    const module = code.module(object.id, name);
    if (!module) return [];
    const functions = module.functions.map(({ signature }) => signature);
    return [{ name, contents, functions, datatypes: module.datatypes }];
  });
}

export function renderPackage(object: PackageObject, code: RunCode): GrpcTypes.Package {
  return {
    storageId: object.id,
    originalId: object.id,
    version: object.version,
    modules: modulesOf(object, code).map((module) => ({
      name: module.name,
      ...(module.contents ? { contents: module.contents } : {}),
      datatypes: module.datatypes.map(renderDatatype),
      functions: module.functions.map(renderFunction),
    })),
    typeOrigins: object.typeOrigins.map(({ module, datatype }) => ({
      moduleName: module,
      datatypeName: datatype,
      packageId: object.id,
    })),
    linkage: [...object.dependencies]
      .sort()
      .map((id) => ({ originalId: id, upgradedId: id, upgradedVersion: 1n })),
  };
}

export function renderDatatype(definition: DatatypeDefinition): GrpcTypes.DatatypeDescriptor {
  const { body } = definition;
  const fields = (list: readonly { name: string; type: Type }[]) =>
    list.map(({ name, type }, position) => ({ name, position, type: renderBody(type) }));
  return {
    typeName: `${definition.address}::${definition.module}::${definition.name}`,
    definingId: definition.address,
    module: definition.module,
    name: definition.name,
    abilities: [...definition.abilities].map((ability) => ABILITY[ability]),
    typeParameters: definition.parameters.map(renderTypeParameter),
    kind:
      body.kind === 'struct'
        ? GrpcTypes.DatatypeDescriptor_DatatypeKind.STRUCT
        : GrpcTypes.DatatypeDescriptor_DatatypeKind.ENUM,
    fields: body.kind === 'struct' ? fields(body.fields) : [],
    variants:
      body.kind === 'enum'
        ? body.variants.map((variant, position) => ({
            name: variant.name,
            position,
            fields: fields(variant.fields),
          }))
        : [],
  };
}

const VISIBILITY = {
  public: GrpcTypes.FunctionDescriptor_Visibility.PUBLIC,
  friend: GrpcTypes.FunctionDescriptor_Visibility.FRIEND,
  private: GrpcTypes.FunctionDescriptor_Visibility.PRIVATE,
} as const;

export function renderFunction(signature: FunctionSignature): GrpcTypes.FunctionDescriptor {
  return {
    name: signature.name,
    visibility: VISIBILITY[signature.visibility],
    isEntry: signature.isEntry,
    typeParameters: signature.typeParameters.map(renderTypeParameter),
    parameters: signature.parameters.map(renderSignature),
    returns: signature.returns.map(renderSignature),
  };
}

const renderTypeParameter = (parameter: TypeParameter): GrpcTypes.TypeParameter => ({
  constraints: [...parameter.constraints].map((ability) => ABILITY[ability]),
  isPhantom: parameter.isPhantom,
});

function renderSignature(type: Type): GrpcTypes.OpenSignature {
  if (type.kind !== 'reference') return { body: renderBody(type) };
  return {
    reference: type.isMutable ? Reference.MUTABLE : Reference.IMMUTABLE,
    body: renderBody(type.to),
  };
}

function renderBody(type: Type): GrpcTypes.OpenSignatureBody {
  switch (type.kind) {
    case 'vector':
      return { type: Body.VECTOR, typeParameterInstantiation: [renderBody(type.element)] };
    case 'datatype':
      return {
        type: Body.DATATYPE,
        // Without the type arguments: readers take what follows the last `::` for the bare name.
        typeName: bareName(type),
        typeParameterInstantiation: type.args.map(renderBody),
      };
    case 'parameter':
      return { type: Body.TYPE_PARAMETER, typeParameter: type.index, typeParameterInstantiation: [] };
    default:
      return { type: PRIMITIVE[type.kind] ?? Body.TYPE_UNKNOWN, typeParameterInstantiation: [] };
  }
}

const bareName = ({ address, module, name }: DatatypeType): string => `${address}::${module}::${name}`;
