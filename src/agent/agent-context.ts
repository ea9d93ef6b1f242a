import { join } from 'node:path';
import { type Clock, ConfigurationError, DaasError, type Journal, type Log, messageOf } from '#base';
import type { AgentState, HostEvents } from '#plugin';
import { type AgentPlan, readPlan } from './agent-plan.ts';
import type { AgentSettings } from './settings.ts';
import { openTokenFile, type TokenFile } from './token-file.ts';

/** The events of the supervisor; the host passes them on as `HostEvents`. */
export type AgentEvents = Pick<
  HostEvents,
  'agent.started' | 'agent.ready' | 'agent.refused' | 'agent.exited' | 'agent.stopped' | 'agent.state.changed'
>;

export interface SupervisorOptions {
  readonly settings: AgentSettings;
  readonly nodeId: string;
  /** A section of its own. It holds the server's address, its CA hash and the child's pid; never a secret. */
  readonly journal: Journal;
  /** k3s inherits a cleaned copy. Settings of k3s in it that belong to this program are rejected. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** From 0 up to 1; jitter of restarts. */
  readonly random: () => number;
  readonly log: Log;
  readonly emit: <E extends keyof AgentEvents>(event: E, fact: AgentEvents[E]) => void;
  /** Asked before each start of k3s, with the server that it will use and the CA hash of its token. A throw ends the agent. */
  readonly checkServer?: (
    server: { readonly url: string; readonly caHash: string },
    signal: AbortSignal,
  ) => Promise<void>;
  /** How often readiness is probed while the agent starts. */
  readonly probeIntervalMs?: number;
}

/** What all steps of the supervision share: the options, the agent's state, and what is read once and kept. */
export class AgentContext {
  readonly options: SupervisorOptions;
  #state: AgentState = { kind: 'idle' };
  #plan: AgentPlan | undefined;
  #tokenFile: TokenFile | undefined;
  #hurry = Promise.withResolvers<void>();

  constructor(options: SupervisorOptions) {
    this.options = options;
  }

  get state(): AgentState {
    return this.#state;
  }

  /** The pid of the process that runs now. */
  get pid(): number | undefined {
    return 'pid' in this.#state ? this.#state.pid : undefined;
  }

  enter(state: AgentState): void {
    const from = this.#state.kind;
    this.#state = state;
    if (from !== state.kind) this.options.emit('agent.state.changed', { from, to: state.kind });
  }

  /** Resolves when the stop in progress must not wait for its SIGTERM any longer. */
  get hurried(): Promise<void> {
    return this.#hurry.promise;
  }

  hurry(): void {
    this.#hurry.resolve();
  }

  /** The next stop waits again. */
  unhurry(): void {
    this.#hurry = Promise.withResolvers();
  }

  keepPlan(plan: AgentPlan): void {
    this.#plan = plan;
  }

  /** Where k3s keeps its data, or its default before the settings were read. */
  get dataDir(): string {
    return this.#plan?.dataDir ?? '/var/lib/rancher/k3s';
  }

  async plan(): Promise<AgentPlan> {
    const { settings, env, nodeId } = this.options;
    this.#plan ??= await readPlan(settings, env, nodeId);
    return this.#plan;
  }

  /** Also when the settings have become unreadable since the last start: a lock-out must not fail for that. */
  async containerdAddress(): Promise<string> {
    const { settings, journal } = this.options;
    try {
      return (await this.plan()).containerdAddress;
    } catch (error) {
      const address = settings.containerdAddress ?? journal.read('containerd-address');
      if (typeof address !== 'string') throw error;
      return address;
    }
  }

  /** By node id, so that two hosts on one machine do not share it. */
  get tokenPath(): string {
    const { settings, nodeId } = this.options;
    return join(settings.runtimeDir, nodeId, 'join-token');
  }

  async tokenFile(): Promise<TokenFile> {
    const { log, settings } = this.options;
    try {
      this.#tokenFile ??= await openTokenFile(this.tokenPath, log);
      return this.#tokenFile;
    } catch (cause) {
      if (cause instanceof DaasError) throw cause;
      // The exit code is that of the cause: a full tmpfs is temporary.
      throw new ConfigurationError(
        'DAAS_AGENT_NO_RIGHTS',
        `the runtime directory ${settings.runtimeDir} (agent.runtimeDir) cannot be used: ${messageOf(cause)}`,
        { cause },
      );
    }
  }
}
