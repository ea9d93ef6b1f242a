import { errorFields, messageOf } from '#base';
import type { Point } from '#plugin';
import { checkCardinality, notProvided, type Provision } from './cardinality.ts';
import { withDeadline } from './deadline.ts';
import type { DiscoveryOptions, PluginEntry } from './discovery.ts';
import { PluginError } from './errors.ts';
import { type CatalogDeadlines, HostedPlugin, type PluginHostContext } from './hosted-plugin.ts';
import { type ValidPlugin, validatePlugins } from './plugin-validation.ts';

export const defaultDeadlines: CatalogDeadlines = {
  setupMs: 10_000,
  callMs: 10_000,
  drainMs: 5_000,
  releaseMs: 5_000,
};

export interface CatalogOptions extends PluginHostContext {
  readonly entries: readonly PluginEntry[];
  readonly discovery: DiscoveryOptions;
  /** The points whose cardinality is checked even when no plugin provides them. */
  readonly points: ReadonlyArray<Point<unknown>>;
}

/** The plugins of a running host. */
export interface Catalog extends AsyncDisposable {
  readonly names: readonly string[];
  /** The one implementation of a point that must have exactly one. */
  one<T>(point: Point<T>): T;
  all<T>(point: Point<T>): readonly T[];
  /** The names of the plugins that provide a point. */
  providersOf(point: Point<unknown>): readonly string[];
  /** Starts the tasks; once. */
  start(): void;
  /** Aborts every plugin's signal and waits, within the deadline, until the tasks have ended. */
  drain(): Promise<void>;
  /** Drains, then undoes everything the plugins registered, in reverse order. Failures are logged. Idempotent. */
  close(): Promise<void>;
}

/**
 * Validates all plugins, sets them up in order, and checks how many provide each extension point. All or nothing: when one
 * fails, everything that was registered is released in reverse order and the failure is thrown.
 */
export async function loadCatalog(options: CatalogOptions): Promise<Catalog> {
  const plugins = await validatePlugins(options.entries, options.discovery, options.services);
  const catalog = new PluginCatalog(plugins, options);
  try {
    await catalog.setUp();
  } catch (error) {
    await catalog.close();
    throw error;
  }
  options.health.started();
  return catalog;
}

class PluginCatalog implements Catalog {
  readonly names: readonly string[];
  readonly #plugins: readonly ValidPlugin[];
  readonly #options: CatalogOptions;
  /** In the order of setting up. */
  readonly #hosted: HostedPlugin[] = [];
  #hasStarted = false;
  #closing: Promise<void> | undefined;

  constructor(plugins: readonly ValidPlugin[], options: CatalogOptions) {
    this.#plugins = plugins;
    this.#options = options;
    this.names = plugins.map(({ name }) => name);
  }

  async setUp(): Promise<void> {
    for (const plugin of this.#plugins) await this.#setUpOne(new HostedPlugin(plugin, this.#options));
    checkCardinality(this.#options.points, this.#provisions);
  }

  async #setUpOne(hosted: HostedPlugin): Promise<void> {
    // In the list before `setup` runs, so that what a failing setup had registered is released as well.
    this.#hosted.push(hosted);
    try {
      await hosted.setUp();
    } catch (error) {
      if (!hosted.isIsolated || !(error instanceof PluginError)) throw error;
      await this.#leaveOut(hosted, error);
    }
  }

  async #leaveOut(hosted: HostedPlugin, error: PluginError): Promise<void> {
    const { log, health } = this.#options;
    log.error('A plugin failed to start and is left out', { plugin: hosted.name, ...errorFields(error) });
    this.#hosted.pop();
    await hosted.release();
    health.add(hosted.name, () => ({ live: true, ready: false, detail: messageOf(error) }));
  }

  one<T>(point: Point<T>): T {
    const [only] = this.all(point);
    if (only === undefined) throw notProvided(point);
    return only;
  }

  all<T>(point: Point<T>): readonly T[] {
    return this.#provisionsOf(point).map(({ implementation }) => implementation as T);
  }

  providersOf(point: Point<unknown>): readonly string[] {
    return this.#provisionsOf(point).map(({ plugin }) => plugin);
  }

  get #provisions(): readonly Provision[] {
    return this.#hosted.flatMap(({ provisions }) => provisions);
  }

  #provisionsOf(point: Point<unknown>): readonly Provision[] {
    return this.#provisions.filter((provision) => provision.point.key === point.key);
  }

  start(): void {
    if (this.#hasStarted) return;
    this.#hasStarted = true;
    for (const hosted of this.#hosted) hosted.startTasks();
  }

  async drain(): Promise<void> {
    const { clock, deadlines } = this.#options;
    for (const hosted of this.#hosted) hosted.stop();
    const ended = Promise.all(this.#hosted.map((hosted) => hosted.tasksEnded()));
    try {
      await withDeadline(ended, { what: 'draining', deadlineMs: deadlines.drainMs, clock });
    } catch {
      for (const hosted of this.#hosted) hosted.reportUnfinished();
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.drain().then(() => this.#release());
    return this.#closing;
  }

  async #release(): Promise<void> {
    for (const hosted of this.#hosted.splice(0).reverse()) await hosted.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
