import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readCleverError } from '../../devnet/src/move/clever-error.ts';
import { type CompiledModule, readModule } from '../../devnet/src/move/compiled-module.ts';
import { MoveAbort, MoveFault } from '../../devnet/src/move/faults.ts';
import { FRAMEWORK } from '../../devnet/src/move/framework.ts';
import {
  buildFileOf,
  moduleOf,
  runStory,
  type StoryModule,
  sourceOf,
  storiesOf,
} from '../../devnet/src/move/story.fixture.ts';
import { formatType } from '../../devnet/src/move/types.ts';
import { missingFrameworkFunctions } from '../../devnet/src/packages.ts';
import { BUILD_FILE, compile, type Framework, ownFramework, runTests } from './move.ts';
import { realFramework } from './real-framework.ts';

/** The dev chain's Move machine against Move's own VM. */
const DEVNET = join(import.meta.dirname, '..', '..', 'devnet', 'src');
const MANIFEST = '[package]\nname = "stories"\nedition = "2024"\n\n[addresses]\nstories = "0x0"\n';

async function compileStories(name: StoryModule, framework: Framework): Promise<string | undefined> {
  const { modules } = await compile(
    { 'Move.toml': MANIFEST, [`sources/${name}.move`]: sourceOf(name) },
    framework,
  );
  return modules[name];
}

/** The same stories as tests for Move's own VM: a story that fails must fail there by the same abort or fault. */
function asMoveTests(
  name: StoryModule,
  endings: ReadonlyMap<string, unknown>,
  module: CompiledModule,
): string {
  const tests = [...endings].map(([story, ending]) => {
    const context = new RegExp(`public fun ${story}\\(ctx`).test(sourceOf(name))
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
  const stories = storiesOf(sourceOf(name));

  test.skipIf(!framework)('end here as they end in Move’s own VM', { timeout: 120_000 }, async () => {
    if (!framework) return;
    const compiled = await compileStories(name, framework);
    // Committed, since few machines can compile it; `vitest run -u` writes it.
    await expect(`${compiled}\n`).toMatchFileSnapshot(buildFileOf(name));
    const module = moduleOf(name);
    const endings = new Map(
      stories.map((story) => {
        try {
          runStory(module, story);
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
        [`sources/${name}.move`]: sourceOf(name),
        [`tests/${name}_tests.move`]: asMoveTests(name, endings, module),
      },
      framework,
    );
    expect(failure ?? output).toContain(`Total tests: ${stories.length}`);
    expect(passed, output).toBe(true);
  });
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

describe('what the dev chain’s own tests run', () => {
  test.skipIf(typeof real === 'string')('is what its source compiles to', async () => {
    if (typeof real === 'string') return;
    const file = (name: string) => readFileSync(join(DEVNET, name), 'utf8');
    const manifest = '[package]\nname = "life"\nedition = "2024"\n\n[addresses]\nlife = "0x0"\n';
    const files = { 'Move.toml': manifest, 'sources/life.move': file('lifecycle.move') };
    const committed = JSON.parse(file('lifecycle.build.json')) as { modules: Record<string, string> };
    expect((await compile(files, real)).modules).toEqual(committed.modules);
  });
});

test('the dev chain has every framework function that the contracts call', () => {
  const { modules } = JSON.parse(readFileSync(BUILD_FILE, 'utf8')) as { modules: Record<string, string> };
  const compiled = Object.values(modules).map((module) => Buffer.from(module, 'base64'));
  expect(compiled).not.toEqual([]);
  expect(missingFrameworkFunctions(compiled)).toEqual([]);
});
