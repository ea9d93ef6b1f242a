import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type InputOptions, rolldown } from 'rolldown';
import { billOfMaterials, bundledPackages, thirdPartyNotices } from './bundled-packages.ts';

/**
 * Builds `dist/` (the program, and what plugins import from it) and `devnet/dist/` (the dev chain), each in a few files. A host
 * that reads 700 files at its start takes seconds and 80 MiB more than one that reads ten. The packages that are bundled are
 * dependencies for development alone; beside the code are their licences and a bill of materials.
 *
 * usage: node scripts/bundle.ts [DIRECTORY of the program [DIRECTORY of the dev chain]]
 */
const root = dirname(import.meta.dirname);
const [programDirectory = join(root, 'dist'), devnetDirectory = join(root, 'devnet', 'dist')] =
  process.argv.slice(2);

/** It reads a file of its own package. */
const MOVE_TEMPLATE = '@mysten/move-bytecode-template';

await build(
  { directory: programDirectory, packageDirectory: root },
  {
    input: {
      'k3s-daas': 'src/start.ts',
      plugin: 'src/plugin/index.ts',
      'plugin-testing': 'src/plugin/testing/index.ts',
      // A thread of its own.
      'pairing-worker': 'src/chain/proof/pairing-worker.ts',
    },
    external: [MOVE_TEMPLATE, '@k3s-daas/devnet'],
    // Loading a module of ours does nothing, except the two that are programs: a command takes no more of a layer than it uses.
    treeshake: {
      moduleSideEffects: [
        {
          test: /\/(?:src\/(?!start\.|main\.|chain\/proof\/pairing-worker)|plugins\/)(?!.*node_modules)/,
          sideEffects: false,
        },
      ],
    },
  },
);
await writeFile(join(programDirectory, 'build.json'), `${JSON.stringify({ commit: commitOfClone() })}\n`);
await build(
  { directory: devnetDirectory, packageDirectory: join(root, 'devnet') },
  {
    input: { index: 'devnet/src/index.ts', 'sui-devnet': 'devnet/src/sui-devnet.ts' },
    external: [MOVE_TEMPLATE],
  },
);

/** `undefined` where the sources are no clone, or are changed: no commit names them then. */
function commitOfClone(): string | undefined {
  const git = (...args: string[]) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout?.trim();
  if (git('rev-parse', '--show-toplevel') !== root || git('status', '--porcelain') !== '') return undefined;
  return git('rev-parse', 'HEAD');
}

interface OwnManifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** All entries share their chunks: a plugin and the host that runs it have the same classes. */
async function build(
  { directory, packageDirectory }: { readonly directory: string; readonly packageDirectory: string },
  options: InputOptions,
): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  const bundle = await rolldown({
    cwd: root,
    platform: 'node',
    resolve: { conditionNames: ['source', 'node', 'import', 'default'] },
    ...options,
  });
  const { output } = await bundle.write({
    dir: directory,
    format: 'esm',
    chunkFileNames: 'chunks/[name]-[hash].js',
    // V8 keeps the text of what it runs: without comments and spaces that is half as much. Names stay, for stack traces.
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  });
  await bundle.close();
  const moduleIds = output.flatMap((one) => (one.type === 'chunk' ? one.moduleIds : []));
  const bundled = bundledPackages(moduleIds);
  const own = JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')) as OwnManifest;
  const bill = billOfMaterials(own, { bundled, installed: own.dependencies });
  await writeFile(join(directory, 'sbom.cdx.json'), bill);
  await writeFile(join(directory, 'THIRD-PARTY-NOTICES.txt'), thirdPartyNotices(bundled));
}
