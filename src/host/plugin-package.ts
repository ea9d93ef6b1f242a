import { lstatSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import semver from 'semver';
import { ConfigurationError, carriedFile, isSingleExecutable } from '#base';
import { readTrustedTextSync, trustedPath } from '#infrastructure';
import { pluginRules } from './plugin-modules.ts';

/** The version of the plugin contract that this host speaks. */
export const PLUGIN_API = 1;

/** What this host reads of a `package.json`. */
export interface PackageManifest {
  readonly name?: unknown;
  readonly version?: unknown;
  readonly exports?: unknown;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly 'k3s-daas'?: { readonly api?: unknown };
}

/** `daas-gpu`, `@acme/daas-gpu`: npm's rule for new packages. */
export function isPackageName(use: string): boolean {
  return /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/.test(use);
}

/**
 * The directory of an installed package, without links: the first `node_modules/<name>` in `directory` or above it, as Node
 * resolves a name. `undefined`: it is not installed.
 */
export function findPackage(name: string, directory: string): string | undefined {
  for (let here = directory; ; here = dirname(here)) {
    const place = join(here, 'node_modules', name);
    if (isThere(join(place, 'package.json'))) return trustedPath(place, pluginRules(name));
    if (here === dirname(here)) return undefined;
  }
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** The manifest of a package's directory; `undefined` when it has none. */
export function readManifest(directory: string): PackageManifest | undefined {
  const path = join(directory, 'package.json');
  if (!isThere(path)) return undefined;
  const text = readTrustedTextSync(path, { what: 'the manifest of a plugin' });
  try {
    return JSON.parse(text) as PackageManifest;
  } catch (cause) {
    throw new ConfigurationError('DAAS_PLUGIN_LOAD_FAILED', `${path} is not JSON`, { cause });
  }
}

/**
 * Refuses a package that is not a plugin for this host, from its manifest alone: none of its code has run.
 *
 * @throws `DAAS_PLUGIN_SHAPE` when a package installed by name does not say that it is a plugin; `DAAS_PLUGIN_API` when it
 *   is for another version of the contract or of this program.
 */
export function checkManifest(
  manifest: PackageManifest,
  { use, mustDeclare }: { readonly use: string; readonly mustDeclare: boolean },
): void {
  const api = manifest['k3s-daas']?.api;
  if (api === undefined && mustDeclare)
    throw new ConfigurationError(
      'DAAS_PLUGIN_SHAPE',
      `the package ${use} is not a plugin: its package.json has no "k3s-daas": { "api": ${PLUGIN_API} }`,
      { details: { use } },
    );
  if (api !== undefined && api !== PLUGIN_API) refuseApi(use, api);
  const range = manifest.peerDependencies?.['k3s-daas'];
  const version = hostVersion();
  if (range === undefined || version === undefined) return;
  if (semver.satisfies(version, range, { includePrerelease: true })) return;
  throw new ConfigurationError(
    'DAAS_PLUGIN_API',
    `the package ${use} is for k3s-daas ${range} (peerDependencies); this is ${version}: install a release of the plugin that fits`,
    { details: { use, range, version } },
  );
}

export function refuseApi(use: string, api: unknown): never {
  throw new ConfigurationError(
    'DAAS_PLUGIN_API',
    `the plugin ${use} is written for version ${JSON.stringify(api)} of the plugin contract; this host speaks ${PLUGIN_API}: ` +
      'install a release of the plugin that does too',
    { details: { use, api } },
  );
}

/** `undefined`: a build that does not lie in its package. */
function hostVersion(): string | undefined {
  try {
    const { version } = (
      isSingleExecutable
        ? JSON.parse(carriedFile('package.json'))
        : createRequire(import.meta.url)('k3s-daas/package.json')
    ) as { version?: unknown };
    return typeof version === 'string' ? version : undefined;
  } catch {
    return undefined;
  }
}

/** The file to load for a package's directory. Call it after the checks: it runs no code. */
export function entryOfPackage(directory: string, manifest: PackageManifest | undefined): string {
  const manifestPath = join(directory, 'package.json');
  const require = createRequire(manifestPath);
  // A directory is resolved by `main` alone; a package that has only `exports` is found by its own name from within.
  if (manifest?.exports === undefined || typeof manifest.name !== 'string') return require.resolve(directory);
  const conditions = new Set(['node', 'import', 'default']);
  return require.resolve(manifest.name, { conditions } as NodeJS.RequireResolveOptions);
}
