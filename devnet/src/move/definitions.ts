import type { Ability, Type } from './types.ts';

/** What a module says about a struct or an enum. */
export interface DatatypeDefinition {
  readonly address: string;
  readonly module: string;
  readonly name: string;
  readonly abilities: ReadonlySet<Ability>;
  readonly parameters: readonly TypeParameter[];
  readonly body:
    | { readonly kind: 'struct'; readonly fields: readonly FieldDefinition[] }
    | { readonly kind: 'enum'; readonly variants: readonly VariantDefinition[] };
}

export interface TypeParameter {
  readonly constraints: ReadonlySet<Ability>;
  readonly isPhantom: boolean;
}

export interface FieldDefinition {
  readonly name: string;
  readonly type: Type;
}

interface VariantDefinition {
  readonly name: string;
  readonly fields: readonly FieldDefinition[];
}

/** A function's face. `index` is its position in the module, which abort locations carry. */
export interface FunctionSignature {
  readonly address: string;
  readonly module: string;
  readonly name: string;
  readonly index: number;
  readonly visibility: 'public' | 'friend' | 'private';
  readonly isEntry: boolean;
  readonly typeParameters: readonly TypeParameter[];
  readonly parameters: readonly Type[];
  readonly returns: readonly Type[];
}

/** Finds definitions by where they stand: the packages of a chain, and the framework beneath them. */
export interface Definitions {
  datatype(address: string, module: string, name: string): DatatypeDefinition | undefined;
}

/** The abilities of a type: a container has one only if what it contains has what that one asks for. */
export function abilitiesOf(type: Type, definitions: Definitions): ReadonlySet<Ability> {
  switch (type.kind) {
    case 'signer':
      return new Set(['drop']);
    case 'reference':
      return new Set(['copy', 'drop']);
    case 'parameter':
      return new Set();
    case 'vector':
      return withArguments(new Set<Ability>(['copy', 'drop', 'store']), [type.element], definitions);
    case 'datatype': {
      const definition = definitions.datatype(type.address, type.module, type.name);
      if (!definition) return new Set();
      const real = type.args.filter((_, index) => !definition.parameters[index]?.isPhantom);
      return withArguments(definition.abilities, real, definitions);
    }
    default:
      return new Set(['copy', 'drop', 'store']);
  }
}

function withArguments(
  declared: ReadonlySet<Ability>,
  args: readonly Type[],
  definitions: Definitions,
): ReadonlySet<Ability> {
  const inner = args.map((argument) => abilitiesOf(argument, definitions));
  return new Set(
    [...declared].filter((ability) => {
      const needed = ability === 'key' ? 'store' : ability;
      return inner.every((abilities) => abilities.has(needed));
    }),
  );
}
