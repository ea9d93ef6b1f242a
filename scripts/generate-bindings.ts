// oxlint-disable eslint/max-lines -- one pass from bytecode to bindings: each part writes what the one before has read
/**
 * Writes `src/chain/generated/` from the compiled modules in `contracts/build/k3s_daas.json`: BCS layouts of all
 * structs, the list of events, a call builder for each public function, and the table of named aborts. What is in the
 * bytecode is read from the bytecode; only the names of parameters, which it does not keep, come from `sources/`.
 *
 *   node --conditions=source scripts/generate-bindings.ts [--check] [--build <file>] [--sources <dir>] [--out <dir>]
 *
 * `--check` writes nothing and fails when a file would change (ADR 0003 says why this generator is our own).
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { deserialize } from '@mysten/move-bytecode-template';

// === The compiled module, as @mysten/move-bytecode-template tells it (the parts that are used) ===

type Token =
  | 'Bool'
  | 'U8'
  | 'U16'
  | 'U32'
  | 'U64'
  | 'U128'
  | 'U256'
  | 'Address'
  | { readonly Vector: Token }
  | { readonly Datatype: number }
  | { readonly DatatypeInstantiation: readonly [number, readonly Token[]] }
  | { readonly Reference: Token }
  | { readonly MutableReference: Token }
  | { readonly TypeParameter: number };

interface RawField {
  readonly name: number;
  readonly signature: Token;
}
type RawInstruction = string | Readonly<Record<string, unknown>>;
interface RawModule {
  readonly self_module_handle_idx: number;
  readonly module_handles: ReadonlyArray<{ readonly address: number; readonly name: number }>;
  readonly datatype_handles: ReadonlyArray<{
    readonly module: number;
    readonly name: number;
    readonly abilities: number;
    readonly type_parameters: readonly unknown[];
  }>;
  readonly function_handles: ReadonlyArray<{
    readonly module: number;
    readonly name: number;
    readonly parameters: number;
    readonly return_: number;
    readonly type_parameters: readonly unknown[];
  }>;
  readonly function_instantiations: ReadonlyArray<{
    readonly handle: number;
    readonly type_parameters: number;
  }>;
  readonly signatures: ReadonlyArray<readonly Token[]>;
  readonly identifiers: readonly string[];
  readonly address_identifiers: readonly string[];
  readonly constant_pool: ReadonlyArray<{ readonly type_: unknown; readonly data: readonly number[] }>;
  readonly struct_defs: ReadonlyArray<{
    readonly struct_handle: number;
    readonly field_information: { readonly Declared: readonly RawField[] } | 'Native';
  }>;
  readonly enum_defs: readonly unknown[];
  readonly function_defs: ReadonlyArray<{
    readonly function: number;
    readonly visibility: 'Public' | 'Friend' | 'Private';
    readonly is_entry: boolean;
    readonly code: { readonly code: readonly RawInstruction[] } | null;
  }>;
}

// === What the bindings say ===

/** A Move type with every index resolved. */
type MoveType =
  | { readonly kind: 'primitive'; readonly name: string }
  | { readonly kind: 'vector'; readonly element: MoveType }
  | {
      readonly kind: 'datatype';
      /** `0x2::object::ID`; the package's own modules have the address 0x0. */
      readonly name: string;
      readonly module: string;
      readonly isOwn: boolean;
      readonly hasKey: boolean;
      readonly type: readonly MoveType[];
    }
  | { readonly kind: 'reference'; readonly isMutable: boolean; readonly to: MoveType };

export interface StructBinding {
  readonly name: string;
  readonly isEvent: boolean;
  readonly fields: ReadonlyArray<{ readonly name: string; readonly type: MoveType }>;
}
export interface FunctionBinding {
  readonly name: string;
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly type: MoveType }>;
}
export interface AbortBinding {
  readonly constant: string;
  readonly sentence: string;
}
export interface ModuleBinding {
  readonly name: string;
  readonly structs: readonly StructBinding[];
  readonly functions: readonly FunctionBinding[];
  readonly aborts: readonly AbortBinding[];
}

