import { join } from 'node:path';
import {
  type Backoff,
  ConfigurationError,
  EXIT,
  errorFields,
  type Journal,
  Lifetime,
  messageOf,
} from '#base';
import type { Composition } from '#composition';
import { acquireLock, type Lock, makeTrustedDirectory, openJournal } from '#infrastructure';
import {
  Agent,
  AgentArguments,
  type AgentSupervisor,
  GatewayConnector,
  HostClock,
  HostControl,
  JoinCredentialSource,
  Notifier,
  PluginJournal,
  SealTokenSource,
  StakeChain,
  type Token,
} from '#plugin';
import { followAttention } from './attention.ts';
import { type Catalog, defaultDeadlines, loadCatalog } from './catalog.ts';
import type { BuiltIns, PluginEntry } from './discovery.ts';
import { factsOf } from './errors.ts';
import { createEventBus, type HostEventBus } from './events.ts';
import { createHealthRegistry, type HealthRegistry, type HostHealth } from './health.ts';
import { asError } from './host-end.ts';
import { followStatus, type HostStatus } from './host-status.ts';
import type { CatalogDeadlines } from './hosted-plugin.ts';
import type { LifecycleServices, LifecycleSettings } from './life-context.ts';
import { raiseHostEnded, raiseLifeNotices } from './life-notices.ts';
import { type HostOutcome, Lifecycle } from './lifecycle.ts';
import { NoticeDelivery } from './notice-delivery.ts';
import {
  HostAgent,
  HostEventsPart,
  HostJournal,
  HostLife,
  HostLog,
  HostRandom,
  HostSignal,
} from './parts.ts';
import {
  bind,
  bindPerPlugin,
  createServiceContainer,
  type ServiceBinding,
  type ServiceContainer,
} from './plugin-services.ts';
import { showCertificates } from './show-certificates.ts';
import { defaultTaskPolicy, type TaskPolicy } from './tasks.ts';

export interface HostOptions {
  readonly nodeId: string;
  /** Holds the journal, the lock and the latch; made with mode 0700. */
  readonly stateDir: string;
  readonly plugins: readonly PluginEntry[];
  readonly builtIns: BuiltIns;
  /** Paths of plugins are relative to it: the directory of the configuration file. */
  readonly pluginDirectory: string;
  readonly joinDeadlineMs: number;
  /** Default 20 000. */
  readonly joinPatienceMs?: number;
  /**
   * Identifies this machine. On the machine of its last join the agent starts before chain and gateway have answered;
   * without an id it never does.
   */
  readonly machineId?: string | undefined;
  /** Names this boot of the machine. */
  readonly bootId?: string | undefined;
  /** Default 60 000. */
  readonly drainDeadlineMs?: number;
  /** Delays between attempts. Default 0.5 s growing to 15 s. */
  readonly retry?: Backoff;
  /** The operator asked for another stake (`--stake-again`): a latch does not stop the host before that. Default false. */
  readonly mayStakeAgain?: boolean;
  readonly taskPolicy?: TaskPolicy;
  readonly deadlines?: CatalogDeadlines;
  /** Where SIGTERM and SIGINT come from. Default: the process. `undefined`: from nowhere. */
  readonly signals?: SignalSource | undefined;
  /** `hostParts()` with at least `HostLog`, `HostAgent` and `StakeChain` registered; for this host alone. */
  readonly parts: Composition;
  /** What plugins may ask for, besides `Agent`, `HostControl`, `HostClock` and `PluginJournal`. */
  readonly offers?: ReadonlyArray<Token<unknown>>;
  /** Called once the state directory is locked: a second host on it must not open a port before it finds that out. */
  readonly onLocked?: () => Promise<void>;
}

