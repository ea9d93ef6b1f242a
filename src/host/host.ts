import { join } from 'node:path';
import {
  type Backoff,
  type Clock,
  ConfigurationError,
  EXIT,
  errorFields,
  type Journal,
  Lifetime,
  type Log,
  messageOf,
  systemClock,
} from '#base';
import type { ChainReader } from '#domain';
import { acquireLock, type Lock, makeTrustedDirectory, openJournal } from '#infrastructure';
import {
  Agent,
  AgentArguments,
  type AgentSupervisor,
  HostClock,
  HostControl,
  JoinCredentialSource,
  PluginJournal,
  SealTokenSource,
} from '#plugin';
import { defaultDeadlines, loadCatalog } from './catalog.ts';
import { bind, bindPerPlugin, createServiceContainer, type ServiceBinding } from './container.ts';
import type { BuiltIns, PluginEntry } from './discovery.ts';
import { factsOf } from './errors.ts';
import { createEventBus, type HostEventBus } from './events.ts';
import { createHealthRegistry, type HostHealth } from './health.ts';
import type { CatalogDeadlines } from './hosted-plugin.ts';
import { type HostOutcome, Lifecycle } from './lifecycle.ts';
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
   * Names this machine: where the last join was made, the agent starts before chain and gateway have answered. Default: it
   * never does.
   */
  readonly machineId?: string | undefined;
  /** Default 60 000. */
  readonly drainDeadlineMs?: number;
  /** Between attempts at what may pass. Default 0.5 s growing to 15 s. */
  readonly retry?: Backoff;
  /** The operator asked for another stake (`--stake-again`): the latch lets the host come to that point. Default false. */
  readonly mayStakeAgain?: boolean;
  readonly log: Log;
  /** Default: the machine's. */
  readonly clock?: Clock;
  readonly random?: () => number;
  readonly taskPolicy?: TaskPolicy;
  readonly deadlines?: CatalogDeadlines;
  /** Where SIGTERM and SIGINT come from. Default: the process. `undefined`: nobody. */
  readonly signals?: SignalSource | undefined;
  /**
   * Makes the agent's supervisor, and says how the rest is opened. Called once the state directory is locked and the journal
   * open; what it opens it defers on `life`.
   */
  readonly prepare: (context: HostContext) => Promise<PreparedHost>;
}

export interface SignalSource {
  on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  off(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
}

export interface HostContext {
  readonly journal: Journal;
  readonly events: HostEventBus;
  readonly log: Log;
  readonly clock: Clock;
  /** Released after the plugins, in reverse order. */
  readonly life: Lifetime;
  readonly stateDir: string;
  /** Aborts when the host is to end. */
  readonly signal: AbortSignal;
}

export interface PreparedHost {
  readonly agent: AgentSupervisor;
  /** Called once an agent that starts on the certificates of its last join runs: what it loads keeps no node waiting. */
  readonly open: () => Promise<HostServices>;
}

/** What the plugins and the rest of the life cycle work with. */
export interface HostServices {
  readonly chain: Pick<ChainReader, 'liveRecordOf'>;
  /** What plugins can ask for, besides `Agent`, `HostControl`, `HostClock` and `PluginJournal`, which the host offers. */
  readonly bindings: readonly ServiceBinding[];
}

export interface Host {
  readonly events: HostEventBus;
  /** Lives until it is stopped or something ends it. Never rejects; call it once. */
  run(): Promise<HostOutcome>;
  /** As SIGTERM; a second time as a second one. */
  stop(by: string): void;
  health(): HostHealth;
}

export function createHost(options: HostOptions): Host {
  const { log } = options;
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  const events = createEventBus(log);
  const health = createHealthRegistry();
  const lifecycle = new Lifecycle({
    settings: {
      nodeId: options.nodeId,
      stateDir: options.stateDir,
      joinDeadlineMs: options.joinDeadlineMs,
      joinPatienceMs: options.joinPatienceMs ?? 20_000,
      machineId: options.machineId,
      drainDeadlineMs: options.drainDeadlineMs ?? 60_000,
      mayStakeAgain: options.mayStakeAgain ?? false,
      retry: options.retry ?? { baseMs: 500, maxMs: 15_000 },
    },
    events,
    health,
    clock,
    log,
    random,
  });
  health.add('host', () => lifecycle.health());

  async function run(): Promise<HostOutcome> {
    const life = new Lifetime();
    listenForSignals(life);
    let outcome: HostOutcome;
    try {
      outcome = await live(life);
    } catch (error) {
      // Stopped while it was still being configured: what that interrupted is no failure.
      outcome = lifecycle.wasAsked
        ? { exitCode: EXIT.ok, error: undefined }
        : {
            exitCode: factsOf(error).exitCode,
            error: error instanceof Error ? error : new Error(String(error)),
          };
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

  async function live(life: Lifetime): Promise<HostOutcome> {
    const { stateDir } = options;
    lifecycle.enter('configure');
    life.use('lock', await lockStateDir(stateDir));
    const journal = await openJournal(join(stateDir, 'journal.json'));
    const context = { journal, events, log, clock, life, stateDir, signal: lifecycle.signal };
    const { agent, open } = await options.prepare(context);
    life.use('agent', agent);
    const own = journal.section('host');
    await lifecycle.resume({ agent, journal: own });
    const { chain, bindings } = await open();
    const catalog = await loadCatalog({
      entries: options.plugins,
      discovery: { builtIns: options.builtIns, directory: options.pluginDirectory },
      services: createServiceContainer([
        ...bindings,
        bind(Agent, agent),
        bind(HostControl, lifecycle.control),
        bind(HostClock, clock),
        bindPerPlugin(PluginJournal, (plugin) => journal.section(`plugin/${plugin}`)),
      ]),
      events,
      health,
      clock,
      log,
      random,
      taskPolicy: options.taskPolicy ?? defaultTaskPolicy,
      deadlines: options.deadlines ?? defaultDeadlines,
      points: [SealTokenSource, JoinCredentialSource, AgentArguments],
      onFailed: (error) => lifecycle.fail(error),
    });
    life.use('plugins', catalog);
    return lifecycle.run({ catalog, agent, chain, journal: own });
  }

  function listenForSignals(life: Lifetime): void {
    const source: SignalSource | undefined = 'signals' in options ? options.signals : process;
    if (!source) return;
    for (const name of ['SIGTERM', 'SIGINT'] as const) {
      const listener = () => lifecycle.stop(name);
      source.on(name, listener);
      life.defer(`listener of ${name}`, () => void source.off(name, listener));
    }
  }

  return { events, run, stop: (by) => lifecycle.stop(by), health: () => health.read() };
}

/** What only the operator can mend: no rights, a file in the way, a read-only disk. */
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