const KEY_ABILITY = 8;

/** Reads one compiled module. `parameterNames` has the names of each function's parameters, by function. */
export function readModule(
  bytecode: Uint8Array,
  parameterNames: ReadonlyMap<string, readonly string[]>,
): ModuleBinding {
  const raw = deserialize(bytecode) as RawModule;
  const identifier = (index: number) => at(raw.identifiers, index);
  const moduleName = (index: number) => identifier(at(raw.module_handles, index).name);
  const name = moduleName(raw.self_module_handle_idx);
  if (raw.enum_defs.length > 0)
    throw new Error(`module ${name} has an enum: teach scripts/generate-bindings.ts their layout first`);

  function datatype(index: number, type: readonly Token[]): MoveType {
    const handle = at(raw.datatype_handles, index);
    const address = BigInt(`0x${at(raw.address_identifiers, at(raw.module_handles, handle.module).address)}`);
    return {
      kind: 'datatype',
      name: `0x${address.toString(16)}::${moduleName(handle.module)}::${identifier(handle.name)}`,
      module: moduleName(handle.module),
      isOwn: address === 0n,
      hasKey: (handle.abilities & KEY_ABILITY) !== 0,
      type: type.map(resolve),
    };
  }
  function resolve(token: Token): MoveType {
    if (typeof token === 'string') return { kind: 'primitive', name: token };
    if ('Vector' in token) return { kind: 'vector', element: resolve(token.Vector) };
    if ('Datatype' in token) return datatype(token.Datatype, []);
    if ('DatatypeInstantiation' in token) return datatype(...token.DatatypeInstantiation);
    if ('Reference' in token) return { kind: 'reference', isMutable: false, to: resolve(token.Reference) };
    if ('MutableReference' in token)
      return { kind: 'reference', isMutable: true, to: resolve(token.MutableReference) };
    throw new Error(`module ${name} has a generic type or function: the bindings know none`);
  }

  const emitted = new Set(emittedEvents(raw, datatypeName));
  function datatypeName(token: Token): string {
    const type = resolve(token);
    if (type.kind !== 'datatype') throw new Error(`module ${name} emits something that is no struct`);
    return type.name;
  }

  return {
    name,
    structs: raw.struct_defs.map((definition): StructBinding => {
      const handle = at(raw.datatype_handles, definition.struct_handle);
      const structName = identifier(handle.name);
      if (definition.field_information === 'Native') throw new Error(`${name}::${structName} is native`);
      return {
        name: structName,
        isEvent: emitted.has(`0x0::${name}::${structName}`),
        fields: definition.field_information.Declared.map((field) => ({
          name: identifier(field.name),
          type: resolve(field.signature),
        })),
      };
    }),
    functions: raw.function_defs
      .filter((definition) => definition.visibility === 'Public')
      .map((definition): FunctionBinding => {
        const handle = at(raw.function_handles, definition.function);
        const functionName = identifier(handle.name);
        const types = at(raw.signatures, handle.parameters).map(resolve);
        const names = parameterNames.get(functionName);
        if (names?.length !== types.length)
          throw new Error(
            `${name}::${functionName} has ${types.length} parameters in the bytecode and ${names?.length ?? 'no'} in the sources: build the contracts again`,
          );
        return {
          name: functionName,
          parameters: types.map((type, index) => ({ name: at(names, index), type })),
        };
      }),
    aborts: namedAborts(raw),
  };
}

/** The type argument of every `sui::event::emit<T>` the module instantiates. */
function emittedEvents(raw: RawModule, nameOf: (token: Token) => string): string[] {
  return raw.function_instantiations
    .filter(({ handle }) => {
      const { module, name } = at(raw.function_handles, handle);
      return (
        at(raw.identifiers, name) === 'emit' &&
        at(raw.identifiers, at(raw.module_handles, module).name) === 'event'
      );
    })
    .map((instantiation) => nameOf(at(at(raw.signatures, instantiation.type_parameters), 0)));
}

