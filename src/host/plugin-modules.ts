import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { builtinModules, createRequire, registerHooks } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ConfigurationError, isSingleExecutable } from '#base';
import { readTrustedSync, type TrustRules, trustedFile, trustedPath } from '#infrastructure';
import * as contract from '#plugin';

export const pluginRules = (use: string): TrustRules => ({ what: 'the plugin', origin: `plugins: ${use}` });
const moduleRules: TrustRules = { what: 'a module of a plugin' };

/** The entries of the plugins that the host loads, and their directories. */
const entryFiles = new Set<string>();
const pluginDirectories = new Set<string>();

/** The entry file of a plugin, without links; what it imports is checked when it is loaded. */
export function trustedPlugin(file: string, use: string): string {
  const path = trustedFile(file, pluginRules(use));
  entryFiles.add(path);
  pluginDirectories.add(dirname(path));
  return path;
}

let isLookingUp = false;

/** Resolves as the host itself, which no integrity limits. `find` runs no code of a plugin. */
export function lookUp<T>(find: () => T): T {
  isLookingUp = true;
  try {
    return find();
  } finally {
    isLookingUp = false;
  }
}

/** Of plugins with a configured integrity: file → the digest that was compared, and the plugin. */
const sealedFiles = new Map<string, { readonly digest: string; readonly use: string }>();

/** The directories of these packages → the plugin. */
const sealedDirectories = new Map<string, string>();

/** The files of a plugin's packages that were compared. */
export interface ComparedFiles {
  /** Of the plugin's package and of those it depends on, without links. */
  readonly directories: Iterable<string>;
  /** SHA-512 of each file, in hex, by its path without links. */
  readonly digests: ReadonlyMap<string, string>;
}

/** From now on these packages load only files that were compared, each with the content that was compared. */
export function sealPackages(use: string, { directories, digests }: ComparedFiles): void {
  for (const directory of directories) sealedDirectories.set(directory, use);
  for (const [path, digest] of digests) sealedFiles.set(path, { digest, use });
}

/** @throws `DAAS_PLUGIN_INTEGRITY` for a file that was not compared: `main` and `exports` can name any. */
export function expectSealed(path: string, use: string): void {
  if (!sealedFiles.has(path)) refuseUncompared(use, path);
}

let isPrepared = false;

/**
 * Hooks into Node's module loader, once. Every module from outside this package is checked before it is loaded: owner and
 * mode of the file, and its content where an integrity is configured. `k3s-daas/plugin` resolves to the host's own copy, so
 * that a plugin need not install it and shares the host's classes.
 */
export function prepareForPlugins(): void {
  if (isPrepared) return;
  isPrepared = true;
  const own = createRequire(import.meta.url);
  const ownDirectory = packageDirectory(own);
  const lent = lentModules(own);
  registerHooks({
    resolve(specifier, context, next) {
      const url = lent.get(specifier);
      if (url !== undefined) return { url, shortCircuit: true };
      const parent = pathOf(context.parentURL);
      // `next` resolves links, so a path is checked before: who can change a link chooses the module.
      if (parent !== undefined && isForeign(parent, ownDirectory) && /^(?:\.{0,2}\/|file:)/.test(specifier)) {
        const path = pathOf(URL.parse(specifier, context.parentURL)?.href);
        if (path !== undefined) trustedPath(path, moduleRules, { mayBeMissing: true });
      }
      const resolved = next(specifier, context);
      if (parent !== undefined && !isLookingUp) refuseUnsealed(parent, resolved.url);
      return resolved;
    },
    load(url, context, next) {
      if (url === EMBEDDED_URL) return { format: 'module', source: embeddedSource(), shortCircuit: true };
      const path = pathOf(url);
      if (path !== undefined && isForeign(path, ownDirectory)) trustedFile(path, moduleRules);
      if (path !== undefined) refuseChanged(path);
      return next(url, context);
    },
  });
}

