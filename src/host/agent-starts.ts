import { isDeepStrictEqual } from 'node:util';
import type { Clock, Journal, Log } from '#base';
import type { AgentStart, AgentSupervisor, Registration } from '#plugin';
import type { HostEnd } from './host-end.ts';
import { type JoinedBefore, startOf, writeJoin } from './joined-before.ts';
import type { LifecycleSettings } from './life-context.ts';

interface AgentStartParts {
  readonly settings: Pick<LifecycleSettings, 'machineId' | 'nodeId' | 'bootId'>;
  readonly agent: AgentSupervisor;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Log;
  readonly end: HostEnd;
  /** What the plugins add to the arguments of k3s. */
  readonly addedArguments: () => Promise<readonly string[]>;
  /** The stake record that the node runs on; undefined before any is known. */
  readonly recordId: () => string | undefined;
}

/** The starts of the agent. A later start replaces an earlier one, which then changes nothing any more, however it ends. */
export class AgentStarts {
  readonly #parts: AgentStartParts;
  readonly #ready = Promise.withResolvers<void>();
  #count = 0;
  /** A join credential that came while the agent did not need one. */
  #spare: Registration | undefined;

  constructor(parts: AgentStartParts) {
    this.#parts = parts;
  }

  /** Resolves when the agent was Ready for the first time. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Starts the agent, or restarts it. Resolves when it is Ready or replaced; never rejects: a failure ends the host. */
  async start(request: Omit<AgentStart, 'arguments'>, known?: readonly string[]): Promise<void> {
    const { agent, end } = this.#parts;
    this.#count += 1;
    const own = this.#count;
    const isReplaced = () => own !== this.#count;
    try {
      const added = known ?? (await this.#parts.addedArguments());
      if (isReplaced()) return;
      const { join, nodeLabels, taints } = request;
      await agent.start({ join, nodeLabels, taints, arguments: added }, end.signal);
      if (isReplaced() || end.signal.aborted) return;
      await this.#rememberJoin({ nodeLabels, taints, arguments: added });
      this.#ready.resolve();
      void agent.failed().then((error) => isReplaced() || end.fail(error));
    } catch (error) {
      if (!isReplaced()) end.fail(error);
    }
  }

  /** Restarts the agent if the plugins add other arguments now than at the last join, with which it was started. */
  async refresh(joined: JoinedBefore): Promise<void> {
    const { end, log } = this.#parts;
    const own = this.#count;
    try {
      const added = await this.#parts.addedArguments();
      if (own !== this.#count || end.signal.aborted || isDeepStrictEqual(added, joined.arguments)) return;
      log.info('The plugins add other arguments than at the last join: the agent restarts with them');
      await this.start(startOf(joined));
    } catch (error) {
      if (own === this.#count) end.fail(error);
    }
  }

  /**
   * Restarts the agent with a new join credential only if it needs one, and keeps the credential otherwise: without this,
   * every gateway restart or network failure would restart every agent of the cluster. Whether the agent was restarted.
   */
  async useOrKeep(registration: Registration): Promise<boolean> {
    const { agent, end, log } = this.#parts;
    if (!registration.join) return false;
    this.#spare = registration;
    if ((await agent.needsCredential(end.signal)) && !end.signal.aborted) return this.#useSpare();
    log.info('The agent needs no join credential: the new one is kept');
    return false;
  }

  /** A kept credential that has not expired. */
  get hasSpare(): boolean {
    const { expiresAtMs = 0 } = this.#spare?.join ?? {};
    return expiresAtMs > this.#parts.clock.nowMs();
  }

  /** Restarts the agent with the kept credential, if it needs one. Whether it was restarted. */
  async useSpareIfNeeded(): Promise<boolean> {
    const { agent, end } = this.#parts;
    return (await agent.needsCredential(end.signal)) && this.#useSpare();
  }

  #useSpare(): boolean {
    const spare = this.#spare;
    this.#spare = undefined;
    if (!spare) return false;
    void this.start(spare);
    return true;
  }

  async #rememberJoin(join: Pick<JoinedBefore, 'nodeLabels' | 'taints' | 'arguments'>): Promise<void> {
    const recordId = this.#parts.recordId();
    if (recordId === undefined) return;
    const { machineId, nodeId, bootId } = this.#parts.settings;
    await writeJoin(this.#parts.journal, { recordId, machineId, nodeId, bootId, ...join });
  }
}