/**
 * The `#[error]` constants that the code aborts with. The compiler puts name and message of each into the constant
 * pool, and their indices into the abort code: 1 bit mark, 7 reserved, 8 error code, 16 line, 16 name, 16 message.
 */
function namedAborts(raw: RawModule): AbortBinding[] {
  const found = new Map<string, AbortBinding>();
  for (const { code } of raw.function_defs)
    for (const instruction of code?.code ?? []) {
      if (typeof instruction === 'string' || !('LdU64' in instruction)) continue;
      const value = BigInt(instruction.LdU64 as bigint);
      if (value >> 63n !== 1n) continue;
      const constant = text(raw, Number((value >> 16n) & 0xffffn));
      const sentence = text(raw, Number(value & 0xffffn));
      if (constant === undefined || sentence === undefined || !/^E[A-Z]/.test(constant)) continue;
      found.set(constant, { constant, sentence });
    }
  return [...found.values()].sort((a, b) => (a.constant < b.constant ? -1 : 1));
}

function text(raw: RawModule, index: number): string | undefined {
  const constant = raw.constant_pool[index];
  if (JSON.stringify(constant?.type_) !== '{"Vector":"U8"}') return undefined;
  // The length prefix (ULEB128) has one byte more for every seven bits.
  const data = Uint8Array.from(constant?.data ?? []);
  const prefix = data.findIndex((byte) => byte < 0x80) + 1;
  return new TextDecoder().decode(data.subarray(prefix));
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`index ${index} is outside a table of the compiled module`);
  return item;
}

// === Names of parameters, from the sources ===

