import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
// The compiler, the Move VM and the real framework belong to the contracts' own tests.
import { compile, type Framework, ownFramework, runTests } from '../../../contracts/test/move.ts';
import { realFramework } from '../../../contracts/test/real-framework.ts';
import { readCleverError } from './clever-error.ts';
import { type CompiledModule, readModule } from './compiled-module.ts';
import { MoveAbort, MoveFault, MoveOutOfGas, MovePrimitiveFault } from './faults.ts';
import { FRAMEWORK, frameworkDatatype, frameworkFunction } from './framework.ts';
import type { MoveHost } from './host.ts';
import { type Code, Machine } from './machine.ts';
import { isTxContextParameter, txContext } from './sui-transaction.ts';
import { formatType, type Type } from './types.ts';
import { type MoveValue, place } from './values.ts';

const MANIFEST = '[package]\nname = "stories"\nedition = "2024"\n\n[addresses]\nstories = "0x0"\n';
const source = (name: string) => readFileSync(join(import.meta.dirname, 'stories', `${name}.move`), 'utf8');

async function compileStories(name: string, framework: Framework): Promise<CompiledModule> {
  const { modules } = await compile(
    { 'Move.toml': MANIFEST, [`sources/${name}.move`]: source(name) },
    framework,
  );
  return readModule(Buffer.from(modules[name] ?? '', 'base64'));
}

