import { type Clock, ConfigurationError, DaasError, errorFields, Lifetime, type Log } from '#base';
import type { Health, HostEvents, Point, Scope } from '#plugin';
import type { Provision } from './cardinality.ts';
import { withDeadline } from './deadline.ts';
import { PluginError } from './errors.ts';
import type { HostEventBus } from './events.ts';
import { facade } from './facade.ts';
import type { HealthRegistry } from './health.ts';
import type { ServiceContainer } from './plugin-services.ts';
import type { ValidPlugin } from './plugin-validation.ts';
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

/** What every plugin of a host works with. */
export interface PluginHostContext {
  readonly services: ServiceContainer;
  readonly events: HostEventBus;
  readonly health: HealthRegistry;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly taskPolicy: TaskPolicy;
  readonly deadlines: CatalogDeadlines;
  /** A plugin that the host cannot go on without has failed for good. */
  readonly onFailed: (error: PluginError) => void;
}

interface Task {
  readonly name: string;
  readonly body: (signal: AbortSignal) => Promise<void>;
}

/** One plugin in its host: what it registered, what runs of it, and how all of that is undone. */
export class HostedPlugin {
  readonly provisions: Provision[] = [];
  readonly #valid: ValidPlugin;
  readonly #host: PluginHostContext;
  readonly #log: Log;
  readonly #life = new Lifetime();
  readonly #stop = new AbortController();
  readonly #tasks: Task[] = [];
  readonly #running = new Map<Task, Promise<void>>();
  #isSettingUp = false;

  constructor(valid: ValidPlugin, host: PluginHostContext) {
    this.#valid = valid;
    this.#host = host;
    this.#log = host.log.child({ plugin: valid.name });
  }

  get name(): string {
    return this.#valid.name;
  }

  get isIsolated(): boolean {
    return this.#valid.entry.onFailure === 'isolate';
  }

  /** Rejects with a `PluginError`; what was registered until then is undone by `release`. */
  async setUp(): Promise<void> {
    const { services, deadlines, clock } = this.#host;
    const { plugin } = this.#valid;
    this.#isSettingUp = true;
    try {
      const needs = services.servicesFor(this.name, plugin.needs ?? {});
      const setup = Promise.resolve().then(() => plugin.setup(this.#scope(), needs));
      await withDeadline(setup, { what: 'setup', deadlineMs: deadlines.setupMs, clock });
    } catch (cause) {
      throw new PluginError(this.name, 'setup', 'setup', cause);
    } finally {
      this.#isSettingUp = false;
    }
    this.#refuseIsolatedEssential();
  }

  startTasks(): void {
    for (const task of this.#tasks) {
      const end = this.#runTask(task);
      this.#running.set(task, end);
      void end.finally(() => this.#running.delete(task));
    }
  }

  /** Aborts the signal of the plugin. */
  stop(): void {
    if (!this.#stop.signal.aborted) this.#stop.abort(new HostStopping());
  }

  tasksEnded(): Promise<unknown> {
    return Promise.all(this.#running.values());
  }

  /** After the drain deadline: names each task that has not ended. */
  reportUnfinished(): void {
    for (const { name } of this.#running.keys())
      this.#log.warn('A task did not end when asked to', { task: name });
  }

  /** Undoes what the plugin registered, last in first out. A failure is logged: the others must not miss their turn. */
  async release(): Promise<void> {
    this.stop();
    try {
      await this.#life.close();
    } catch (error) {
      this.#log.error('Releasing a plugin failed', errorFields(error));
    }
  }

  #scope(): Scope<unknown> {
    const { events, health } = this.#host;
    return {
      config: this.#valid.config,
      log: this.#log,
      signal: this.#stop.signal,
      provide: (point, implementation) => this.#provide(point, implementation),
      run: (name, body) => {
        this.#expectSetup('run');
        this.#tasks.push({ name, body });
      },
      on: <E extends keyof HostEvents>(event: E, listener: (fact: HostEvents[E]) => void) => {
        this.#life.defer(`listener of ${event}`, events.on(event, listener, this.name));
      },
      emit: (event, fact) => events.emit(event, fact),
      health: (check: () => Health) => this.#life.defer('health check', health.add(this.name, check)),
      release: (what, undo) => this.#life.defer(what, () => this.#undoInTime(what, undo)),
    };
  }

  #provide<T>(point: Point<T>, implementation: T): void {
    this.#expectSetup('provide');
    const { clock, deadlines } = this.#host;
    const options = { plugin: this.name, clock, deadlineMs: deadlines.callMs };
    const wrapped = facade(point, implementation, options);
    this.provisions.push({ point, plugin: this.name, implementation: wrapped });
  }

  #undoInTime(what: string, undo: () => unknown): Promise<unknown> {
    const { clock, deadlines } = this.#host;
    return withDeadline(Promise.resolve().then(undo), { what, deadlineMs: deadlines.releaseMs, clock });
  }

  #expectSetup(what: string): void {
    if (this.#isSettingUp) return;
    throw new DaasError(
      'DAAS_PLUGIN_TOO_LATE',
      `${what} works during setup only; '${this.name}' called it later`,
    );
  }

  async #runTask({ name, body }: Task): Promise<void> {
    const { clock, random, taskPolicy: policy, health, onFailed } = this.#host;
    const { signal } = this.#stop;
    const end = await superviseTask({ name, body, signal, clock, log: this.#log, random, policy });
    if (end.kind === 'done') return;
    const error = new PluginError(this.name, 'task', name, end.cause);
    if (this.isIsolated) health.add(this.name, () => ({ live: true, ready: false, detail: error.message }));
    else onFailed(error);
  }

  #refuseIsolatedEssential(): void {
    const essential = this.provisions.find(({ point }) => point.cardinality === 'exactly-one');
    if (!this.isIsolated || !essential) return;
    throw new ConfigurationError(
      'DAAS_PLUGIN_NOT_ISOLATABLE',
      `the plugin '${this.name}' provides ${essential.point.name}, which the host cannot do without: ` +
        `remove "onFailure": "isolate" from its entry`,
    );
  }
}

/** The reason of a plugin's signal when the host stops. */
class HostStopping extends DaasError {
  override readonly name: string = 'HostStopping';
  constructor() {
    super('DAAS_HOST_STOPPING', 'the host is stopping');
  }
}
