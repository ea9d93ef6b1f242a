import type { Journal } from '#base';
import {
  bind,
  type Catalog,
  type CatalogDeadlines,
  createEventBus,
  createHealthRegistry,
  createServiceContainer,
  defaultDeadlines,
  defaultTaskPolicy,
  type HostEventBus,
  type HostHealth,
  loadCatalog,
  type ServiceBinding,
} from '#host';
import {
  Agent,
  GatewayConnector,
  HostClock,
  HostControl,
  type HostEvents,
  type Needs,
  NodeIdentity,
  type Plugin,
  PluginJournal,
  type Point,
  StakeChain,
} from '#plugin';
import { FakeClock, memoryJournal, RecordingLog, settled } from '#testing';
import { FakeAgent, FakeHostControl, fakeIdentity } from './fake-agent.ts';
import { FakeStakeChain } from './fake-chain.ts';
import { FakeGateways } from './fake-gateway.ts';

/** What a plugin under test works with. Each has a default; give your own to share it between two lives. */
export interface FakeServices {
  readonly clock: FakeClock;
  readonly chain: FakeStakeChain;
  readonly gateways: FakeGateways;
  readonly agent: FakeAgent;
  readonly identity: NodeIdentity;
  readonly control: FakeHostControl;
  readonly journal: Journal;
  readonly log: RecordingLog;
}

export interface LoadOptions {
  /** As it would stand under `config` in the configuration. Default: `{}`. */
  readonly config?: unknown;
  readonly services?: Partial<FakeServices>;
  /** Services under tokens of your own. */
  readonly bindings?: readonly ServiceBinding[];
  readonly deadlines?: CatalogDeadlines;
}

export interface RecordedEvent {
  readonly event: keyof HostEvents;
  readonly fact: unknown;
}

/** A plugin that was set up by the real catalog and whose tasks run. Dispose of it, or `stop()`. */
export interface LoadedPlugin extends FakeServices, AsyncDisposable {
  readonly events: readonly RecordedEvent[];
  facts<E extends keyof HostEvents>(event: E): ReadonlyArray<HostEvents[E]>;
  emit<E extends keyof HostEvents>(event: E, fact: HostEvents[E]): void;
  /** What the plugin provides for a point, as the host sees it: with the plugin's name before every error. */
  provided<T>(point: Point<T>): T;
  health(): HostHealth;
  /** How many event listeners it has now. */
  listenerCount(): number;
  /** Errors of tasks that were given up. */
  readonly failures: readonly Error[];
  stop(): Promise<void>;
}

/**
 * Loads one plugin through the catalog of the real host: its shape and configuration are checked, `setup` runs, tasks are
 * supervised, what it provides is wrapped. Only the services are fakes, and the points of other plugins are not required.
 */
export async function loadPlugin<C, N extends Needs>(
  plugin: Plugin<C, N>,
  options: LoadOptions = {},
): Promise<LoadedPlugin> {
  const services = makeServices(options.services);
  const bus = createEventBus(services.log);
  const health = createHealthRegistry();
  const events: RecordedEvent[] = [];
  const failures: Error[] = [];
  const catalog = await loadCatalog({
    entries: [{ use: 'plugin-under-test', config: options.config ?? {} }],
    discovery: { builtIns: { 'plugin-under-test': async () => plugin }, directory: '/' },
    services: createServiceContainer([...bindingsOf(services), ...(options.bindings ?? [])]),
    events: recordInto(events, bus),
    health,
    clock: services.clock,
    log: services.log,
    // The middle of every range: tests that turn the clock know when.
    random: () => 0.5,
    taskPolicy: defaultTaskPolicy,
    deadlines: options.deadlines ?? defaultDeadlines,
    points: [],
    onFailed: (error) => failures.push(error),
  });
  catalog.start();
  await settled();
  const stop = () => closeInTime(catalog, services.clock);
  return {
    ...services,
    events,
    facts: <E extends keyof HostEvents>(event: E) =>
      events.filter((entry) => entry.event === event).map((entry) => entry.fact as HostEvents[E]),
    emit: (event, fact) => bus.emit(event, fact),
    provided: (point) => catalog.one(point),
    health: () => health.read(),
    listenerCount: () => bus.listenerCount(),
    failures,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function makeServices(given: Partial<FakeServices> = {}): FakeServices {
  const clock = given.clock ?? new FakeClock();
  return {
    clock,
    chain: new FakeStakeChain(clock),
    gateways: new FakeGateways(clock),
    agent: new FakeAgent(),
    identity: fakeIdentity(),
    control: new FakeHostControl(),
    journal: memoryJournal(),
    log: new RecordingLog(),
    ...given,
  };
}

function bindingsOf(services: FakeServices): readonly ServiceBinding[] {
  return [
    bind(StakeChain, services.chain),
    bind(GatewayConnector, services.gateways),
    bind(NodeIdentity, services.identity),
    bind(Agent, services.agent),
    bind(HostControl, services.control),
    bind(HostClock, services.clock),
    bind(PluginJournal, services.journal),
  ];
}

/** The bus of the plugin: what it emits is recorded; what the test emits is not. */
function recordInto(events: RecordedEvent[], bus: HostEventBus): HostEventBus {
  return {
    ...bus,
    emit(event, fact) {
      events.push({ event, fact });
      bus.emit(event, fact);
    },
  };
}

/** Turns the clock while it waits: a plugin that does not end runs into its deadlines instead of into the test's. */
async function closeInTime(catalog: Catalog, clock: FakeClock): Promise<void> {
  let isClosed = false;
  const closed = catalog.close().finally(() => {
    isClosed = true;
  });
  await settled();
  for (let second = 0; !isClosed && second < 60; second += 1) await clock.advance(1_000);
  await closed;
}
