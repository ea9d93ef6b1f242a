import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type InputOptions, type OutputOptions, type Plugin, rolldown } from 'rolldown';
import { root } from './artefact.ts';
import { MINUTE_MS, outputOf } from './child.ts';
import { type Architecture, debianName, node26 } from './node-packages.ts';

const WASM = 'move_bytecode_template_bg.wasm';
const templates = join(root, 'node_modules', '@mysten', 'move-bytecode-template', 'nodejs');

/**
 * Writes `k3s-daas-linux-<arch>`: Node 26 with the entry inside, the program that the entry runs, and the files that it reads. The code
 * caches halve the time to start; they are made by running the program's Node, so they are only there for the architecture of this
 * machine.
 */
export async function makeExecutable(
  directory: string,
  { dist, architecture }: { readonly dist: string; readonly architecture: Architecture },
): Promise<string> {
  const stage = mkdtempSync(join(tmpdir(), 'k3s-daas-executable-'));
  try {
    const isOurs = architecture === process.arch;
    const builder = join(node26(process.arch as Architecture), 'bin', 'node');
    await bundle(stage, {
      input: { main: 'src/start-executable.ts' },
      plugins: [builtinsWhenUsed],
      // It takes no more of a layer than it uses, as in scripts/bundle.ts.
      treeshake: {
        moduleSideEffects: [{ test: /\/src\/(?!start-executable\.)(?!.*node_modules)/, sideEffects: false }],
      },
    });
    await bundle(stage, {
      input: { program: 'src/main.ts' },
      plugins: [templatesFromAsset, builtinsWhenUsed],
      // One expression for src/start-executable.ts.
      output: { banner: '(function(exports,require,module,__filename,__dirname){', footer: '})' },
    });
    await bundle(stage, { input: { 'pairing-worker': 'src/chain/proof/pairing-worker.ts' } });
    writeFileSync(join(stage, 'program.cache'), '');
    if (isOurs) outputOf(builder, [SEED, '--eval', COMPILE], { cwd: stage, withinMs: MINUTE_MS });
    const output = join(directory, `k3s-daas-linux-${debianName(architecture)}`);
    const configuration = {
      // Relative: the path of a temporary directory would be part of the executable.
      main: 'main.js',
      executable: join(node26(architecture), 'bin', 'node'),
      output,
      useCodeCache: isOurs,
      disableExperimentalSEAWarning: true,
      assets: {
        'package.json': join(root, 'package.json'),
        'contracts/build/k3s_daas.json': join(root, 'contracts', 'build', 'k3s_daas.json'),
        'build.json': join(dist, 'build.json'),
        'pairing-worker.js': 'pairing-worker.js',
        'program.js': 'program.js',
        'program.cache': 'program.cache',
        [WASM]: join(templates, WASM),
      },
    };
    const file = join(stage, 'sea.json');
    writeFileSync(file, JSON.stringify(configuration));
    outputOf(builder, [SEED, '--build-sea', file], { cwd: stage, withinMs: 20 * MINUTE_MS });
    return output;
  } finally {
    rmSync(stage, { recursive: true });
  }
}

/** Without a seed V8 writes another code cache each time. */
const SEED = '--random-seed=1';

/** What V8 compiles of the program before it runs. */
const COMPILE = `
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');
const script = new Script(readFileSync('program.js', 'utf8'), { filename: 'k3s-daas' });
writeFileSync('program.cache', script.createCachedData());
`;

/** Everything in one file: a single executable imports nothing but Node's own modules by name. */
async function bundle(
  directory: string,
  { output, ...options }: InputOptions & { readonly output?: OutputOptions },
): Promise<void> {
  const made = await rolldown({
    cwd: root,
    platform: 'node',
    resolve: { conditionNames: ['source', 'node', 'import', 'default'] },
    external: ['@k3s-daas/devnet'],
    ...options,
  });
  await made.write({
    dir: directory,
    format: 'cjs',
    ...output,
    codeSplitting: false,
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  });
  await made.close();
}

/** The package reads its WebAssembly from a file beside its code. */
const templatesFromAsset: Plugin = {
  name: 'wasm from an asset',
  transform(code, id) {
    if (!id.startsWith(templates)) return undefined;
    const reading = /const path = require\('path'\)[^\n]+\nconst bytes = [^\n]+\n/;
    if (!reading.test(code)) throw new Error(`${id} reads its WebAssembly in another way than before`);
    return code.replace(reading, `const bytes = Buffer.from(require('node:sea').getRawAsset('${WASM}'));\n`);
  },
};

const BUILTIN = '\0builtin:';

/**
 * Node's own modules are loaded by those parts of the program that run: imported by name at the top of one file, all of them are loaded
 * at each start, which takes a quarter of the CPU time of `--version`.
 */
const builtinsWhenUsed: Plugin = {
  name: 'builtins when used',
  resolveId: (id) => (isBuiltin(id) ? { id: `${BUILTIN}${id}` } : undefined),
  load: (id) =>
    id.startsWith(BUILTIN)
      ? {
          code: `module.exports = process.getBuiltinModule(${JSON.stringify(id.slice(BUILTIN.length))});`,
          moduleType: 'js',
        }
      : undefined,
};
