import { createRequire, registerHooks } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type TrustRules, trustedFile, trustedPath } from '#infrastructure';

export const pluginRules = (use: string): TrustRules => ({ what: 'the plugin', origin: `plugins: ${use}` });
const moduleRules: TrustRules = { what: 'a module of a plugin' };

/** Where plugins lie. */
const pluginDirectories = new Set<string>();

/** The entry of a plugin without links; what it imports is judged when it is loaded. */
export function trustedPlugin(file: string, use: string): string {
  const path = trustedFile(file, pluginRules(use));
  pluginDirectories.add(dirname(path));
  return path;
}

let isPrepared = false;

/**
 * From now on every module that comes from outside this package is judged before it is loaded, and every plugin can import
 * `k3s-daas/plugin` without installing it: the import is answered with the host's own copy, so that what a plugin is built
 * against and what it runs in are one.
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
      // What comes out of `next` has no links any more: those of a path are judged before they are followed.
      if (parent !== undefined && isForeign(parent, ownDirectory) && /^(?:\.{0,2}\/|file:)/.test(specifier)) {
        const path = pathOf(URL.parse(specifier, context.parentURL)?.href);
        if (path !== undefined) trustedPath(path, moduleRules, { mayBeMissing: true });
      }
      return next(specifier, context);
    },
    load(url, context, next) {
      const path = pathOf(url);
      if (path !== undefined && isForeign(path, ownDirectory)) trustedFile(path, moduleRules);
      return next(url, context);
    },
  });
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

/** Of a plugin, or of what it imports from elsewhere. This package itself is what is running: whoever can change it is us. */
function isForeign(path: string, ownDirectory: string | undefined): boolean {
  const isBelow = (directory: string) => path.startsWith(`${directory}/`);
  return ownDirectory === undefined || !isBelow(ownDirectory) || [...pluginDirectories].some(isBelow);
}

function pathOf(url: string | undefined): string | undefined {
  return url?.startsWith('file:') ? fileURLToPath(url) : undefined;
}
