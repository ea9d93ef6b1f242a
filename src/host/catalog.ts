import { type Clock, ConfigurationError, DaasError, errorFields, Lifetime, type Log, messageOf } from '#base';
import type { Health, HostEvents, Plugin, Point, Scope, StandardIssue } from '#plugin';
import type { ServiceContainer } from './container.ts';
import { withDeadline } from './deadline.ts';
import { type DiscoveryOptions, discoverPlugin, type PluginEntry } from './discovery.ts';
import { PluginError } from './errors.ts';
import type { HostEventBus } from './events.ts';
import { facade } from './facade.ts';
import type { HealthRegistry } from './health.ts';
import { orderPlugins } from './order.ts';
import { superviseTask, type TaskPolicy } from './tasks.ts';

export interface CatalogDeadlines {
  /** For one plugin's `setup`. */
  readonly setupMs: number;
  /** For one call through an extension point that takes no signal. */
  readonly callMs: number;
  /** For the tasks of all plugins to end once their signal has aborted. */
  readonly drainMs: number;
  /** For one release. */
  readonly releaseMs: number;
}

export const defaultDeadlines: CatalogDeadlines = {
  setupMs: 10_000,
  callMs: 10_000,
  drainMs: 5_000,
  releaseMs: 5_000,
};

export interface CatalogOptions {
  readonly entries: readonly PluginEntry[];
  readonly discovery: DiscoveryOptions;
  readonly services: ServiceContainer;
  readonly events: HostEventBus;
  readonly health: HealthRegistry;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly taskPolicy: TaskPolicy;
  readonly deadlines: CatalogDeadlines;
  /** The points whose cardinality is checked even when nobody provides them. */
  readonly points: ReadonlyArray<Point<unknown>>;
  /** A plugin that the host cannot go on without has failed for good. */
  readonly onFailed: (error: PluginError) => void;
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

interface Validated {
  readonly name: string;
  readonly after: readonly string[] | undefined;
  readonly plugin: Plugin;
  readonly entry: PluginEntry;
  readonly config: unknown;
}

/**
 * Finds every plugin and validates every configuration; no plugin's `setup` runs. All problems are told at once, in one
 * `ConfigurationError` (`DAAS_PLUGINS_INVALID`) with `details.problems`. The result is in the order of setting up.
 */
export async function validatePlugins(
  entries: readonly PluginEntry[],
  discovery: DiscoveryOptions,
  services: Pick<ServiceContainer, 'missing'>,
): Promise<readonly Validated[]> {
  const problems: string[] = [];
  const found: Validated[] = [];
  for (const [index, entry] of entries.entries()) {
    const place = `plugins[${index}] (use: ${JSON.stringify(entry.use)})`;
    let plugin: Plugin;
    try {
      plugin = await discoverPlugin(entry, discovery);
    } catch (error) {
      problems.push(`${place}: ${messageOf(error)}`);
      continue;
    }
    if (found.some((other) => other.name === plugin.name))
      problems.push(`${place}: the plugin '${plugin.name}' is listed twice: remove one`);
    for (const name of services.missing(plugin.needs ?? {}))
      problems.push(`${place}: it needs the service '${name}', which this host does not offer`);
    const parsed = await parseConfig(plugin, entry.config ?? {});
    if (parsed.problems.length > 0)
      problems.push(...parsed.problems.map((problem) => `${place}: config${problem}`));
    found.push({ name: plugin.name, after: plugin.after, plugin, entry, config: parsed.value });
  }
  const ordering = orderPlugins(found);
  if (ordering.kind === 'cycle')
    problems.push(`plugins wait for each other in a circle: ${ordering.names.join(' → ')}`);
  if (problems.length > 0 || ordering.kind === 'cycle')
    throw new ConfigurationError(
      'DAAS_PLUGINS_INVALID',
      problems.length === 1
        ? (problems[0] ?? '')
        : `${problems.length} problems with the plugins:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`,
      { details: { problems } },
    );
  return ordering.items;
}

async function parseConfig(
  plugin: Plugin,
  config: unknown,
): Promise<{ readonly value: unknown; readonly problems: readonly string[] }> {
  try {
    const result = await plugin.config['~standard'].validate(config);
    return result.issues
      ? { value: undefined, problems: result.issues.map(describeIssue) }
      : { value: result.value, problems: [] };
  } catch (error) {
    return { value: undefined, problems: [`: the schema itself failed: ${messageOf(error)}`] };
  }
}

/** `.stakeMist: Invalid input` */
function describeIssue({ path, message }: StandardIssue): string {
  const place = (path ?? [])
    .map((segment) => (typeof segment === 'object' ? segment.key : segment))
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('');
  return `${place}: ${message}`;
}

interface Provided {
  readonly point: Point<unknown>;
  readonly plugin: string;
  readonly implementation: unknown;
}

interface Task {
  readonly plugin: Validated;
  readonly name: string;
  readonly body: (signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  readonly log: Log;
}

/** What one plugin registered, and how it is undone. */
interface Holding {
  readonly life: Lifetime;
  readonly stop: AbortController;
}

/**
 * Validates all plugins, sets them up in order, checks the cardinality of the extension points. All or nothing: when one
 * fails, everything that was registered is released in reverse order and the failure is thrown.
 */
export async function loadCatalog(options: CatalogOptions): Promise<Catalog> {
  const { clock, log, deadlines } = options;
  const plugins = await validatePlugins(options.entries, options.discovery, options.services);
  const holdings: Holding[] = [];
  const provided: Provided[] = [];
  const tasks: Task[] = [];
  const running = new Set<Promise<void>>();
  let hasStarted = false;

  try {
    for (const plugin of plugins) await setUpOne(plugin);
    checkCardinality(options.points, provided);
  } catch (error) {
    await release();
    throw error;
  }
  options.health.started();

  async function setUpOne(plugin: Validated): Promise<void> {
    const holding: Holding = { life: new Lifetime(), stop: new AbortController() };
    const before = { provided: provided.length, tasks: tasks.length };
    // In the list before `setup` runs: what a failing setup had registered is released as well.
    holdings.push(holding);
    try {
      await runSetup(plugin, holding);
    } catch (error) {
      if (plugin.entry.onFailure !== 'isolate') throw error;
      log.error('A plugin failed to start and is left out', { plugin: plugin.name, ...errorFields(error) });
      provided.length = before.provided;
      tasks.length = before.tasks;
      holdings.pop();
      await releaseOne(holding);
      options.health.add(plugin.name, () => ({ live: true, ready: false, detail: messageOf(error) }));
    }
    refuseIsolatedEssentials(plugin);
  }

  async function runSetup(plugin: Validated, holding: Holding): Promise<void> {
    let isSettingUp = true;
    const scope = makeScope(plugin, holding, () => isSettingUp);
    try {
      const needs = options.services.servicesFor(plugin.name, plugin.plugin.needs ?? {});
      await withDeadline(
        Promise.resolve().then(() => plugin.plugin.setup(scope, needs)),
        { what: 'setup', deadlineMs: deadlines.setupMs, clock },
      );
    } catch (cause) {
      throw new PluginError(plugin.name, 'setup', 'setup', cause);
    } finally {
      isSettingUp = false;
    }
  }

  function makeScope(plugin: Validated, { life, stop }: Holding, isSettingUp: () => boolean): Scope<unknown> {
    const pluginLog = log.child({ plugin: plugin.name });
    const duringSetup = (what: string) => {
      if (!isSettingUp())
        throw new DaasError(
          'DAAS_PLUGIN_TOO_LATE',
          `${what} works during setup only; '${plugin.name}' called it later`,
        );
    };
    return {
      config: plugin.config,
      log: pluginLog,
      signal: stop.signal,
      provide: <T>(point: Point<T>, implementation: T) => {
        duringSetup('provide');
        const wrapped = facade(point, implementation, {
          plugin: plugin.name,
          clock,
          deadlineMs: deadlines.callMs,
        });
        provided.push({ point, plugin: plugin.name, implementation: wrapped });
      },
      run: (name, body) => {
        duringSetup('run');
        tasks.push({ plugin, name, body, signal: stop.signal, log: pluginLog });
      },
      on: <E extends keyof HostEvents>(event: E, listener: (fact: HostEvents[E]) => void) => {
        life.defer(`listener of ${event}`, options.events.on(event, listener));
      },
      emit: (event, fact) => options.events.emit(event, fact),
      health: (check: () => Health) => {
        life.defer('health check', options.health.add(plugin.name, check));
      },
      release: (what, undo) => {
        const { releaseMs: deadlineMs } = deadlines;
        life.defer(what, () => withDeadline(Promise.resolve().then(undo), { what, deadlineMs, clock }));
      },
    };
  }

  function refuseIsolatedEssentials(plugin: Validated): void {
    if (plugin.entry.onFailure !== 'isolate') return;
    const essential = provided.find(
      (item) => item.plugin === plugin.name && item.point.cardinality === 'exactly-one',
    );
    if (essential)
      throw new ConfigurationError(
        'DAAS_PLUGIN_NOT_ISOLATABLE',
        `the plugin '${plugin.name}' provides ${essential.point.name}, which the host cannot do without: ` +
          `remove "onFailure": "isolate" from its entry`,
      );
  }

  function start(): void {
    if (hasStarted) return;
    hasStarted = true;
    for (const task of tasks) {
      const end = runTask(task);
      running.add(end);
      void end.finally(() => running.delete(end));
    }
  }

  async function runTask({ plugin, name, body, signal, log: taskLog }: Task): Promise<void> {
    const { random, taskPolicy: policy } = options;
    const end = await superviseTask({ name, body, signal, clock, log: taskLog, random, policy });
    if (end.kind === 'done') return;
    const error = new PluginError(plugin.name, 'task', name, end.cause);
    if (plugin.entry.onFailure === 'isolate')
      options.health.add(plugin.name, () => ({ live: true, ready: false, detail: error.message }));
    else options.onFailed(error);
  }

  async function drain(): Promise<void> {
    for (const { stop } of holdings) if (!stop.signal.aborted) stop.abort(new HostStopping());
    if (running.size === 0) return;
    try {
      await withDeadline(Promise.all(running), { what: 'draining', deadlineMs: deadlines.drainMs, clock });
    } catch (error) {
      log.warn('Tasks did not end when asked to', { unfinishedTasks: running.size, ...errorFields(error) });
    }
  }

  async function release(): Promise<void> {
    for (const holding of holdings.splice(0).reverse()) await releaseOne(holding);
  }

  async function releaseOne({ life, stop }: Holding): Promise<void> {
    if (!stop.signal.aborted) stop.abort(new HostStopping());
    try {
      await life.close();
    } catch (error) {
      log.error('Releasing a plugin failed', errorFields(error));
    }
  }

  let closing: Promise<void> | undefined;
  function close(): Promise<void> {
    closing ??= drain().then(release);
    return closing;
  }

  const all = <T>(point: Point<T>): readonly T[] =>
    provided.filter((item) => item.point.key === point.key).map((item) => item.implementation as T);

  return {
    names: plugins.map((plugin) => plugin.name),
    all,
    one<T>(point: Point<T>) {
      const [only] = all(point);
      if (only === undefined) throw nobodyProvides(point);
      return only;
    },
    providersOf: (point) =>
      provided.filter((item) => item.point.key === point.key).map(({ plugin }) => plugin),
    start,
    drain,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** The reason of a plugin's signal when the host stops. */
export class HostStopping extends DaasError {
  override readonly name: string = 'HostStopping';
  constructor() {
    super('DAAS_HOST_STOPPING', 'the host is stopping');
  }
}

function checkCardinality(points: ReadonlyArray<Point<unknown>>, provided: readonly Provided[]): void {
  const all = new Map([...points, ...provided.map((item) => item.point)].map((point) => [point.key, point]));
  for (const point of all.values()) {
    const owners = provided.filter((item) => item.point.key === point.key).map((item) => item.plugin);
    if (owners.length === 0 && point.cardinality === 'exactly-one') throw nobodyProvides(point);
    if (owners.length > 1 && point.cardinality !== 'any')
      throw new ConfigurationError(
        'DAAS_PLUGIN_CARDINALITY',
        `${owners.map((owner) => `'${owner}'`).join(' and ')} provide ${point.name}, of which there can be one: remove one of them from "plugins"`,
        { details: { point: point.name, owners } },
      );
  }
}

function nobodyProvides(point: Point<unknown>): ConfigurationError {
  return new ConfigurationError(
    'DAAS_PLUGIN_CARDINALITY',
    `no plugin provides ${point.name}, which the host cannot do without: add one that does to "plugins"`,
    { details: { point: point.name } },
  );
}
