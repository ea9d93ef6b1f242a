import type { Backoff, Clock, Journal, Log } from '#base';
import type { ChainReader } from '#domain';
import type { AgentSupervisor } from '#plugin';
import type { AgentStarts } from './agent-starts.ts';
import type { Catalog } from './catalog.ts';
import type { HostEventBus } from './events.ts';
import type { HealthRegistry } from './health.ts';
import type { HostEnd } from './host-end.ts';
import type { Phases } from './phases.ts';
import type { Questions } from './questions.ts';

export interface LifecycleSettings {
  readonly nodeId: string;
  readonly stateDir: string;
  /** From the end of preflight until the agent is Ready; then the host ends with exit code 75. */
  readonly joinDeadlineMs: number;
  /**
   * An unreachable chain or gateway does not keep a node down that has joined before: after this time its agent starts on
   * its certificates, and the host goes on asking.
   */
  readonly joinPatienceMs: number;
  /** Which machine this is; undefined when it is unknown. */
  readonly machineId: string | undefined;
  /** Which boot of it; undefined when it is unknown. */
  readonly bootId: string | undefined;
  /** How long an orderly stop may take before the host exits without it. */
  readonly drainDeadlineMs: number;
  readonly retry: Backoff;
  /** The operator asked for another stake: the latch does not stop this host, it falls when the new stake stands. */
  readonly mayStakeAgain: boolean;
}

export interface LifecycleParts {
  readonly settings: LifecycleSettings;
  readonly events: HostEventBus;
  /** While a plugin is not ready, a joined host is degraded. */
  readonly health: Pick<HealthRegistry, 'notReady'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** What a restart on the certificates of the last join needs. */
export interface ResumeServices {
  readonly agent: AgentSupervisor;
  /** The host's own section. */
  readonly journal: Journal;
}

/** Services available once chain, wallet and plugins are loaded. */
export interface LifecycleServices extends ResumeServices {
  readonly catalog: Catalog;
  readonly chain: Pick<ChainReader, 'liveRecordOf'>;
}

/** What every part of the life cycle works with. */
export interface LifeContext extends LifecycleParts {
  readonly end: HostEnd;
  readonly phases: Phases;
  readonly questions: Questions;
}

export interface NodeContext extends LifeContext, LifecycleServices {
  readonly starts: AgentStarts;
}
