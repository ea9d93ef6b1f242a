import { normalizeSuiAddress } from '@mysten/sui/utils';

/** Move's built-in types that have no parts. */
export type Primitive = 'bool' | 'u8' | 'u16' | 'u32' | 'u64' | 'u128' | 'u256' | 'address' | 'signer';

/** A struct or enum with its type arguments. `address` is 0x and 64 hex digits. */
export interface DatatypeType {
  readonly kind: 'datatype';
  readonly address: string;
  readonly module: string;
  readonly name: string;
  readonly args: readonly Type[];
}

/**
 * A Move type. `parameter` occurs in generic signatures, `reference` in function signatures only; neither in the type
 * of a stored value.
 */
export type Type =
  | { readonly kind: Primitive }
  | { readonly kind: 'vector'; readonly element: Type }
  | DatatypeType
  | { readonly kind: 'parameter'; readonly index: number }
  | { readonly kind: 'reference'; readonly isMutable: boolean; readonly to: Type };

export type Ability = 'copy' | 'drop' | 'store' | 'key';

export const STD = normalizeSuiAddress('0x1');
export const SUI = normalizeSuiAddress('0x2');

export function datatype(
  address: string,
  module: string,
  name: string,
  args: readonly Type[] = [],
): DatatypeType {
  return { kind: 'datatype', address: normalizeSuiAddress(address), module, name, args };
}

export const SUI_TYPE = datatype(SUI, 'sui', 'SUI');
export const ID_TYPE = datatype(SUI, 'object', 'ID');
export const coinOf = (coinType: Type): DatatypeType => datatype(SUI, 'coin', 'Coin', [coinType]);

/** `0x…::module::Name<A, B>` with addresses in full: what equality of types and `object_type` on the wire use. */
export function formatType(type: Type): string {
  switch (type.kind) {
    case 'vector':
      return `vector<${formatType(type.element)}>`;
    case 'datatype': {
      const args = type.args.map(formatType).join(', ');
      return `${type.address}::${type.module}::${type.name}${args ? `<${args}>` : ''}`;
    }
    case 'parameter':
      return `T${type.index}`;
    case 'reference':
      return `${type.isMutable ? '&mut ' : '&'}${formatType(type.to)}`;
    default:
      return type.kind;
  }
}

/** Reads `0x2::coin::Coin<0x2::sui::SUI>`; throws on anything that is no type. */
export function parseType(text: string): Type {
  const reader = new TypeReader(text);
  const type = reader.read();
  reader.end();
  return type;
}

const PRIMITIVES: ReadonlySet<string> = new Set([
  'bool',
  'u8',
  'u16',
  'u32',
  'u64',
  'u128',
  'u256',
  'address',
  'signer',
]);

export const isPrimitiveName = (name: string): name is Primitive => PRIMITIVES.has(name);

class TypeReader {
  #at = 0;
  readonly #tokens: readonly string[];
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = text.match(/::|[<>,]|[A-Za-z0-9_$]+/g) ?? [];
  }

  read(): Type {
    const word = this.#next();
    if (isPrimitiveName(word)) return { kind: word };
    if (word === 'vector') {
      const [element] = this.#arguments();
      if (!element) throw new Error(`${this.#text} is no Move type`);
      return { kind: 'vector', element };
    }
    this.#expect('::');
    const module = this.#next();
    this.#expect('::');
    const name = this.#next();
    return datatype(word, module, name, this.#tokens[this.#at] === '<' ? this.#arguments() : []);
  }

  end(): void {
    if (this.#at !== this.#tokens.length) throw new Error(`${this.#text} is no Move type`);
  }

  #arguments(): Type[] {
    this.#expect('<');
    const args: Type[] = [];
    do args.push(this.read());
    while (this.#tokens[this.#at] === ',' && this.#next());
    this.#expect('>');
    return args;
  }

  #next(): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Error(`${this.#text} is no Move type`);
    return token;
  }

  #expect(token: string): void {
    if (this.#next() !== token) throw new Error(`${this.#text} is no Move type`);
  }
}

/** Puts the type arguments of a call in the place of the signature's parameters. */
export function substitute(type: Type, args: readonly Type[]): Type {
  switch (type.kind) {
    case 'parameter': {
      const argument = args[type.index];
      if (!argument) throw new Error(`no type argument ${type.index}`);
      return argument;
    }
    case 'vector':
      return { kind: 'vector', element: substitute(type.element, args) };
    case 'reference':
      return { kind: 'reference', isMutable: type.isMutable, to: substitute(type.to, args) };
    case 'datatype':
      return type.args.length === 0
        ? type
        : { ...type, args: type.args.map((inner) => substitute(inner, args)) };
    default:
      return type;
  }
}

export const isSameType = (left: Type, right: Type): boolean =>
  left === right || formatType(left) === formatType(right);

/** True for `address::module::name` whatever its type arguments. */
export function isDatatype(type: Type, address: string, module: string, name?: string): boolean {
  return (
    type.kind === 'datatype' &&
    type.address === address &&
    type.module === module &&
    (name === undefined || type.name === name)
  );
}

export const isCoin = (type: Type): type is DatatypeType => isDatatype(type, SUI, 'coin', 'Coin');
export const isSuiCoin = (type: Type): boolean =>
  isCoin(type) && type.args[0] !== undefined && isDatatype(type.args[0], SUI, 'sui', 'SUI');