const storiesOf = (text: string): string[] =>
  [...text.matchAll(/^public fun (\w+)\(/gm)].map(([, name]) => name as string);

/** Runs one story; what it throws is how it ended. */
function tell(module: CompiledModule, story: string, budget = 1_000_000): MoveValue[] {
  const definition = module.functions.find(({ signature }) => signature.name === story);
  const args = (definition?.signature.parameters ?? []).map((type) => {
    if (!isTxContextParameter(type)) throw new Error(`${story} wants a ${formatType(type)}`);
    return place([txContext()], 0);
  });
  return new Machine(codeOf(module), memoryHost(), budget).call(module.address, module.name, story, [], args);
}

const codeOf = (module: CompiledModule): Code => ({
  module: (address, name) => (address === module.address && name === module.name ? module : undefined),
  native: frameworkFunction,
  datatype: (address, name, datatype) =>
    frameworkDatatype(address, name, datatype) ??
    module.datatypes.find((definition) => definition.name === datatype && name === module.name),
});

/** A transaction's surroundings with dynamic fields kept in a map. */
function memoryHost(): MoveHost {
  const children = new Map<string, { type: Type; cell: MoveValue[] }>();
  let next = 1;
  const unexpected = () => {
    throw new Error('no story asks for this');
  };
  return {
    sender: `0x${'1'.repeat(64)}`,
    sponsor: undefined,
    epoch: 3n,
    epochTimestampMs: 5n,
    gasPrice: 1000n,
    referenceGasPrice: 1000n,
    digestBytes: new Uint8Array(32),
    freshId: () => `0x${(next++).toString(16).padStart(64, '0')}`,
    created: () => undefined,
    deleted: () => undefined,
    mayShare: () => true,
    transfer: unexpected,
    emit: unexpected,
    addChild: (_parent, id, type, value) => {
      children.set(id, { type, cell: [value] });
    },
    hasChild: (_parent, id) => children.has(id),
    borrowChild: (_parent, id) => {
      const child = children.get(id);
      return child && { type: child.type, place: place(child.cell, 0) };
    },
    removeChild: (_parent, id) => {
      const [value] = children.get(id)?.cell ?? [];
      children.delete(id);
      if (value === undefined) throw new Error(`there is no ${id}`);
      return value;
    },
  };
}

/** The same stories as tests for Move's own VM: a story that fails must fail there by the same abort or fault. */
function asMoveTests(name: string, endings: ReadonlyMap<string, unknown>, module: CompiledModule): string {
  const tests = [...endings].map(([story, ending]) => {
    const context = new RegExp(`public fun ${story}\\(ctx`).test(source(name))
      ? '&mut tx_context::dummy()'
      : '';
    return `#[test${expectation(ending, module)}]\nfun ${story}() { ${name}::${story}(${context}); }`;
  });
  return `#[test_only]\nmodule stories::${name}_tests;\n\nuse stories::${name};\n\n${tests.join('\n\n')}\n`;
}

function expectation(ending: unknown, compiled: CompiledModule): string {
  if (ending === undefined) return '';
  if (ending instanceof MoveAbort) {
    const { address, module } = ending.location;
    const isOwn = address === compiled.address;
    const location = isOwn ? `stories::${module}` : `0x${BigInt(address).toString(16)}::${module}`;
    // A named error's code carries places in the constant pool, which a build with tests orders otherwise.
    const named = isOwn ? readCleverError(ending.code, compiled)?.constantName : undefined;
    const code = named === undefined ? ending.code : `stories::${module}::${named}`;
    return `, expected_failure(abort_code = ${code}, location = ${location})`;
  }
  return ', expected_failure';
}

const real = realFramework();
const suites = [
  { name: 'language', framework: typeof real === 'string' ? ownFramework() : real, why: undefined },
  {
    name: 'library',
    framework: typeof real === 'string' ? undefined : real,
    why: typeof real === 'string' ? real : undefined,
  },
] as const;

describe.each(suites)('the stories of the $name', ({ name, framework }) => {
  const stories = storiesOf(source(name));

  test.skipIf(!framework)('end here as they end in Move’s own VM', { timeout: 120_000 }, async () => {
    if (!framework) return;
    const module = await compileStories(name, framework);
    const endings = new Map(
      stories.map((story) => {
        try {
          tell(module, story);
          return [story, undefined];
        } catch (error) {
          return [story, error];
        }
      }),
    );
    for (const [story, ending] of endings) {
      if (!story.startsWith('fails_')) expect([story, ending]).toEqual([story, undefined]);
      else expect([story, ending instanceof MoveFault]).toEqual([story, true]);
    }
    const { passed, output, failure } = await runTests(
      {
        'Move.toml': MANIFEST,
        [`sources/${name}.move`]: source(name),
        [`tests/${name}_tests.move`]: asMoveTests(name, endings, module),
      },
      framework,
    );
    expect(failure ?? output).toContain(`Total tests: ${stories.length}`);
    expect(passed, output).toBe(true);
  });
});

describe('the machine', () => {
  const language = compileStories('language', ownFramework());

  test('says where an abort happened and what its named error is', async () => {
    const module = await language;
    const abort = failureOf(module, 'fails_with_a_named_error');
    expect(abort).toBeInstanceOf(MoveAbort);
    const { location, code } = abort as MoveAbort;
    expect(location).toMatchObject({ module: 'language', functionName: 'fails_with_a_named_error' });
    expect(module.functions[location.functionIndex]?.signature.name).toBe('fails_with_a_named_error');
    expect(readCleverError(code, module)).toMatchObject({
      constantName: 'ETooSmall',
      rendered: 'The number is too small',
      errorCode: undefined,
      lineNumber: lineOf('assert!(1u64 > 2, ETooSmall)'),
    });
  });

  test('reads a code that the error was given, and leaves plain numbers alone', async () => {
    const module = await language;
    const withCode = failureOf(module, 'fails_with_a_code') as MoveAbort;
    expect(readCleverError(withCode.code, module)).toMatchObject({ constantName: 'EWithCode', errorCode: 7 });
    const plain = failureOf(module, 'fails_with_a_number') as MoveAbort;
    expect(plain.code).toBe(42n);
    expect(readCleverError(plain.code, module)).toBeUndefined();
  });

  test('stops when the budget is used up', async () => {
    const module = await language;
    expect(() => tell(module, 'recursion', 1_000)).toThrow(MoveOutOfGas);
  });

  test('names arithmetic faults apart from aborts', async () => {
    expect(failureOf(await language, 'fails_by_overflow_of_u8')).toBeInstanceOf(MovePrimitiveFault);
  });

  const lineOf = (text: string): number =>
    source('language')
      .split('\n')
      .findIndex((line) => line.includes(text)) + 1;

  function failureOf(module: CompiledModule, story: string): unknown {
    try {
      tell(module, story);
    } catch (error) {
      return error;
    }
    return undefined;
  }
});

describe('the framework’s faces', () => {
  test.skipIf(typeof real === 'string')('are those of the real framework', { timeout: 120_000 }, async () => {
    if (typeof real === 'string') return;
    const modules = await compileFramework(real);
    for (const own of FRAMEWORK) {
      const theirs = modules.find(({ address, name }) => address === own.address && name === own.name);
      for (const { signature } of own.functions) {
        const found = theirs?.functions.find((one) => one.signature.name === signature.name)?.signature;
        expect(face(signature)).toEqual(found && face(found));
      }
      for (const definition of own.datatypes)
        expect(shape(definition)).toEqual(
          shape(theirs?.datatypes.find(({ name }) => name === definition.name) ?? definition),
        );
    }
  });

  /** As a root package the framework would lose its own address; under a name of no meaning it keeps it. */
  async function compileFramework(framework: Framework): Promise<CompiledModule[]> {
    const manifest = (rest: string) =>
      `[package]\nname = "interface"\nedition = "2024"\nimplicit-dependencies = false\n${rest}interface = "0x0"\n`;
    const builds = [
      await compile({ ...framework.stdlib, 'Move.toml': manifest('[addresses]\nstd = "0x1"\n') }, framework),
      await compile(
        {
          ...framework.sui,
          'Move.toml': manifest(
            '[dependencies]\nMoveStdlib = { local = "../move-stdlib" }\n[addresses]\nsui = "0x2"\n',
          ),
        },
        framework,
      ),
    ];
    return builds.flatMap(({ modules }) =>
      Object.values(modules).map((base64) => readModule(Buffer.from(base64, 'base64'))),
    );
  }

  type Signature = CompiledModule['functions'][number]['signature'];
  const face = (signature: Signature) => ({
    name: `${signature.module}::${signature.name}`,
    visibility: signature.visibility,
    isEntry: signature.isEntry,
    typeParameters: signature.typeParameters.map(({ constraints }) => [...constraints].sort()),
    parameters: signature.parameters.map(formatType),
    returns: signature.returns.map(formatType),
  });
  const shape = (definition: CompiledModule['datatypes'][number]) => ({
    name: `${definition.module}::${definition.name}`,
    abilities: [...definition.abilities].sort(),
    parameters: definition.parameters.map(({ isPhantom, constraints }) => [
      isPhantom,
      [...constraints].sort(),
    ]),
    fields:
      definition.body.kind === 'struct'
        ? definition.body.fields.map(({ name, type }) => `${name}: ${formatType(type)}`)
        : [],
  });
});
