import { stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { closest } from 'fastest-levenshtein';
import { ConfigurationError, messageOf } from '#base';
import { readTrustedText, trustedPath } from '#infrastructure';
import type { Plugin } from '#plugin';
import { pluginRules, prepareForPlugins, trustedPlugin } from './plugin-modules.ts';

/** One entry of the configuration's list of plugins. */
export interface PluginEntry {
  /** A built-in's name, or a path relative to the configuration file that begins with `./`, `../` or `/`. */
  readonly use: string;
  readonly config?: unknown;
  /**
   * `abort` (default): the host ends when this plugin fails. `isolate`: it goes on without; refused for a plugin that
   * provides what the host cannot do without.
   */
  readonly onFailure?: 'abort' | 'isolate' | undefined;
}

/** The plugins that come with the host, by name; loaded when they are asked for. */
export type BuiltIns = Readonly<Record<string, () => Promise<unknown>>>;

export interface DiscoveryOptions {
  readonly builtIns: BuiltIns;
  /** Paths of plugins are relative to this directory: that of the configuration file. */
  readonly directory: string;
}

/** The version of the plugin contract that this host speaks. */
export const PLUGIN_API = 1;

/**
 * Finds and loads the plugin an entry names, and refuses what is not one. Only what the configuration lists is ever
 * loaded: being on the disk never means being run.
 */
export async function discoverPlugin(entry: PluginEntry, options: DiscoveryOptions): Promise<Plugin> {
  const exported = isPath(entry.use)
    ? await loadFromPath(entry.use, options.directory)
    : await loadBuiltIn(entry.use, options.builtIns);
  return expectPlugin(exported, entry.use);
}

function isPath(use: string): boolean {
  return /^(?:\.{0,2}\/|\.{1,2}$)/.test(use);
}

async function loadBuiltIn(name: string, builtIns: BuiltIns): Promise<unknown> {
  const load = Object.hasOwn(builtIns, name) ? builtIns[name] : undefined;
  if (!load) {
    const names = Object.keys(builtIns);
    const nearest = names.length > 0 ? closest(name, names) : undefined;
    throw new ConfigurationError(
      'DAAS_PLUGIN_UNKNOWN',
      `there is no built-in plugin '${name}'${nearest ? ` (the nearest is '${nearest}'; all: ${names.join(', ')})` : ''}. ` +
        'A plugin of your own is named by its path, for example ./plugins/mine; npm names are not supported',
      { details: { use: name } },
    );
  }
  try {
    return await load();
  } catch (cause) {
    throw new ConfigurationError('DAAS_PLUGIN_LOAD_FAILED', `the built-in plugin '${name}' does not load`, {
      cause,
    });
  }
}

async function loadFromPath(use: string, directory: string): Promise<unknown> {
  prepareForPlugins();
  const require = createRequire(join(directory, 'configuration'));
  try {
    // `require` of an ES module, not `import()`: it works in a single-file build of the host as well. The price is that
    // a plugin has no top-level await.
    return require(trustedPlugin(await entryFile(use, directory), use));
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    const isAsync = (cause as { code?: unknown }).code === 'ERR_REQUIRE_ASYNC_MODULE';
    throw new ConfigurationError(
      'DAAS_PLUGIN_LOAD_FAILED',
      isAsync
        ? `the plugin ${use} uses top-level await, which a plugin cannot: await inside setup instead`
        : `the plugin ${use} (looked for from ${directory}) does not load: ${messageOf(cause)}`,
      { details: { use, directory } },
    );
  }
}

/** The file to load for a path: the file itself, or a package's entry, whose package.json is read before any of its code runs. */
async function entryFile(use: string, directory: string): Promise<string> {
  const require = createRequire(join(directory, 'configuration'));
  const path = use.startsWith('/') ? use : join(directory, use);
  trustedPath(path, pluginRules(use), { mayBeMissing: true });
  const isDirectory = await stat(path).then(
    (status) => status.isDirectory(),
    () => false,
  );
  if (!isDirectory) return require.resolve(path);
  const manifestPath = join(path, 'package.json');
  const manifest = await readManifest(manifestPath);
  if (manifest === undefined) return require.resolve(path);
  const wanted = (manifest['k3s-daas'] as { api?: unknown } | undefined)?.api;
  if (wanted !== undefined && wanted !== PLUGIN_API) refuseApi(use, wanted);
  const exportsItself = manifest.exports !== undefined && typeof manifest.name === 'string';
  // A directory is resolved by `main` alone; a package that has only `exports` is found by its own name from within.
  return exportsItself
    ? createRequire(manifestPath).resolve(
        manifest.name as string,
        {
          conditions: new Set(['node', 'import', 'default']),
        } as NodeJS.RequireResolveOptions,
      )
    : require.resolve(path);
}

async function readManifest(path: string): Promise<Record<string, unknown> | undefined> {
  let text: string;
  try {
    text = await readTrustedText(path, { what: 'the manifest of a plugin' });
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    return undefined;
  }
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new ConfigurationError('DAAS_PLUGIN_LOAD_FAILED', `${path} is not JSON`, { cause });
  }
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

function refuseApi(use: string, api: unknown): never {
  throw new ConfigurationError(
    'DAAS_PLUGIN_API',
    `the plugin ${use} is written for version ${JSON.stringify(api)} of the plugin contract; this host speaks ${PLUGIN_API}: ` +
      'install a release of the plugin that does too',
    { details: { use, api } },
  );
}

function refuseShape(use: string, why: string): never {
  throw new ConfigurationError('DAAS_PLUGIN_SHAPE', `${use} is not a plugin: ${why}`, { details: { use } });
}
