import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { AgentArguments } from '#plugin';
import { discoverPlugin } from './discovery.ts';

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
  ['an npm name', '@acme/daas-gpu', 'npm names are not supported'],
  ['a path where nothing is', './nothing', 'does not load'],
  ['an inherited property', 'constructor', 'there is no built-in plugin'],
])('%s is refused', async (_case, use, sentence) => {
  await expect(find(use)).rejects.toMatchObject({ exitCode: 78, message: expect.stringContaining(sentence) });
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
