import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type InputOptions, rolldown } from 'rolldown';

/**
 * Builds `dist/` (the program, and what plugins import from it) and `devnet/dist/` (the dev chain), each in a few files. A host
 * that reads 700 files at its start takes seconds and 80 MiB more than one that reads ten.
 *
 * usage: node scripts/bundle.ts [DIRECTORY of the program [DIRECTORY of the dev chain]]
 */
const root = dirname(import.meta.dirname);
const [programDirectory = join(root, 'dist'), devnetDirectory = join(root, 'devnet', 'dist')] =
  process.argv.slice(2);

/** It reads a file of its own package. */
const MOVE_TEMPLATE = '@mysten/move-bytecode-template';

await build(programDirectory, {
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
});
await build(devnetDirectory, {
  input: { index: 'devnet/src/index.ts', 'sui-devnet': 'devnet/src/sui-devnet.ts' },
  external: [MOVE_TEMPLATE],
});

/** All entries share their chunks: a plugin and the host that runs it have the same classes. */
async function build(directory: string, options: InputOptions): Promise<void> {
  await rm(directory, { recursive: true, force: true });
  const bundle = await rolldown({
    cwd: root,
    platform: 'node',
    resolve: { conditionNames: ['source', 'node', 'import', 'default'] },
    ...options,
  });
  await bundle.write({
    dir: directory,
    format: 'esm',
    chunkFileNames: 'chunks/[name]-[hash].js',
    // V8 keeps the text of what it runs: without comments and spaces that is half as much. Names stay, for stack traces.
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  });
  await bundle.close();
}
