import { statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { closest, distance } from 'fastest-levenshtein';
import { ConfigurationError, messageOf } from '#base';
import { trustedPath } from '#infrastructure';
import type { Plugin } from '#plugin';
import { checkIntegrity } from './plugin-integrity.ts';
import { expectSealed, lookUp, pluginRules, prepareForPlugins, trustedPlugin } from './plugin-modules.ts';
import {
  checkManifest,
  entryOfPackage,
  findPackage,
  isPackageName,
  PLUGIN_API,
  readManifest,
  refuseApi,
} from './plugin-package.ts';

/** One entry of the configuration's list of plugins. */
export interface PluginEntry {
  /**
   * The name of a built-in, the npm name of a package that is installed for the configuration's directory, or a path
   * relative to the configuration file that begins with `./`, `../` or `/`.
   */
  readonly use: string;
  readonly config?: unknown;
  /**
   * `abort` (default): the host ends when this plugin fails. `isolate`: it goes on without; refused for a plugin that
   * provides what the host cannot do without.
   */
  readonly onFailure?: 'abort' | 'isolate' | undefined;
  /** What `k3s-daas plugins integrity` printed for the reviewed release; other files are refused. */
  readonly integrity?: string | undefined;
}

/** The plugins that come with the host, by name; each is loaded when it is listed. */
export type BuiltIns = Readonly<Record<string, () => Promise<unknown>>>;

export interface DiscoveryOptions {
  readonly builtIns: BuiltIns;
  /** Names and paths of plugins are resolved from this directory: that of the configuration file. */
  readonly directory: string;
}

/**
 * Finds and loads the plugin of an entry, and refuses what is not one. Only what the configuration lists is loaded: an
 * installed package alone never runs.
 *
 * @throws `DAAS_PLUGIN_UNKNOWN`, `_LOAD_FAILED`, `_SHAPE`, `_API`, `_INTEGRITY`, `DAAS_FILE_UNTRUSTED` (all exit 78).
 */
export async function discoverPlugin(entry: PluginEntry, options: DiscoveryOptions): Promise<Plugin> {
  const { use } = entry;
  if (!isPath(use) && Object.hasOwn(options.builtIns, use))
    return expectPlugin(await loadBuiltIn(entry, options), use);
  return expectPlugin(
    loadModule(use, () => entryFile(entry, options), options.directory),
    use,
  );
}

function isPath(use: string): boolean {
  return /^(?:\.{0,2}\/|\.{1,2}$)/.test(use);
}

async function loadBuiltIn(
  { use, integrity }: PluginEntry,
  { builtIns }: DiscoveryOptions,
): Promise<unknown> {
  if (integrity !== undefined)
    throw new ConfigurationError(
      'DAAS_PLUGIN_INTEGRITY',
      `the plugin '${use}' is built in and has no integrity of its own: remove "integrity" from its entry`,
      { details: { use } },
    );
  try {
    return await builtIns[use]?.();
  } catch (cause) {
    throw new ConfigurationError('DAAS_PLUGIN_LOAD_FAILED', `the built-in plugin '${use}' does not load`, {
      cause,
    });
  }
}

function loadModule(use: string, findEntry: () => string, directory: string): unknown {
  prepareForPlugins();
  const require = createRequire(join(directory, 'configuration'));
  try {
    // `require` of an ES module, not `import()`: it works in a single-file build of the host as well. The price is that
    // a plugin has no top-level await.
    return require(trustedPlugin(lookUp(findEntry), use));
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    const isAsync = (cause as { code?: unknown } | undefined)?.code === 'ERR_REQUIRE_ASYNC_MODULE';
    throw new ConfigurationError(
      'DAAS_PLUGIN_LOAD_FAILED',
      isAsync
        ? `the plugin ${use} uses top-level await, which a plugin cannot: await inside setup instead`
        : `the plugin ${use} (looked for from ${directory}) does not load: ${messageOf(cause)}`,
      { details: { use, directory } },
    );
  }
}

/** The file to load. A package is checked here, before any of its code runs. */
function entryFile(entry: PluginEntry, options: DiscoveryOptions): string {
  const { use, integrity } = entry;
  const directory = packageDirectory(entry, options);
  if (directory === undefined) {
    if (integrity !== undefined) refuseIntegrity(use);
    const path = pathOf(use, options.directory);
    return createRequire(join(options.directory, 'configuration')).resolve(path);
  }
  const manifest = readManifest(directory);
  if (manifest) checkManifest(manifest, { use, mustDeclare: !isPath(use) });
  if (integrity === undefined) return entryOfPackage(directory, manifest);
  if (!manifest) refuseIntegrity(use);
  checkIntegrity(directory, { use, integrity });
  const file = entryOfPackage(directory, manifest);
  expectSealed(file, use);
  return file;
}

/** Without a manifest it is a file, or any directory: nothing says which files belong to the plugin. */
function refuseIntegrity(use: string): never {
  throw new ConfigurationError(
    'DAAS_PLUGIN_INTEGRITY',
    `the integrity of ${use} cannot be checked: name a package, or the directory of one (with a package.json), instead of a file`,
    { details: { use } },
  );
}

/**
 * The directory of the package that an entry names, without links; `undefined` when its path is that of a file.
 *
 * @throws `DAAS_PLUGIN_UNKNOWN` when no package of the name is installed.
 */
export function packageDirectory(
  { use }: PluginEntry,
  { directory, builtIns }: DiscoveryOptions,
): string | undefined {
  if (!isPath(use)) return installedPackage(use, directory, builtIns);
  const path = trustedPath(pathOf(use, directory), pluginRules(use), { mayBeMissing: true });
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? path : undefined;
}

function pathOf(use: string, directory: string): string {
  return use.startsWith('/') ? use : join(directory, use);
}

function installedPackage(name: string, directory: string, builtIns: BuiltIns): string {
  const found = isPackageName(name) ? findPackage(name, directory) : undefined;
  if (found !== undefined) return found;
  const names = Object.keys(builtIns);
  const nearest = names.length > 0 ? closest(name, names) : undefined;
  const isNear = nearest !== undefined && distance(name, nearest) <= Math.max(2, name.length / 3);
  const known = isNear
    ? ` (the nearest is '${nearest}'; all: ${names.join(', ')})`
    : ` (all: ${names.join(', ')})`;
  const fix = isPackageName(name)
    ? `no package of this name is installed for ${directory}: run \`npm install --prefix ${directory} ${name}\``
    : 'this is not the name of an npm package either: leave its version out, and begin a path with ./ or /';
  throw new ConfigurationError(
    'DAAS_PLUGIN_UNKNOWN',
    `there is no built-in plugin '${name}'${known}, and ${fix}`,
    {
      details: { use: name, directory },
    },
  );
}

/** Refuses what is not a plugin of this version of the contract, and says which part of it is wrong. */
function expectPlugin(exported: unknown, use: string): Plugin {
  const candidate = defaultExport(exported);
  if (typeof candidate !== 'object' || candidate === null)
    refuseShape(use, 'its default export is not an object: export default definePlugin({ … })');
  const plugin = candidate as Partial<Record<keyof Plugin, unknown>>;
  if (plugin.api !== PLUGIN_API) refuseApi(use, plugin.api);
  if (typeof plugin.name !== 'string' || !/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(plugin.name))
    refuseShape(use, `'name' must be kebab-case, it is ${JSON.stringify(plugin.name)}`);
  if (typeof plugin.setup !== 'function') refuseShape(use, `'setup' must be a function`);
  const standard = (plugin.config as Plugin['config'] | undefined)?.['~standard'];
  if (standard?.version !== 1 || typeof standard.validate !== 'function')
    refuseShape(use, `'config' must be a Standard Schema v1 (zod, valibot, arktype)`);
  const isNames = Array.isArray(plugin.after) && plugin.after.every((name) => typeof name === 'string');
  if (plugin.after !== undefined && !isNames) refuseShape(use, `'after' must be a list of plugin names`);
  if (plugin.needs !== undefined && !isNeeds(plugin.needs))
    refuseShape(use, `'needs' must be an object whose values are tokens of k3s-daas/plugin`);
  return candidate as Plugin;
}

function defaultExport(exported: unknown): unknown {
  let value = exported;
  // A CommonJS module compiled from an ES module has its default one level deeper.
  for (let depth = 0; depth < 2; depth += 1)
    if (typeof value === 'object' && value !== null && 'default' in value) value = value.default;
  return value;
}

function isNeeds(needs: unknown): boolean {
  return (
    typeof needs === 'object' &&
    needs !== null &&
    Object.values(needs).every(
      (token: unknown) =>
        typeof token === 'object' && token !== null && 'key' in token && typeof token.key === 'symbol',
    )
  );
}

function refuseShape(use: string, why: string): never {
  throw new ConfigurationError('DAAS_PLUGIN_SHAPE', `${use} is not a plugin: ${why}`, { details: { use } });
}
