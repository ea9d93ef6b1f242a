import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { rolldown } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';

/**
 * Writes the declarations of `k3s-daas/plugin`, `k3s-daas/plugin/testing` and `@k3s-daas/devnet` beside their code. They name no
 * file and no package that the published packages do not have: a consumer needs neither `skipLibCheck` nor the dependencies.
 *
 * usage: node scripts/bundle-types.ts [DIRECTORY of the program [DIRECTORY of the dev chain]]
 */
const root = dirname(import.meta.dirname);
const [programDirectory = join(root, 'dist'), devnetDirectory = join(root, 'devnet', 'dist')] =
  process.argv.slice(2);
const emitted = await mkdtemp(join(tmpdir(), 'k3s-daas-types-'));
try {
  emit();
  await bundle(programDirectory, {
    plugin: 'src/plugin/index',
    'plugin-testing': 'src/plugin/testing/index',
  });
  await bundle(devnetDirectory, { index: 'devnet/src/index' });
} finally {
  await rm(emitted, { recursive: true });
}

/** One declaration file for each source file that the entries reach. */
function emit(): void {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const args = [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', emitted];
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error(`the declarations cannot be written: tsc ended with ${status}`);
}

async function bundle(directory: string, entries: Readonly<Record<string, string>>): Promise<void> {
  const input = Object.fromEntries(
    Object.entries(entries).map(([name, path]) => [name, join(emitted, `${path}.d.ts`)]),
  );
  const types = await rolldown({
    cwd: emitted,
    platform: 'node',
    input,
    external: /^node:/,
    plugins: [
      {
        name: 'emitted declarations',
        resolveId: (specifier, importer) => declarationOf(specifier, importer),
      },
      dts({ dtsOnly: true, generator: 'oxc', tsconfig: false }),
    ],
    // On a busy machine it says how long plugins took, and every word of it fails the build.
    checks: { pluginTimings: false },
    // A package that stays imported would have to be installed by everybody who compiles a plugin.
    onLog: (_level, log) => {
      throw new Error(log.message);
    },
  });
  await types.write({ dir: directory, format: 'esm', chunkFileNames: 'chunks/[name]-[hash].js' });
  await types.close();
}

/** Declarations still have the names of sources in their imports. */
function declarationOf(specifier: string, importer: string | undefined): string | undefined {
  if (specifier.startsWith('#')) return join(emitted, 'src', specifier.slice(1), 'index.d.ts');
  if (!specifier.startsWith('.') || importer === undefined) return undefined;
  return join(dirname(importer), specifier.replace(/(?:\.d)?\.ts$/, '.d.ts'));
}