export interface SignalSource {
  on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  off(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
}

export interface Host {
  readonly events: HostEventBus;
  /** Lives until it is stopped or something ends it. Never rejects; call it once. */
  run(): Promise<HostOutcome>;
  /** Like SIGTERM; the second call does not wait for an orderly end. */
  stop(by: string): void;
  health(): HostHealth;
  /** Everything that it knows about itself now. */
  status(signal?: AbortSignal): Promise<HostStatus>;
}

export function createHost(options: HostOptions): Host {
  const { parts } = options;
  const log = parts.get(HostLog);
  const events = createEventBus(log);
  const health = createHealthRegistry();
  const clock = parts.get(HostClock);
  const random = parts.get(HostRandom);
  const settings = lifecycleSettings(options);
  const lifecycle = new Lifecycle({ settings, events, health, clock, log, random });
  health.add('host', () => lifecycle.health());
  const notices = new NoticeDelivery({ clock, log, random });
  const { nodeId } = options;
  const attention = followAttention({ events, clock, nodeId }, (notice) => notices.tell(notice));
  raiseLifeNotices({ events, clock, signal: lifecycle.signal });
  const status = followStatus({ nodeId, events, clock, attention, health: () => health.read() });
  const life = new Lifetime();
  const context: HostContext = { options, events, health, lifecycle, life, notices, agent: undefined };
  return {
    events,
    run: () => runHost(context),
    stop: (by) => lifecycle.stop(by),
    health: () => health.read(),
    status: (signal) => status.read(context.agent, signal),
  };
}

interface HostContext {
  readonly options: HostOptions;
  readonly events: HostEventBus;
  readonly health: HealthRegistry;
  readonly lifecycle: Lifecycle;
  readonly life: Lifetime;
  readonly notices: NoticeDelivery;
  /** Once it is made. */
  agent: AgentSupervisor | undefined;
}

function lifecycleSettings(options: HostOptions): LifecycleSettings {
  return {
    nodeId: options.nodeId,
    stateDir: options.stateDir,
    joinDeadlineMs: options.joinDeadlineMs,
    joinPatienceMs: options.joinPatienceMs ?? 20_000,
    machineId: options.machineId,
    bootId: options.bootId,
    drainDeadlineMs: options.drainDeadlineMs ?? 60_000,
    mayStakeAgain: options.mayStakeAgain ?? false,
    retry: options.retry ?? { baseMs: 500, maxMs: 15_000 },
  };
}

async function runHost(context: HostContext): Promise<HostOutcome> {
  const { options, lifecycle, life, events } = context;
  const log = options.parts.get(HostLog);
  listenForSignals(context);
  let outcome: HostOutcome;
  try {
    outcome = await live(context);
  } catch (error) {
    // A stop during configuration interrupts it: that is no failure.
    outcome = lifecycle.wasAsked
      ? { exitCode: EXIT.ok, error: undefined }
      : { exitCode: factsOf(error).exitCode, error: asError(error) };
  }
  await life.close().catch((error: unknown) => log.error('Releasing failed', errorFields(error)));
  const { exitCode, error } = outcome;
  events.emit('host.ended', {
    exitCode,
    reason: error ? undefined : 'asked to stop',
    error: error && errorFields(error).error,
  });
  return outcome;
}

/** The agent first, where it may resume; then everything that is slow to load. */
async function live(context: HostContext): Promise<HostOutcome> {
  const { options, events, lifecycle, life } = context;
  const { parts, stateDir } = options;
  lifecycle.enter('configure');
  life.use('lock', await lockStateDir(stateDir));
  const journal = await openJournal(join(stateDir, 'journal.json'));
  parts
    .register(HostEventsPart, () => events)
    .register(HostJournal, () => journal)
    .register(HostLife, () => life)
    .register(HostSignal, () => lifecycle.signal)
    .register(HostControl, () => lifecycle.control);
  await options.onLocked?.();
  const agent = life.use('agent', await parts.open(HostAgent));
  context.agent = agent;
  parts.register(Agent, () => agent);
  const own = journal.section('host');
  await lifecycle.resume({ agent, journal: own });
  const chain = await parts.open(StakeChain);
  // Embedders that bring no client of the gateway show nothing.
  const gateways = parts.has(GatewayConnector) ? await parts.open(GatewayConnector) : undefined;
  if (gateways) {
    const [clock, log] = [parts.get(HostClock), parts.get(HostLog)];
    void showCertificates({ agent, chain, gateways, events, clock, log, signal: lifecycle.signal });
  }
  const catalog = await loadPlugins(context, await servicesOf(options, journal));
  life.use('plugins', catalog);
  return runNotified(context, { catalog, agent, chain, journal: own });
}

/** The life of the node, with everything that it has to tell told before the plugins are released. */
async function runNotified(
  { events, lifecycle, notices }: HostContext,
  services: LifecycleServices,
): Promise<HostOutcome> {
  const { catalog } = services;
  const plugins = catalog.providersOf(Notifier);
  notices.deliverTo(
    catalog.all(Notifier).map((notifier, index) => ({ plugin: plugins[index] ?? '', notifier })),
  );
  const outcome = await lifecycle.run(services);
  raiseHostEnded(events, outcome);
  await notices.flush();
  return outcome;
}

/** What plugins may ask for. One after the other: the error of the first that cannot be made is the host's. */
async function servicesOf({ parts, offers = [] }: HostOptions, journal: Journal): Promise<ServiceContainer> {
  const bindings: ServiceBinding[] = [
    bindPerPlugin(PluginJournal, (plugin) => journal.section(`plugin/${plugin}`)),
  ];
  for (const token of new Set([Agent, HostControl, HostClock, ...offers]))
    bindings.push(bind(token, await parts.open(token)));
  return createServiceContainer(bindings);
}

function loadPlugins(
  { options, events, health, lifecycle }: HostContext,
  services: ServiceContainer,
): Promise<Catalog> {
  const { parts } = options;
  return loadCatalog({
    entries: options.plugins,
    discovery: { builtIns: options.builtIns, directory: options.pluginDirectory },
    services,
    events,
    health,
    clock: parts.get(HostClock),
    log: parts.get(HostLog),
    random: parts.get(HostRandom),
    taskPolicy: options.taskPolicy ?? defaultTaskPolicy,
    deadlines: options.deadlines ?? defaultDeadlines,
    points: [SealTokenSource, JoinCredentialSource, AgentArguments, Notifier],
    onFailed: (error) => lifecycle.fail(error),
  });
}

function listenForSignals({ options, lifecycle, life }: HostContext): void {
  const source: SignalSource | undefined = 'signals' in options ? options.signals : process;
  if (!source) return;
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    const listener = () => lifecycle.stop(name);
    source.on(name, listener);
    life.defer(`listener of ${name}`, () => void source.off(name, listener));
  }
}

/** What only the operator can repair: no rights, a file in the way, a read-only disk. */
const unusable = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ELOOP', 'ENAMETOOLONG']);

async function lockStateDir(stateDir: string): Promise<Lock> {
  try {
    makeTrustedDirectory(stateDir, { what: 'the state directory', origin: 'stateDir' });
    return await acquireLock(join(stateDir, 'host.lock'), `the state directory ${stateDir}`);
  } catch (cause) {
    if (!unusable.has((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
    throw new ConfigurationError(
      'DAAS_STATE_DIR_UNUSABLE',
      `the state directory ${stateDir} (stateDir) cannot be made or written to: ${messageOf(cause)}; give this user rights to it, or set another`,
      { cause, details: { stateDir } },
    );
  }
}
