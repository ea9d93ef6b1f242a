import type { DatatypeDefinition, FunctionSignature, TypeParameter } from './definitions.ts';
import { type Ability, datatype, isPrimitiveName, type Type } from './types.ts';

/**
 * Reads the faces of framework items as Move source spells them (`public fun value<T>(self: &Coin<T>): u64`), so that
 * a native function here stands under the same line as in the framework.
 */
export interface DeclarationContext {
  readonly address: string;
  readonly module: string;
  /** Datatypes known by their bare name. */
  readonly names: ReadonlyMap<string, { readonly address: string; readonly module: string }>;
}

export function readStruct(text: string, context: DeclarationContext): DatatypeDefinition {
  const reader = new DeclarationReader(text, context);
  reader.expect('struct');
  const name = reader.word();
  const parameters = reader.typeParameters();
  const abilities = new Set<Ability>();
  if (reader.accept('has'))
    do abilities.add(reader.word() as Ability);
    while (reader.accept(','));
  const fields = reader.list('{', '}', () => reader.field());
  return {
    address: context.address,
    module: context.module,
    name,
    abilities,
    parameters,
    body: { kind: 'struct', fields },
  };
}

export function readFunction(text: string, context: DeclarationContext, index: number): FunctionSignature {
  const reader = new DeclarationReader(text, context);
  const isPublic = reader.accept('public');
  const isEntry = reader.accept('entry');
  reader.expect('fun');
  const name = reader.word();
  const typeParameters = reader.typeParameters();
  const parameters = reader.list('(', ')', () => reader.field().type);
  let returns: Type[] = [];
  if (reader.accept(':'))
    returns = reader.peek() === '(' ? reader.list('(', ')', () => reader.type()) : [reader.type()];
  return {
    address: context.address,
    module: context.module,
    name,
    index,
    visibility: isPublic ? 'public' : 'private',
    isEntry,
    typeParameters,
    parameters,
    returns,
  };
}

class DeclarationReader {
  #at = 0;
  #parameters: string[] = [];
  readonly #tokens: readonly string[];
  readonly #text: string;
  readonly #context: DeclarationContext;

  constructor(text: string, context: DeclarationContext) {
    this.#text = text;
    this.#context = context;
    this.#tokens = text.match(/&mut\b|[A-Za-z0-9_$]+|[<>(){},:&+]/g) ?? [];
  }

  peek(): string | undefined {
    return this.#tokens[this.#at];
  }

  word(): string {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new Error(`${this.#text}: ends too early`);
    return token;
  }

  accept(token: string): boolean {
    if (this.peek() !== token) return false;
    this.#at++;
    return true;
  }

  expect(token: string): void {
    if (!this.accept(token)) throw new Error(`${this.#text}: expected ${token}, found ${this.peek()}`);
  }

  list<T>(open: string, close: string, item: () => T): T[] {
    const items: T[] = [];
    this.expect(open);
    while (!this.accept(close)) {
      items.push(item());
      this.accept(',');
    }
    return items;
  }

  typeParameters(): TypeParameter[] {
    if (this.peek() !== '<') return [];
    return this.list('<', '>', () => {
      const isPhantom = this.accept('phantom');
      this.#parameters.push(this.word());
      const constraints = new Set<Ability>();
      if (this.accept(':'))
        do constraints.add(this.word() as Ability);
        while (this.accept('+'));
      return { constraints, isPhantom };
    });
  }

  field(): { name: string; type: Type } {
    const name = this.word();
    this.expect(':');
    return { name, type: this.type() };
  }

  type(): Type {
    if (this.accept('&mut')) return { kind: 'reference', isMutable: true, to: this.type() };
    if (this.accept('&')) return { kind: 'reference', isMutable: false, to: this.type() };
    const word = this.word();
    if (isPrimitiveName(word)) return { kind: word };
    const args = this.peek() === '<' ? this.list('<', '>', () => this.type()) : [];
    if (word === 'vector' && args[0]) return { kind: 'vector', element: args[0] };
    const index = this.#parameters.indexOf(word);
    if (index >= 0) return { kind: 'parameter', index };
    const home = this.#context.names.get(word);
    if (!home) throw new Error(`${this.#text}: ${word} is not known`);
    return datatype(home.address, home.module, word, args);
  }
}
