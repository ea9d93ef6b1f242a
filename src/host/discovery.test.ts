import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AgentArguments } from '#plugin';
import { discoverPlugin } from './discovery.ts';
import { integrityOf } from './plugin-integrity.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-discovery-'));
});
afterAll(() => rm(directory, { recursive: true }));

const schema = `{ '~standard': { version: 1, vendor: 'test', validate: (value) => ({ value }) } }`;
const find = (use: string) => discoverPlugin({ use }, { builtIns: { staking: async () => ({}) }, directory });

async function write(name: string, files: Readonly<Record<string, string>>): Promise<void> {
  await mkdir(join(directory, name), { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(directory, name, file), text);
}

test('a file is loaded by its path relative to the configuration', async () => {
  await write('.', {
    'mine.mjs': `export default { name: 'mine', api: 1, config: ${schema}, setup() {} };`,
  });
  expect((await find('./mine.mjs')).name).toBe('mine');
});

test('a package that has only exports is loaded by its directory, and is lent the contract of this host', async () => {
  await write('acme', {
    'package.json': JSON.stringify({
      name: '@acme/p',
      type: 'module',
      exports: './entry.js',
      'k3s-daas': { api: 1 },
    }),
    'entry.js': `import { AgentArguments } from 'k3s-daas/plugin';
      export default { name: 'acme', api: 1, config: ${schema}, key: AgentArguments.key, setup() {} };`,
  });
  expect(await find('./acme')).toMatchObject({ name: 'acme', key: AgentArguments.key });
});

test('a package for another version of the contract is refused before any of its code runs', async () => {
  await write('old', {
    'package.json': JSON.stringify({ name: 'old', type: 'module', main: 'index.js', 'k3s-daas': { api: 2 } }),
    'index.js': `throw new Error('ran');`,
  });
  await expect(find('./old')).rejects.toMatchObject({
    code: 'DAAS_PLUGIN_API',
    message: expect.stringContaining('version 2'),
  });
});

test.each([
  ['a name that is no built-in', 'stakin', "the nearest is 'staking'"],
  ['a package that is not installed', '@acme/daas-gpu', 'run `npm install --prefix'],
  ['a name with a version', 'daas-gpu@1.0.0', 'leave its version out'],
  ['a path where nothing is', './nothing', 'does not load'],
  ['an inherited property', 'constructor', 'there is no built-in plugin'],
])('%s is refused', async (_case, use, sentence) => {
  await expect(find(use)).rejects.toMatchObject({ exitCode: 78, message: expect.stringContaining(sentence) });
});

function plugin(name: string): string {
  return `export default { name: '${name}', api: 1, config: ${schema}, setup() {} };`;
}

async function install(
  name: string,
  manifest: object,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  const full = { name, version: '1.0.0', type: 'module', exports: './index.js', ...manifest };
  await write(join('node_modules', name), { 'package.json': JSON.stringify(full), ...files });
}

test('an npm name is found in node_modules beside the configuration, or above it', async () => {
  await install('@acme/gpu', { 'k3s-daas': { api: 1 } }, { 'index.js': plugin('gpu') });
  await mkdir(join(directory, 'deeper', 'etc'), { recursive: true });
  const below = { builtIns: {}, directory: join(directory, 'deeper', 'etc') };
  expect((await find('@acme/gpu')).name).toBe('gpu');
  expect((await discoverPlugin({ use: '@acme/gpu' }, below)).name).toBe('gpu');
});

test('a package does not take the place of a built-in of its name', async () => {
  await install('staking', { 'k3s-daas': { api: 1 } }, { 'index.js': plugin('impostor') });
  await expect(find('staking')).rejects.toMatchObject({ code: 'DAAS_PLUGIN_API' });
});

test.each([
  ['that does not say it is a plugin', {}, 'DAAS_PLUGIN_SHAPE', 'has no "k3s-daas": { "api": 1 }'],
  ['for another contract', { 'k3s-daas': { api: 2 } }, 'DAAS_PLUGIN_API', 'version 2'],
  [
    'for another release of the host',
    { 'k3s-daas': { api: 1 }, peerDependencies: { 'k3s-daas': '>=99' } },
    'DAAS_PLUGIN_API',
    'is for k3s-daas >=99 (peerDependencies); this is ',
  ],
])('a package %s is refused before any of its code runs', async (_what, manifest, code, sentence) => {
  await install('runs', manifest, { 'index.js': `globalThis.hasRun = true; ${plugin('runs')}` });
  await expect(find('runs')).rejects.toMatchObject({
    code,
    exitCode: 78,
    message: expect.stringContaining(sentence),
  });
  expect(globalThis).not.toHaveProperty('hasRun');
});

describe('integrity', () => {
  const api = { 'k3s-daas': { api: 1 }, dependencies: { 'acme-words': '*' } };
  const installed = (name: string) => join(directory, 'node_modules', name);
  const load = (use: string, integrity: string) =>
    discoverPlugin({ use, integrity }, { builtIns: { staking: async () => ({}) }, directory });

  /** A plugin of two files that imports a package. */
  async function installSealed(name: string): Promise<void> {
    await install('acme-words', {}, { 'index.js': `export const word = 'first';` });
    await install(name, api, {
      'index.js': `import { word } from 'acme-words'; import './more.js'; export { word }; ${plugin('sealed')}`,
      'more.js': 'export const more = 1;',
    });
  }

  test('the configured value admits the files that it was made of', async () => {
    await installSealed('sealed-good');
    expect((await load('sealed-good', integrityOf(installed('sealed-good')))).name).toBe('sealed');
  });

  test.each([
    [
      'a changed file',
      (name: string) => write(join('node_modules', name), { 'more.js': 'export const more = 2;' }),
    ],
    ['an added file', (name: string) => write(join('node_modules', name), { 'extra.js': '' })],
    ['a removed file', (name: string) => rm(join(installed(name), 'more.js'))],
    [
      'a changed dependency',
      () => write(join('node_modules', 'acme-words'), { 'index.js': `export const word = 'second';` }),
    ],
  ])('%s is refused, with both values, before any code runs', async (what, change) => {
    const name = `sealed-${what.replaceAll(' ', '-')}`;
    await installSealed(name);
    const integrity = integrityOf(installed(name));
    await change(name);
    await expect(load(name, integrity)).rejects.toMatchObject({
      code: 'DAAS_PLUGIN_INTEGRITY',
      details: { use: name, expected: integrity, found: integrityOf(installed(name)) },
    });
  });

  test('where npm puts a dependency does not change the value', async () => {
    await installSealed('sealed-hoisted');
    const hoisted = integrityOf(installed('sealed-hoisted'));
    await cp(installed('acme-words'), join(installed('sealed-hoisted'), 'node_modules', 'acme-words'), {
      recursive: true,
    });
    expect(integrityOf(installed('sealed-hoisted'))).toBe(hoisted);
  });

  test('a sealed plugin cannot load what no package.json declares', async () => {
    await install('acme-hidden', {}, { 'index.js': 'export const hidden = 1;' });
    await install(
      'sealed-greedy',
      { 'k3s-daas': { api: 1 } },
      {
        'index.js': `import 'acme-hidden'; ${plugin('greedy')}`,
      },
    );
    await expect(load('sealed-greedy', integrityOf(installed('sealed-greedy')))).rejects.toMatchObject({
      code: 'DAAS_PLUGIN_INTEGRITY',
      message: expect.stringMatching(/sealed-greedy loads .*acme-hidden.*does not cover/),
    });
  });

  test.each([
    ['a name at which no file is', "import.meta.dirname + '/nothing.js'"],
    ['such a name in its node_modules', "import.meta.dirname + '/node_modules/acme-hidden/nothing.js'"],
  ])('nor by a require made for %s', async (what, parent) => {
    const name = `sealed-require-${what.length}`;
    await write('outside', { 'hidden.cjs': 'module.exports = 1;' });
    const from = JSON.stringify(join(directory, 'outside', 'hidden.cjs'));
    await install(
      name,
      { 'k3s-daas': { api: 1 } },
      {
        'index.js': `import { createRequire } from 'node:module'; createRequire(${parent})(${from}); ${plugin('greedy')}`,
      },
    );
    await expect(load(name, integrityOf(installed(name)))).rejects.toMatchObject({
      code: 'DAAS_PLUGIN_INTEGRITY',
      message: expect.stringMatching(/loads .*hidden\.cjs.*does not cover/),
    });
  });

  test('a plugin without an integrity in the node_modules of a sealed one loads its own files', async () => {
    await write('around', {
      'package.json': JSON.stringify({ name: 'around', version: '1.0.0', type: 'module', main: 'index.js' }),
      'index.js': plugin('around'),
    });
    await write('around/node_modules/inner', {
      'package.json': JSON.stringify({ name: 'inner', version: '1.0.0', type: 'module', main: 'index.js' }),
      'index.js': `import './more.js'; ${plugin('inner')}`,
      'more.js': 'export const more = 1;',
    });
    const options = { builtIns: {}, directory: join(directory, 'around') };
    const sealed = { use: './', integrity: integrityOf(options.directory) };
    expect((await discoverPlugin(sealed, options)).name).toBe('around');
    expect((await discoverPlugin({ use: './node_modules/inner' }, options)).name).toBe('inner');
  });

  test('an entry that lies outside the package is refused before it runs', async () => {
    await write('beside', { 'entry.cjs': `throw new Error('ran');` });
    await write('sealed-outside', {
      'package.json': JSON.stringify({
        name: 'sealed-outside',
        version: '1.0.0',
        main: '../beside/entry.cjs',
      }),
    });
    const integrity = integrityOf(join(directory, 'sealed-outside'));
    await expect(load('./sealed-outside', integrity)).rejects.toMatchObject({
      code: 'DAAS_PLUGIN_INTEGRITY',
      message: expect.stringMatching(/beside\/entry\.cjs.*does not cover/),
    });
  });

  test('a directory without a package.json is refused, whatever its files are', async () => {
    await write('bare', { 'index.js': `throw new Error('ran');` });
    await expect(load('./bare', integrityOf(join(directory, 'bare')))).rejects.toMatchObject({
      code: 'DAAS_PLUGIN_INTEGRITY',
      message: expect.stringContaining('cannot be checked'),
    });
  });

  test.each([
    ['the name of a file', {}, { 'index.js': '', 'a\nb.js': '' }],
    ['its version', { version: '1.0.0\n' }, { 'index.js': '' }],
    ['its name', { name: 'controls\u0000' }, { 'index.js': '' }],
  ])('a package with a control character in %s has no integrity', async (what, manifest, files) => {
    const name = `controls-${what.replaceAll(' ', '-')}`;
    await install(name, manifest, files);
    expect(() => integrityOf(installed(name))).toThrowError(
      expect.objectContaining({ code: 'DAAS_PLUGIN_INTEGRITY' }),
    );
  });

  test('a value in another form, a file, and a built-in are refused', async () => {
    await write('.', { 'lone.mjs': plugin('lone') });
    for (const [use, integrity] of [
      ['sealed-good', 'sha256-AAAA'],
      ['./lone.mjs', `sha512-${'A'.repeat(86)}==`],
      ['staking', `sha512-${'A'.repeat(86)}==`],
    ] as const)
      await expect(load(use, integrity)).rejects.toMatchObject({
        code: 'DAAS_PLUGIN_INTEGRITY',
        exitCode: 78,
      });
  });
});

test.each([
  ['no default object', 'export const x = 1;', 'default export is not an object|version undefined'],
  ['another version', `export default { name: 'a', api: 7 };`, 'version 7'],
  ['a bad name', `export default { name: 'A b', api: 1, config: ${schema}, setup() {} };`, 'kebab-case'],
  ['no setup', `export default { name: 'a', api: 1, config: ${schema} };`, "'setup' must be"],
  ['no schema', `export default { name: 'a', api: 1, config: {}, setup() {} };`, 'Standard Schema'],
  [
    'needs that are no tokens',
    `export default { name: 'a', api: 1, config: ${schema}, needs: { a: 'b' }, setup() {} };`,
    'tokens',
  ],
  ['top-level await', `await 1; export default {};`, 'top-level await'],
  ['code that throws', `throw new Error('broken');`, 'broken'],
  ['no JavaScript', `export default {`, 'does not load'],
])('a module with %s is refused', async (name, text, sentence) => {
  const file = `${name.replaceAll(/\W/g, '-')}.mjs`;
  await write('bad', { [file]: text });
  await expect(find(`./bad/${file}`)).rejects.toMatchObject({
    exitCode: 78,
    message: expect.stringMatching(new RegExp(sentence)),
  });
});
