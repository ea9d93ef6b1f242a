import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type InstalledCopy, installCopy } from './world/installed-copy.ts';
import { type Packed, packBoth } from './world/packed.ts';
import { projectRoot } from './world/program.ts';

/** What the npm packages hold, and what those who install them get. */
let home: string;
let copy: InstalledCopy;
let again: Packed;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'k3s-daas-packages-'));
  const [first, second] = [join(home, 'a'), join(home, 'b-elsewhere')];
  await Promise.all([mkdir(first), mkdir(second)]);
  copy = await installCopy(first);
  again = await packBoth(second);
}, 300_000);
afterAll(() => rm(home, { recursive: true }));

const packages = ['program', 'devnet'] as const;

test('npm installs the program alone with the one package that cannot be bundled, no Kubernetes client', async () => {
  expect([...copy.fetched].sort()).toEqual(['@mysten/move-bytecode-template', 'k3s-daas']);
  const installed = await readdir(join(copy.directory, 'node_modules'));
  expect(installed.filter((name) => !name.startsWith('.')).sort()).toEqual([
    '@k3s-daas',
    '@mysten',
    'k3s-daas',
  ]);
});

test.each(packages)('the package %s has no install script and what its manifest names', async (which) => {
  const directory = packageDirectory(which);
  const manifest = JSON.parse(await readFile(join(directory, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
    bin: Record<string, string>;
  };
  const runAtInstall = ['preinstall', 'install', 'postinstall', 'prepare'];
  expect(Object.keys(manifest.scripts).filter((name) => runAtInstall.includes(name))).toEqual([]);
  for (const file of ['THIRD-PARTY-NOTICES.txt', 'sbom.cdx.json'])
    expect((await readFile(join(directory, 'dist', file), 'utf8')).length).toBeGreaterThan(1000);
  expect(await readdir(directory)).toContain('LICENSE');
});

test.each(packages)('two builds of the package %s in two directories are the same bytes', async (which) => {
  const hash = async (file: string) =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  expect(await hash(again[which])).toBe(await hash(copy.packed[which]));
});

test.each(packages)('publint finds nothing in the package %s', async (which) => {
  const tarball = await readFile(copy.packed[which]);
  const { messages } = await publint({
    pack: { tarball: Uint8Array.from(tarball).buffer },
    strict: true,
  });
  expect(messages).toEqual([]);
});

test.each(packages)('the types of the package %s resolve for nodenext and bundlers (attw)', async (which) => {
  const { problems } = (await checkPackage(
    createPackageFromTarballData(new Uint8Array(await readFile(copy.packed[which]))),
  )) as { problems: Array<{ kind: string; resolutionKind?: string }> };
  // The packages are ES modules: node10 knows no exports, and a CommonJS caller takes `import()` or `require` of Node 22.
  const asked = problems.filter(
    ({ kind, resolutionKind }) => resolutionKind !== 'node10' && kind !== 'CJSResolvesToESM',
  );
  expect(asked).toEqual([]);
});

describe('a plugin in TypeScript', () => {
  test.each([
    { module: 'nodenext', moduleResolution: 'nodenext' },
    { module: 'esnext', moduleResolution: 'bundler' },
  ])('compiles under $moduleResolution, with the libraries checked', async (options) => {
    const directory = join(copy.directory, `typed-${options.moduleResolution}`);
    await mkdir(join(directory, 'node_modules', '@types'), { recursive: true });
    await symlink(join(projectRoot, 'node_modules/@types/node'), join(directory, 'node_modules/@types/node'));
    const undici = join(projectRoot, 'node_modules/undici-types');
    await symlink(undici, join(directory, 'node_modules/undici-types'));
    await writeFile(
      join(directory, 'mine.ts'),
      `import { AgentArguments, definePlugin, type Plugin } from 'k3s-daas/plugin';
       import { describePlugin, FakeStakeChain } from 'k3s-daas/plugin/testing';
       const plugin: Plugin = definePlugin({
         name: 'mine',
         api: 1,
         config: { '~standard': { version: 1, vendor: 'mine', validate: (value: unknown) => ({ value }) } },
         setup: (scope) => scope.provide(AgentArguments, {} as AgentArguments),
       });
       export default plugin;
       export const parts = [describePlugin, FakeStakeChain];
       // @ts-expect-error: a plugin has a name.
       definePlugin({ api: 1 });`,
    );
    const compilerOptions = { ...options, target: 'es2024', strict: true, noEmit: true, skipLibCheck: false };
    const config = { compilerOptions: { ...compilerOptions, types: ['node'] }, files: ['mine.ts'] };
    await writeFile(join(directory, 'tsconfig.json'), JSON.stringify(config));
    await writeFile(join(directory, 'package.json'), '{"type":"module"}');
    const tsc = join(projectRoot, 'node_modules/typescript/bin/tsc');
    const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', directory], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

test.each(packages)(
  'the bill of materials of the package %s is CycloneDX and names what is bundled',
  async (which) => {
    const bill = await readFile(join(packageDirectory(which), 'dist', 'sbom.cdx.json'), 'utf8');
    expect(await new Validation.JsonStrictValidator(Spec.Spec1dot6.version).validate(bill)).toBeNull();
    const { components } = JSON.parse(bill) as { components: Array<{ purl: string }> };
    const names = components.map(({ purl }) => purl.replace(/@[^@]*$/, ''));
    expect(names).toEqual(
      expect.arrayContaining(['pkg:npm/%40mysten/sui', 'pkg:npm/%40mysten/move-bytecode-template']),
    );
    expect(names.includes('pkg:npm/%40kubernetes/client-node')).toBe(which === 'program');
    const notices = await readFile(join(packageDirectory(which), 'dist', 'THIRD-PARTY-NOTICES.txt'), 'utf8');
    for (const { purl } of components.filter((one) => !one.purl.includes('move-bytecode-template')))
      expect(notices).toContain(
        decodeURIComponent(purl.slice('pkg:npm/'.length)).replace(/@([^@]*)$/, ' $1 ('),
      );
  },
);

function packageDirectory(which: 'program' | 'devnet'): string {
  const name = which === 'program' ? 'k3s-daas' : '@k3s-daas/devnet';
  return join(copy.directory, 'node_modules', name);
}
