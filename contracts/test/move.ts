// What the scripts of this folder share: reading packages, and the compiler behind one small interface.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  dumpMovePackage,
  getPinnedSuiVersion,
  initMovePackageBuilder,
  MovePackageFetcher,
  testMovePackage,
} from '@zktx.io/sui-move-builder/full';

/** Path inside a package → text. */
export type Files = Record<string, string>;

/** Sources of `0x1` and `0x2`, and a name to print. */
export interface Framework {
  readonly name: string;
  readonly stdlib: Files;
  readonly sui: Files;
}

/** A compiled package. `modules` maps the module's name to its base64 bytecode. */
export interface Build {
  readonly digest: string;
  readonly modules: Record<string, string>;
  readonly dependencies: readonly string[];
  /** What the compiler and its linter had to say; empty when nothing. */
  readonly warnings: string;
}

export const CONTRACTS = dirname(dirname(fileURLToPath(import.meta.url)));
export const BUILD_FILE = join(CONTRACTS, 'build', 'k3s_daas.json');

/** Reads all `.move` files and `Move.toml` of a package, below `sources/` and `tests/`. */
export function readPackage(directory: string, folders: readonly string[] = ['sources']): Files {
  const files: Files = { 'Move.toml': readFileSync(join(directory, 'Move.toml'), 'utf8') };
  for (const folder of folders) {
    for (const entry of readdirSync(join(directory, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith('.move')) continue;
      const path = join(entry.parentPath, entry.name);
      files[relative(directory, path)] = readFileSync(path, 'utf8');
    }
  }
  return files;
}

/** The project's own minimal framework. */
export function ownFramework(): Framework {
  return readFramework(join(CONTRACTS, 'framework'), 'the own minimal framework (contracts/framework)');
}

/** A directory with `move-stdlib/` and `sui-framework/`. */
export function readFramework(directory: string, name: string): Framework {
  return {
    name,
    stdlib: readPackage(join(directory, 'move-stdlib')),
    sui: readPackage(join(directory, 'sui-framework')),
  };
}

/** Compiles a package; throws with the compiler's words when it does not compile. Runs the linter too. */
export async function compile(files: Files, framework: Framework): Promise<Build> {
  await initMovePackageBuilder();
  const result = await dumpMovePackage({ files, fetcher: new FixedFetcher(framework), lintFlag: 'all' });
  if ('error' in result) throw new Error(result.error);
  const modules: Record<string, string> = {};
  for (const base64 of result.modules) modules[moduleName(Buffer.from(base64, 'base64'))] = base64;
  return {
    digest: Buffer.from(result.digest).toString('hex'),
    modules,
    dependencies: result.dependencies,
    warnings: result.warnings ?? '',
  };
}

/** Compiles a package with its tests and runs them all. `failure` is set when it never came to running. */
export async function runTests(
  files: Files,
  framework: Framework,
): Promise<{ passed: boolean; output: string; failure?: string }> {
  await initMovePackageBuilder();
  const result = await testMovePackage({
    files,
    fetcher: new FixedFetcher(framework),
    silenceWarnings: true,
  });
  if ('error' in result) return { passed: false, output: '', failure: result.error };
  return result;
}

/** The compiler's package and the Sui release it was made from. */
export async function builderName(): Promise<string> {
  await initMovePackageBuilder();
  const version = readFileSync(
    join(dirname(CONTRACTS), 'node_modules', '@zktx.io', 'sui-move-builder', 'package.json'),
    'utf8',
  );
  const parsed = JSON.parse(version) as { version: string };
  return `@zktx.io/sui-move-builder ${parsed.version} (Sui ${await getPinnedSuiVersion()})`;
}

/** Gives the compiler the framework it asks for by the address of Sui's repository; nothing is fetched. */
class FixedFetcher extends MovePackageFetcher {
  readonly #framework: Framework;

  constructor(framework: Framework) {
    super();
    this.#framework = framework;
  }

  override async fetch(_url: string, _rev: string, subdir?: string): Promise<Files> {
    if (subdir?.endsWith('move-stdlib')) return this.#framework.stdlib;
    if (subdir?.endsWith('sui-framework')) return this.#framework.sui;
    throw new Error(`the package asks for ${subdir}: only the Move and Sui standard libraries are there`);
  }

  /** Only the framework itself names a package by its path: its standard library. */
  override fetchLocal = async (path: string): Promise<Files> => {
    if (path.endsWith('move-stdlib')) return this.#framework.stdlib;
    throw new Error(`the package asks for ${path}: only the Move standard library is there`);
  };

  override async fetchFile(): Promise<null> {
    return null;
  }

  override getResolvedSha(): undefined {
    return undefined;
  }
}

/**
 * The name of a compiled module, read from its tables: the self module handle names an identifier.
 * (Move binary format: magic, version, table count, then (kind, offset, length) for each table.)
 */
function moduleName(bytes: Uint8Array): string {
  let at = 8;
  const uleb = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const tables = new Map<number, { offset: number; length: number }>();
  const count = uleb();
  for (let i = 0; i < count; i++) {
    const kind = bytes[at++] ?? 0;
    tables.set(kind, { offset: uleb(), length: uleb() });
  }
  const start = at;
  const end = Math.max(...[...tables.values()].map((table) => table.offset + table.length));
  at = start + end;
  const self = uleb();
  at = start + (tables.get(1)?.offset ?? 0);
  let identifier = 0;
  for (let i = 0; i <= self; i++) {
    uleb();
    identifier = uleb();
  }
  at = start + (tables.get(7)?.offset ?? 0);
  for (let i = 0; i < identifier; i++) {
    const skipped = uleb();
    at += skipped;
  }
  const length = uleb();
  return Buffer.from(bytes.slice(at, at + length)).toString('utf8');
}
