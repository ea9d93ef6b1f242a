import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { rolldown } from 'rolldown';

/**
 * Builds dist/: the program and what plugins import from it, in a few files. A host that reads 700 files at its start takes
 * seconds and 80 MiB more than one that reads ten. All entries share their chunks, so that a plugin and the host that runs
 * it have the same classes.
 */
const root = dirname(import.meta.dirname);
/** Another place is for the test of what is built. */
const dist = process.argv[2] ?? join(root, 'dist');

await rm(dist, { recursive: true, force: true });
const bundle = await rolldown({
  cwd: root,
  input: {
    'k3s-daas': 'src/start.ts',
    plugin: 'src/plugin/index.ts',
    'plugin-testing': 'src/plugin/testing/index.ts',
  },
  platform: 'node',
  // It reads a file of its own package.
  external: ['@mysten/move-bytecode-template'],
  // Loading a module of ours does nothing but the two that are programs: a command takes no more of a layer than it uses.
  treeshake: {
    moduleSideEffects: [
      { test: /\/(?:src\/(?!start\.|main\.)|plugins\/)(?!.*node_modules)/, sideEffects: false },
    ],
  },
  resolve: { conditionNames: ['source', 'node', 'import', 'default'] },
});
await bundle.write({
  dir: dist,
  format: 'esm',
  chunkFileNames: 'chunks/[name]-[hash].js',
  // V8 keeps the text of what it runs: without comments and spaces that is half as much. Names stay, for stack traces.
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
});
await bundle.close();