/** A dependency that no package.json declares was not compared. */
function refuseUnsealed(parent: string, url: string): void {
  const use = sealedUseOf(parent);
  const path = pathOf(url);
  if (use === undefined || isBuiltin(url) || (path !== undefined && sealedFiles.has(path))) return;
  // The host requires an entry from the configuration's directory, which may be a sealed package itself.
  if (path !== undefined && entryFiles.has(path) && !sealedFiles.has(parent)) return;
  refuseUncompared(use, path ?? url);
}

/**
 * The plugin that a module is sealed for. Every name inside its packages counts, also one where no file is:
 * `createRequire(__dirname + '/nothing.js')` makes any name a parent. Only the files of other packages in its `node_modules`
 * do not: the package can be the configuration's directory, with other plugins and this program installed in it.
 */
function sealedUseOf(parent: string): string | undefined {
  const own = sealedFiles.get(parent);
  if (own) return own.use;
  for (const [directory, use] of sealedDirectories) {
    if (!parent.startsWith(`${directory}/`)) continue;
    const isOfAnother = parent.slice(directory.length).includes('/node_modules/') && existsSync(parent);
    if (!isOfAnother) return use;
  }
  return undefined;
}

function refuseUncompared(use: string, path: string): never {
  throw new ConfigurationError(
    'DAAS_PLUGIN_INTEGRITY',
    `the plugin ${use} loads ${path}, which its integrity does not cover: the package must list what it imports as a dependency`,
    { details: { use, path } },
  );
}

/** Between the comparison and the load, the file could have been replaced. */
function refuseChanged(path: string): void {
  const sealed = sealedFiles.get(path);
  if (
    !sealed ||
    createHash('sha512').update(readTrustedSync(path, moduleRules)).digest('hex') === sealed.digest
  )
    return;
  throw new ConfigurationError(
    'DAAS_PLUGIN_INTEGRITY',
    `${path} of the plugin ${sealed.use} changed after its integrity was checked`,
    { details: { use: sealed.use, path } },
  );
}

function isBuiltin(url: string): boolean {
  return url.startsWith('node:') || builtinModules.includes(url);
}

/** Where `k3s-daas/plugin` is in the single executable, which has no file of it. */
const EMBEDDED_URL = 'k3s-daas:plugin';
const embedded = Symbol.for('k3s-daas/plugin');

/** A module that has the names of the contract that is built into this program: a plugin shares its classes. */
function embeddedSource(): string {
  Object.assign(globalThis, { [embedded]: contract });
  const lines = Object.keys(contract).map((name) => `export const ${name} = contract.${name};`);
  return [`const contract = globalThis[Symbol.for('${embedded.description}')];`, ...lines].join('\n');
}

function lentModules(own: NodeJS.Require): ReadonlyMap<string, string> {
  if (isSingleExecutable) return new Map([['k3s-daas/plugin', EMBEDDED_URL]]);
  const lent = new Map<string, string>();
  for (const name of ['k3s-daas/plugin', 'k3s-daas/plugin/testing']) {
    try {
      lent.set(name, pathToFileURL(own.resolve(name)).href);
    } catch {
      // A build without the testing kit.
    }
  }
  return lent;
}

function packageDirectory(own: NodeJS.Require): string | undefined {
  try {
    return dirname(own.resolve('k3s-daas/package.json'));
  } catch {
    return undefined;
  }
}

/** Whether a file is a plugin's, or comes from elsewhere. This package needs no check: it runs already. */
function isForeign(path: string, ownDirectory: string | undefined): boolean {
  const isBelow = (directory: string) => path.startsWith(`${directory}/`);
  return ownDirectory === undefined || !isBelow(ownDirectory) || [...pluginDirectories].some(isBelow);
}

function pathOf(url: string | undefined): string | undefined {
  return url?.startsWith('file:') ? fileURLToPath(url) : undefined;
}