/** The parameter names of every function of a Move source file. */
export function readParameterNames(source: string): Map<string, string[]> {
  const code = source.replace(/\/\/[^\n]*/g, '').replace(/\/\*[\s\S]*?\*\//g, '');
  const names = new Map<string, string[]>();
  for (const match of code.matchAll(/\bfun\s+(\w+)\s*(?:<[^>]*>)?\s*\(/g)) {
    const list = untilClosed(code, match.index + match[0].length);
    const parameters = splitAtTopLevel(list).map((parameter) => (parameter.split(':')[0] ?? '').trim());
    names.set(
      match[1] as string,
      parameters.filter((parameter) => parameter !== '').map((parameter) => parameter.replace(/^mut\s+/, '')),
    );
  }
  return names;
}

function untilClosed(code: string, from: number): string {
  let depth = 1;
  for (let index = from; index < code.length; index += 1) {
    if (code[index] === '(') depth += 1;
    if (code[index] === ')') depth -= 1;
    if (depth === 0) return code.slice(from, index);
  }
  throw new Error('a parameter list of the sources is not closed');
}

function splitAtTopLevel(list: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let part = '';
  for (const character of list) {
    if ('<('.includes(character)) depth += 1;
    if ('>)'.includes(character)) depth -= 1;
    if (character === ',' && depth === 0) {
      parts.push(part);
      part = '';
    } else part += character;
  }
  return [...parts, part];
}

// === TypeScript ===

const PRIMITIVES: Readonly<Record<string, { layout: string; type: string }>> = {
  Bool: { layout: 'bcs.bool()', type: 'boolean' },
  U8: { layout: 'bcs.u8()', type: 'number' },
  U16: { layout: 'bcs.u16()', type: 'number' },
  U32: { layout: 'bcs.u32()', type: 'number' },
  U64: { layout: 'u64', type: 'bigint' },
  Address: { layout: 'bcs.Address', type: 'string' },
};
/** Structs of the framework whose bytes are those of their one field, or a plain list of fields. */
const FRAMEWORK: Readonly<Record<string, { layout: string; type: string }>> = {
  '0x1::string::String': { layout: 'bcs.string()', type: 'string' },
  '0x1::ascii::String': { layout: 'bcs.string()', type: 'string' },
  '0x2::object::ID': { layout: 'bcs.Address', type: 'string' },
  '0x2::object::UID': { layout: 'bcs.Address', type: 'string' },
  '0x2::balance::Balance': { layout: 'u64', type: 'bigint' },
  '0x2::table::Table': { layout: 'table', type: '{ id: string; size: bigint }' },
};

/** A layout expression; structs of other modules of the package are named `<module>.<Struct>`. */
function layoutOf(type: MoveType, own: string): string {
  if (type.kind === 'primitive') return PRIMITIVES[type.name]?.layout ?? unknown(type.name);
  if (type.kind === 'vector')
    return isByte(type.element) ? 'bytes' : `bcs.vector(${layoutOf(type.element, own)})`;
  if (type.kind === 'reference') return unknown('a reference in a struct');
  if (type.name === '0x1::option::Option')
    return `optional(${layoutOf(type.type[0] ?? unknown('Option'), own)})`;
  if (type.isOwn)
    return type.module === own ? lastPart(type.name) : `${camelCase(type.module)}.${lastPart(type.name)}`;
  return FRAMEWORK[type.name]?.layout ?? unknown(type.name);
}

/** How an argument is typed, and the expression that puts it into the transaction; `undefined`: not an argument. */
function argumentOf(type: MoveType, value: string): { type: string; expression: string } | undefined {
  const target = type.kind === 'reference' ? type.to : type;
  if (target.kind === 'datatype' && target.name === '0x2::tx_context::TxContext') return undefined;
  if (target.kind === 'datatype' && target.name === '0x2::clock::Clock')
    return { type: '', expression: 'tx.object.clock()' };
  if (target.kind === 'datatype' && target.hasKey)
    return { type: 'ObjectArgument', expression: `tx.object(${value})` };
  const pure = type.kind === 'reference' ? undefined : pureOf(type);
  // Structs without `key` come from an earlier call of the same transaction.
  if (!pure) return { type: 'TransactionArgument', expression: value };
  return { type: pure.type, expression: `tx.pure(${pure.layout}.serialize(${value}))` };
}

function pureOf(type: MoveType): { type: string; layout: string } | undefined {
  if (type.kind === 'primitive') return PRIMITIVES[type.name] ?? unknown(type.name);
  if (type.kind === 'vector') {
    if (isByte(type.element)) return { type: 'Uint8Array', layout: 'bytes' };
    const element = pureOf(type.element);
    return (
      element && {
        type: `readonly ${element.type.startsWith('readonly') ? `(${element.type})` : element.type}[]`,
        layout: `list(${element.layout})`,
      }
    );
  }
  if (type.kind === 'reference') return undefined;
  if (type.name === '0x1::option::Option' && type.type[0]) {
    const inner = pureOf(type.type[0]);
    return inner && { type: `${inner.type} | undefined`, layout: `optional(${inner.layout})` };
  }
  return ['0x1::string::String', '0x1::ascii::String', '0x2::object::ID'].includes(type.name)
    ? FRAMEWORK[type.name]
    : undefined;
}

const isByte = (type: MoveType) => type.kind === 'primitive' && type.name === 'U8';
const lastPart = (name: string) => name.slice(name.lastIndexOf(':') + 1);
const camelCase = (name: string) =>
  name.replace(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
const fileName = (module: string) => `${module.replaceAll('_', '-')}.ts`;
function unknown(what: string): never {
  throw new Error(`no TypeScript layout for ${what}: add it to scripts/generate-bindings.ts`);
}

const HEADER = '// Generated by scripts/generate-bindings.ts from the compiled contracts. Do not edit.\n';

/** All files of the bindings, by name. */
export function renderBindings(modules: readonly ModuleBinding[]): Map<string, string> {
  const files = new Map<string, string>();
  files.set('layout.ts', LAYOUT);
  for (const module of modules) files.set(fileName(module.name), renderModule(module));
  files.set('aborts.ts', renderAborts(modules));
  files.set(
    'index.ts',
    `${HEADER}export { type AbortName, aborts } from './aborts.ts';\nexport type { ObjectArgument } from './layout.ts';\n${modules
      .map(({ name }) => `export * as ${camelCase(name)} from './${fileName(name)}';\n`)
      .join('')}`,
  );
  return files;
}

function renderModule(module: ModuleBinding): string {
  const structs = inOrderOfUse(module).map((struct) => renderStruct(struct, module.name));
  const functions = module.functions.map((call) => renderFunction(call, module.name));
  const events = module.structs.filter(({ isEvent }) => isEvent).map(({ name }) => `  ${name},\n`);
  const body = [
    `/** The module's name on chain. */\nexport const MODULE = '${module.name}';\n`,
    ...structs,
    `/** The events of the module, by name. */\nexport const events = {\n${events.join('')}} as const;\n`,
    ...functions,
  ].join('\n');
  const others = [...new Set([...body.matchAll(/\b([a-z]\w*)\.[A-Z]\w+/g)].map((match) => match[1]))].filter(
    (name) => name !== 'bcs',
  );
  const helpers = ['bytes', 'list', 'optional', 'table', 'u64'].filter((name) =>
    new RegExp(`\\b${name}\\b[(,)]|[ (]${name}\\.|: ${name},`).test(body),
  );
  const imports = [
    /\bbcs\./.test(body) && "import { bcs } from '@mysten/sui/bcs';\n",
    // A module of constants and structs alone has no calls.
    /\bTransactionResult\b/.test(body) &&
      `import type { Transaction, ${/\bTransactionArgument\b/.test(body) ? 'TransactionArgument, ' : ''}TransactionResult } from '@mysten/sui/transactions';\n`,
    ...others.map(
      (name) =>
        `import * as ${name} from './${(name as string).replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}.ts';\n`,
    ),
    (helpers.length > 0 || /\bObjectArgument\b/.test(body)) &&
      `import { ${[...helpers, /\bObjectArgument\b/.test(body) && 'type ObjectArgument'].filter(Boolean).join(', ')} } from './layout.ts';\n`,
  ];
  return `${HEADER}${imports.filter(Boolean).join('')}\n${body}`;
}

/** Structs after those they are made of. */
function inOrderOfUse(module: ModuleBinding): StructBinding[] {
  const done = new Map<string, StructBinding>();
  function visit(struct: StructBinding): void {
    if (done.has(struct.name)) return;
    for (const { type } of struct.fields)
      for (const used of ownStructs(type, module.name)) {
        const definition = module.structs.find(({ name }) => name === used);
        if (definition) visit(definition);
      }
    done.set(struct.name, struct);
  }
  module.structs.forEach(visit);
  return [...done.values()];
}

function ownStructs(type: MoveType, own: string): string[] {
  if (type.kind === 'vector') return ownStructs(type.element, own);
  if (type.kind !== 'datatype') return [];
  const inner = type.type.flatMap((argument) => ownStructs(argument, own));
  return type.isOwn && type.module === own ? [lastPart(type.name), ...inner] : inner;
}

function renderStruct({ name, fields }: StructBinding, own: string): string {
  const lines = fields.map((field) => `  ${camelCase(field.name)}: ${layoutOf(field.type, own)},\n`);
  return `/** \`${own}::${name}\` */\nexport const ${name} = bcs.struct('${name}', {\n${lines.join('')}});\nexport type ${name} = typeof ${name}.$inferType;\n`;
}

function renderFunction({ name, parameters }: FunctionBinding, own: string): string {
  const described = parameters.flatMap((parameter) => {
    const key = camelCase(parameter.name.replace(/^_+/, ''));
    const argument = argumentOf(parameter.type, `args.${key}`);
    return argument ? [{ key, ...argument }] : [];
  });
  const typed = described.filter(({ type }) => type !== '');
  const args = typed.length
    ? `, args: {\n${typed.map(({ key, type }) => `  readonly ${key}: ${type};\n`).join('')}}`
    : '';
  const list = described.map(({ expression }) => `      ${expression},\n`).join('');
  return `/** Adds a call of \`${own}::${name}\`. */\nexport function ${camelCase(name)}(tx: Transaction, packageId: string${args}): TransactionResult {\n  return tx.moveCall({\n    target: \`\${packageId}::${own}::${name}\`,\n    arguments: [\n${list}    ],\n  });\n}\n`;
}

function renderAborts(modules: readonly ModuleBinding[]): string {
  const entries = modules.flatMap(({ name, aborts }) =>
    aborts.map(({ constant, sentence }) => `  '${name}::${constant}': ${JSON.stringify(sentence)},\n`),
  );
  return `${HEADER}
/** Every named abort of the contracts, \`module::Constant\`, and its sentence on chain. */
export const aborts = {
${entries.join('')}} as const;
export type AbortName = keyof typeof aborts;
`;
}

const LAYOUT = `${HEADER}import { bcs, type BcsType } from '@mysten/sui/bcs';
import type { TransactionObjectInput } from '@mysten/sui/transactions';

/** An object id, or a reference to an object with its version. */
export type ObjectArgument = TransactionObjectInput;

/** u64 as bigint. */
export const u64 = bcs.u64().transform({
  name: 'u64',
  input: (value: bigint) => value,
  output: (value) => BigInt(value),
});

/** vector<u8> as bytes of their own. */
export const bytes = bcs.byteVector().transform({
  name: 'bytes',
  input: (value: Uint8Array) => value,
  output: (value) => Uint8Array.from(value),
});

/** vector<T> for arguments: what is given is not changed, so it may be readonly. */
export function list<T, Input>(item: BcsType<T, Input>) {
  return bcs.vector(item).transform({
    name: 'list',
    input: (values: readonly Input[]) => [...values],
    output: (values) => values,
  });
}

/** Option<T> as T or undefined. */
export function optional<T, Input>(item: BcsType<T, Input>) {
  return bcs.option(item).transform({
    name: 'optional',
    input: (value: Input | undefined) => value,
    output: (value): T | undefined => value ?? undefined,
  });
}

/** The entries of a table are objects of their own, children of \`id\`. */
export const table = bcs.struct('Table', { id: bcs.Address, size: u64 });
`;

// === Running it ===

/** The modules of a build file, read together with the sources they were made from. */
export async function readBuild(buildFile: string, sources: string): Promise<ModuleBinding[]> {
  const build = JSON.parse(await readFile(buildFile, 'utf8')) as { modules: Record<string, string> };
  const bindings: ModuleBinding[] = [];
  for (const [name, base64] of Object.entries(build.modules).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const source = await readFile(join(sources, `${name}.move`), 'utf8');
    bindings.push(readModule(Buffer.from(base64, 'base64'), readParameterNames(source)));
  }
  return bindings;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      check: { type: 'boolean', default: false },
      build: { type: 'string', default: 'contracts/build/k3s_daas.json' },
      sources: { type: 'string', default: 'contracts/sources' },
      out: { type: 'string', default: 'src/chain/generated' },
    },
  });
  const files = renderBindings(await readBuild(values.build, values.sources));
  await mkdir(values.out, { recursive: true });
  const present = (await readdir(values.out)).filter((name) => name.endsWith('.ts'));
  const stale: string[] = present.filter((name) => !files.has(name));
  for (const [name, content] of files) {
    const old = await readFile(join(values.out, name), 'utf8').catch(() => undefined);
    if (old !== content) stale.push(name);
  }
  if (values.check) {
    for (const name of stale) console.error(`${join(values.out, name)} does not fit the compiled contracts`);
    if (stale.length > 0) console.error('run: node --conditions=source scripts/generate-bindings.ts');
    return stale.length > 0 ? 1 : 0;
  }
  for (const name of present) if (!files.has(name)) await rm(join(values.out, name));
  for (const [name, content] of files) await writeFile(join(values.out, name), content);
  console.error(`bindings: ${files.size} files, ${stale.length} changed`);
  return 0;
}

if (import.meta.main) process.exitCode = await main();
