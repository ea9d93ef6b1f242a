import { createHash } from 'node:crypto';
import { builtinModules, createRequire, registerHooks } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ConfigurationError } from '#base';
import { readTrustedSync, type TrustRules, trustedFile, trustedPath } from '#infrastructure';

export const pluginRules = (use: string): TrustRules => ({ what: 'the plugin', origin: `plugins: ${use}` });
const moduleRules: TrustRules = { what: 'a module of a plugin' };

/** The directories of the plugins that were loaded. */
const pluginDirectories = new Set<string>();

/** The entry file of a plugin, without links; what it imports is checked when it is loaded. */
export function trustedPlugin(file: string, use: string): string {
  const path = trustedFile(file, pluginRules(use));
  pluginDirectories.add(dirname(path));
  return path;
}

/** Of plugins with a configured integrity: file → the digest that was compared, and the plugin. */
const sealedFiles = new Map<string, { readonly digest: string; readonly use: string }>();

/** From now on these files load only other files of the list, each with the content that was compared. */
export function sealPackages(use: string, digests: ReadonlyMap<string, string>): void {
  for (const [path, digest] of digests) sealedFiles.set(path, { digest, use });
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
      if (parent !== undefined) refuseUnsealed(parent, resolved.url);
      return resolved;
    },
    load(url, context, next) {
      const path = pathOf(url);
      if (path !== undefined && isForeign(path, ownDirectory)) trustedFile(path, moduleRules);
      if (path !== undefined) refuseChanged(path);
      return next(url, context);
    },
  });
}

/** A dependency that no package.json declares was not compared. */
function refuseUnsealed(parent: string, url: string): void {
  const sealed = sealedFiles.get(parent);
  const path = pathOf(url);
  if (!sealed || isBuiltin(url) || (path !== undefined && sealedFiles.has(path))) return;
  throw new ConfigurationError(
    'DAAS_PLUGIN_INTEGRITY',
    `the plugin ${sealed.use} loads ${path ?? url}, which its integrity does not cover: the package must list what it imports as a dependency`,
    { details: { use: sealed.use, path: path ?? url } },
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

function lentModules(own: NodeJS.Require): ReadonlyMap<string, string> {
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
