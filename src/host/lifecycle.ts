import { isDeepStrictEqual } from 'node:util';
import type { ErrorCode } from '#base';
import {
  type Backoff,
  backoffDelayMs,
  type Clock,
  DaasError,
  EXIT,
  type ExitCode,
  errorFields,
  type Journal,
  type Log,
  messageOf,
} from '#base';
import type { ChainReader, StopCause } from '#domain';
import {
  AgentArguments,
  type AgentSupervisor,
  type Health,
  type HostControl,
  type HostPhase,
  JoinCredentialSource,
  type NodeEnding,
  type Registration,
  type SealedStake,
  SealTokenSource,
} from '#plugin';
import type { Catalog } from './catalog.ts';
import { factsOf } from './errors.ts';
import type { HostEventBus } from './events.ts';
import type { HealthRegistry } from './health.ts';
import { type Latch, latchPath, readLatch, removeLatch, writeLatch } from './latch.ts';

interface LifecycleSettings {
  readonly nodeId: string;
  readonly stateDir: string;
  /** From the end of preflight until the agent is Ready; then exit 75. */
  readonly joinDeadlineMs: number;
  /**
   * A node that has joined before is not kept down by a chain or a gateway that does not answer: after this long its agent
   * starts on the certificates it has, and the host goes on asking.
   */
  readonly joinPatienceMs: number;
  /** Which machine this is; undefined when that cannot be told, or is not asked. */
  readonly machineId: string | undefined;
  /** How long stopping may take before the host ends without knowing that all is undone. */
  readonly drainDeadlineMs: number;
  readonly retry: Backoff;
  /** The latch does not stop a host whose operator wants another stake made; it holds until that one stands. */
  readonly mayStakeAgain: boolean;
}

export interface LifecycleParts {
  readonly settings: LifecycleSettings;
  readonly events: HostEventBus;
  /** What the plugins say of themselves: while one is not ready, a joined host is degraded. */
  readonly health: Pick<HealthRegistry, 'notReady'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
}

/** What an agent is started again with where it joined last. */
export interface ResumeServices {
  readonly agent: AgentSupervisor;
  readonly journal: Journal;
}

/** What the life of a host is lived with, once it is configured. */
export interface LifecycleServices extends ResumeServices {
  readonly catalog: Catalog;
  readonly chain: Pick<ChainReader, 'liveRecordOf'>;
}

export interface HostOutcome {
  readonly exitCode: ExitCode;
  /** What ended it; absent when it was asked to stop. */
  readonly error: Error | undefined;
}

type Ending =
  | { readonly kind: 'asked'; readonly by: string }
  | StopCause
  | { readonly kind: 'failed'; readonly error: Error };

/** How often the checks of the plugins are asked once the node has joined. */
const healthIntervalMs = 1_000;
/** How often a node that the server refuses, and that got no fresh credential, registers again. */
const recoveryPauseMs = 10_000;
/** An unreadable chain does not unlatch: so many looks, then the latch holds. */
const latchLooks = 3;

/**
 * The life of a host: `configure → preflight → stake → seal → register → run ⇄ degraded → drain → stop`. It knows the
 * extension points and the agent's supervisor; what staking or registering is, the plugins know.
 *
 * The first cause to end counts, whatever comes after.
 */
export class Lifecycle {
  readonly #parts: LifecycleParts;
  readonly #ended = Promise.withResolvers<Ending>();
  readonly #life = new AbortController();
  readonly #hurry = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #degraded = new Map<string, string>();
  #ending: Ending | undefined;
  #latch: Latch | undefined;
  #phase: HostPhase = 'configure';
  #services: LifecycleServices | undefined;
  #stake: SealedStake | undefined;
  #renewal: Promise<boolean> | undefined;
  /** A credential that came while the agent could do without. */
  #spare: Registration | undefined;
  #isRecovering = false;
  #stopsAsked = 0;
  #starts = 0;
  /** The join on whose certificates the agent was started before anything else was there. */
  #resumed: JoinedBefore | undefined;
  #lastProblem: unknown;
  /** What is asked now and was not answered yet. */
  #asking: string | undefined;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
  }

  /** Aborts as soon as the host is to end. */
  get signal(): AbortSignal {
    return this.#life.signal;
  }

  /** It ends because it was asked to, and for no other reason. */
  get wasAsked(): boolean {
    return this.#ending?.kind === 'asked';
  }

  /** What plugins may ask of the host. */
  readonly control: HostControl = {
    stop: (ending) => this.#stopNode(ending),
    reregister: (reason) => this.#reregister(reason),
  };

  /**
   * Asked to stop: the first time everything is undone in order, the second time without waiting for it. A first time that
   * finds the host ending for another reason is still a first time.
   */
  stop(by: string): void {
    this.#stopsAsked += 1;
    if (this.#stopsAsked > 1) this.#hurry.resolve();
    this.#end({ kind: 'asked', by });
  }

  fail(error: unknown): void {
    this.#end({ kind: 'failed', error: error instanceof Error ? error : new Error(String(error)) });
  }

  enter(phase: HostPhase, detail?: string): void {
    this.#phase = phase;
    this.#parts.events.emit('phase.entered', detail === undefined ? { phase } : { phase, detail });
  }

  health(): Health {
    const isUp = this.#phase === 'run' || this.#phase === 'degraded';
    const reasons = [...this.#degraded].map(([source, detail]) => `${source}: ${detail}`);
    return {
      live: this.#ending === undefined,
      ready: isUp,
      detail: [this.#phase, ...reasons].join('; '),
    };
  }

  /**
   * Where the last join was made its agent starts at once: before chain, wallet and plugins are loaded, with chain and
   * gateway asked beside it. They, and the latch, said at the last life's end that it may. A copy of the state directory on
   * another machine waits for their answer, for it would run beside the original before anything could object.
   */
  async resume(services: ResumeServices): Promise<void> {
    const joined = joinedBefore(services.journal);
    if (!joined?.arguments || !this.#isHomeOf(joined)) return;
    if (await readLatch(this.#parts.settings.stateDir)) return;
    this.signal.throwIfAborted();
    this.enter('preflight');
    await services.agent.preflight(this.signal);
    this.#resumed = joined;
    const isStarted = Promise.withResolvers<void>();
    const stopListening = this.#parts.events.on('agent.started', () => isStarted.resolve());
    // What is loaded next keeps the thread busy: the process is there first.
    await Promise.race([
      this.#startAgent({ join: undefined, ...joined }, services, joined.arguments),
      isStarted.promise,
      aborted(this.signal),
    ]);
    stopListening();
  }

  /** Lives until something ends it, undoes what was done, and says how it ended. Never rejects. */
  async run(services: LifecycleServices): Promise<HostOutcome> {
    this.#services = services;
    const stopListening = this.#parts.events.on('agent.refused', ({ reason, hadJoinCredential }) => {
      void this.#recover(reason, hadJoinCredential);
    });
    const living = this.#live(services).catch((error: unknown) => this.fail(error));
    const ending = await this.#ended.promise;
    stopListening();
    const isUndone = await this.#windDown(ending, services, living);
    return outcomeOf(ending, isUndone);
  }

  async #live({ catalog, agent, journal }: LifecycleServices): Promise<void> {
    const { settings, clock } = this.#parts;
    this.signal.throwIfAborted();
    if (!this.#resumed) {
      this.enter('preflight');
      await this.#refuseLatched();
      await agent.preflight(this.signal);
    }
    catalog.start();

    const joined = this.#resumed ?? joinedBefore(journal);
    const isResumed = joined !== undefined && this.#isHomeOf(joined);
    if (this.#resumed) void this.#refreshArguments(this.#resumed);
    else if (isResumed) void this.#startAgent({ join: undefined, ...joined });
    const registering = this.#register();
    registering.catch(() => undefined);
    // Whoever wants to register again meanwhile gets its answer: two at once would revoke each other's credential.
    this.#renewal = registering
      .then(({ join }) => join !== undefined)
      .catch(() => false)
      .finally(() => {
        this.#renewal = undefined;
      });
    const stopWatching = this.#watchJoinDeadline();
    const first = joined
      ? await Promise.race([registering, clock.sleep(settings.joinPatienceMs, this.signal)])
      : await registering;
    if (first && isResumed && isSameNode(first, joined)) {
      await this.#registerLate(registering);
    } else if (first) {
      void this.#startAgent(first);
    } else if (joined) {
      const detail =
        'starting on the certificates of an earlier join: the chain or the gateway does not answer';
      this.#degrade('registration', detail);
      this.#parts.log.warn('Starting without a registration', { ...this.#problemFields() });
      if (!isResumed) void this.#startAgent({ join: undefined, ...joined });
      void this.#registerLate(registering);
    }
    await Promise.race([this.#ready.promise, aborted(this.signal)]);
    stopWatching();
    await this.#followHealth();
  }

  #isHomeOf({ machineId, nodeId }: JoinedBefore): boolean {
    const { settings } = this.#parts;
    return machineId !== undefined && machineId === settings.machineId && nodeId === settings.nodeId;
  }

  /** What plugins add to the agent's words may have changed since they were written down: it is then started with these. */
  async #refreshArguments(joined: JoinedBefore): Promise<void> {
    const own = this.#starts;
    try {
      const added = await this.#addedArguments();
      if (own !== this.#starts || this.signal.aborted || isDeepStrictEqual(added, joined.arguments)) return;
      this.#parts.log.info(
        'The plugins add other arguments than at the last join: the agent is started with them',
      );
      await this.#startAgent({ join: undefined, ...joined });
    } catch (error) {
      if (own === this.#starts) this.fail(error);
    }
  }

  async #addedArguments(): Promise<readonly string[]> {
    const added: string[] = [];
    for (const source of this.#expectServices().catalog.all(AgentArguments))
      added.push(...(await source.agentArguments()));
    return added;
  }

  /** From the question what stands already to the gateway's answer. */
  async #register(): Promise<Registration> {
    const { catalog } = this.#expectServices();
    const tokens = catalog.one(SealTokenSource);
    const credentials = catalog.one(JoinCredentialSource);
    const standing = await this.#untilAnswered('find', () => tokens.find(this.signal));
    if (!standing) await this.#untilAnswered('preflight', () => credentials.preflight(this.signal));
    const stake = await this.#untilAnswered('stake', () =>
      tokens.obtain((phase) => this.#enterJoining(phase), this.signal),
    );
    await this.#liftLatch(stake.recordId);
    this.#stake = stake;
    this.#enterJoining('register');
    return this.#untilAnswered('register', () => credentials.register(stake, this.signal));
  }

  /** An agent that runs on the certificates of an earlier join stays in its phase while the host catches up. */
  #enterJoining(phase: 'stake' | 'seal' | 'register'): void {
    if (this.#phase !== 'run' && this.#phase !== 'degraded') this.enter(phase);
  }

  async #registerLate(registering: Promise<Registration>): Promise<void> {
    try {
      const registration = await registering;
      this.#degrade('registration', undefined);
      await this.#useOrKeep(registration);
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * An agent that gets on is never restarted because a credential came: a gateway that was away, or a cut of the network,
   * would restart every agent of the cluster. Whether the agent was started with it.
   */
  async #useOrKeep(registration: Registration): Promise<boolean> {
    const { agent } = this.#expectServices();
    if (!registration.join) return false;
    this.#spare = registration;
    if (!(await agent.needsCredential(this.signal)) || this.signal.aborted) {
      this.#parts.log.info('The agent needs no join credential: the new one is kept');
      return false;
    }
    return this.#useSpare();
  }

  #useSpare(): boolean {
    const spare = this.#spare;
    this.#spare = undefined;
    if (!spare) return false;
    void this.#startAgent(spare);
    return true;
  }

  #hasSpare(): boolean {
    const { expiresAtMs = 0 } = this.#spare?.join ?? {};
    return expiresAtMs > this.#parts.clock.nowMs();
  }

  /** Asks again, after growing delays, as long as the failure is one that may pass and nothing has ended the host. */
  async #untilAnswered<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const { settings, clock, log, random } = this.#parts;
    for (let attempt = 0; ; attempt += 1) {
      try {
        this.#asking = what;
        const answer = await ask();
        this.#asking = undefined;
        this.#lastProblem = undefined;
        return answer;
      } catch (error) {
        if (this.signal.aborted || !factsOf(error).isRetryable) throw error;
        this.#lastProblem = error;
        const delayMs = Math.max(backoffDelayMs(attempt, settings.retry, random), askedDelayMs(error));
        log.warn('Not possible yet, will try again', { step: what, attempt, delayMs, ...errorFields(error) });
        await clock.sleep(delayMs, this.signal);
      }
    }
  }

  #watchJoinDeadline(): () => void {
    const { settings, clock } = this.#parts;
    const done = new AbortController();
    const late = clock.sleep(settings.joinDeadlineMs, AbortSignal.any([done.signal, this.signal]));
    late.then(
      () => this.fail(joinDeadlineError(settings.joinDeadlineMs, this.#lastProblem, this.#asking)),
      () => undefined,
    );
    return () => done.abort();
  }

  /**
   * Starts the agent, or restarts it with what a later registration brought. A start that a later one replaced says nothing
   * any more, whichever way it ends.
   */
  async #startAgent(
    request: Pick<Registration, 'join' | 'nodeLabels' | 'taints'>,
    { agent, journal }: ResumeServices = this.#expectServices(),
    known?: readonly string[],
  ): Promise<void> {
    this.#starts += 1;
    const own = this.#starts;
    try {
      const added = known ?? (await this.#addedArguments());
      if (own !== this.#starts) return;
      const { join, nodeLabels, taints } = request;
      await agent.start({ join, nodeLabels, taints, arguments: added }, this.signal);
      if (own !== this.#starts || this.signal.aborted) return;
      await this.#rememberJoin(journal, { nodeLabels, taints, arguments: added });
      this.#ready.resolve();
      void agent.failed().then((error) => own === this.#starts && this.fail(error));
    } catch (error) {
      if (own === this.#starts) this.fail(error);
    }
  }

  #reregister(reason: string): void {
    if (this.#stake && !this.#ending) void this.#renewOnce(reason);
  }

  /** One at a time: whoever asks while one is under way gets its answer. */
  #renewOnce(reason: string): Promise<boolean> {
    this.#renewal ??= this.#renew(reason).finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  /** Whether the agent was started with a fresh join credential. */
  async #renew(reason: string): Promise<boolean> {
    const known = this.#stake;
    const { catalog } = this.#expectServices();
    if (!known) return false;
    this.#parts.log.info('Registering again', { reason });
    try {
      const registration = await this.#untilAnswered('register', async () => {
        if (this.#lastProblem) this.#degrade('registration', messageOf(this.#lastProblem));
        const stake = await this.#currentStake(known);
        return catalog.one(JoinCredentialSource).register(stake, this.signal);
      });
      this.#degrade('registration', undefined);
      return await this.#useOrKeep(registration);
    } catch (error) {
      if (this.signal.aborted) return false;
      // The agent runs on: what the chain says of the stake decides about the end, not a gateway's refusal.
      this.#degrade('registration', messageOf(error));
      this.#parts.log.warn('Registering again was refused', { reason, ...errorFields(error) });
      return false;
    }
  }

  /** The token may have been replaced by its owner since; a chain that cannot be read changes nothing. */
  async #currentStake(known: SealedStake): Promise<SealedStake> {
    try {
      const standing = await this.#expectServices().catalog.one(SealTokenSource).find(this.signal);
      this.#stake = standing ?? known;
    } catch (error) {
      if (!factsOf(error).isRetryable) throw error;
    }
    return this.#stake ?? known;
  }

  /** The server refuses the agent, which would go on asking for ever: a credential is the way out, kept or fresh. */
  async #recover(reason: string, hadJoinCredential: boolean): Promise<void> {
    if (this.#isRecovering) return;
    this.#isRecovering = true;
    const pause = () => this.#parts.clock.sleep(recoveryPauseMs, this.signal).catch(() => undefined);
    try {
      // A credential just made may not be known everywhere yet: asking for another at once would revoke it.
      if (hadJoinCredential) await pause();
      while (!this.#ending && this.#stake && this.#services?.agent.state().kind !== 'ready') {
        if (await this.#startOnCredential(reason)) return;
        await pause();
      }
    } finally {
      this.#isRecovering = false;
    }
  }

  async #startOnCredential(reason: string): Promise<boolean> {
    const { agent } = this.#expectServices();
    if (!this.#hasSpare()) return this.#renewOnce(`the server refuses the agent: ${reason}`);
    return (await agent.needsCredential(this.signal)) && this.#useSpare();
  }

  #degrade(source: string, detail: string | undefined): void {
    if (detail === undefined) this.#degraded.delete(source);
    else this.#degraded.set(source, detail);
    if (this.#phase === 'run' || this.#phase === 'degraded') this.#showWellness();
  }

  /** `run` and `degraded` follow what the plugins say of themselves, until the host ends. */
  async #followHealth(): Promise<void> {
    while (!this.signal.aborted) {
      this.#showWellness();
      await this.#parts.clock.sleep(healthIntervalMs, this.signal).catch(() => undefined);
    }
  }

  #showWellness(): void {
    if (this.#ending) return;
    const reasons = [...this.#degraded, ...this.#parts.health.notReady()]
      .filter(([source]) => source !== 'host')
      .map(([source, detail]) => `${source}: ${detail}`);
    const phase = reasons.length > 0 ? 'degraded' : 'run';
    if (phase !== this.#phase) this.enter(phase, reasons.length > 0 ? reasons.join('; ') : undefined);
  }

  #stopNode({ cause, status, source }: NodeEnding): void {
    const { recordId } = cause;
    const { events } = this.#parts;
    if (cause.kind === 'slashed') events.emit('stake.slashed', { recordId, source });
    else events.emit('stake.ended', { recordId, status, source });
    this.#end(cause);
  }

  #end(ending: Ending): void {
    if (this.#ending) return;
    this.#ending = ending;
    this.#ended.resolve(ending);
    this.#life.abort(new DaasError('DAAS_HOST_STOPPING', 'the host is stopping'));
  }

  /** Whether everything was undone. */
  async #windDown(ending: Ending, services: LifecycleServices, living: Promise<void>): Promise<boolean> {
    switch (ending.kind) {
      case 'slashed':
      case 'ended':
        return this.#lockOut(ending, services);
      case 'asked':
        return this.#stopOrderly(ending, services, living);
      case 'failed': {
        const isUndone = await this.#stopOrderly(ending, services, living);
        return isLockedOut(ending.error) ? this.#clearOut(services) : isUndone;
      }
      default:
        return ending satisfies never;
    }
  }

  /** Nothing of this node runs on, nor starts again on an earlier join. Whether the agent and its pods are gone. */
  async #clearOut({ agent, journal }: LifecycleServices): Promise<boolean> {
    let isGone = false;
    for (let round = 0; round < 3 && !isGone; round += 1)
      isGone = await this.#attempt('agent', () => agent.stopForGood());
    await this.#attempt('journal', () => journal.remove(joinedKey));
    return isGone;
  }

  /** A step of a lock-out, which goes on without it. */
  async #attempt(what: string, act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      return true;
    } catch (error) {
      this.#parts.log.error('A step of the lock-out failed', { step: what, ...errorFields(error) });
      return false;
    }
  }

  async #stopOrderly(
    ending: Extract<Ending, { kind: 'asked' | 'failed' }>,
    { agent, catalog }: LifecycleServices,
    living: Promise<void>,
  ): Promise<boolean> {
    const { settings, clock, log } = this.#parts;
    this.enter('drain', ending.kind === 'asked' ? ending.by : messageOf(ending.error));
    // Both at once: an agent that takes its time does not keep the plugins busy.
    const work = Promise.all([agent.stop(), catalog.drain(), living]).then(
      () => 'done' as const,
      (error: unknown) => {
        log.error('Stopping failed', errorFields(error));
        return 'failed' as const;
      },
    );
    const done = new AbortController();
    const how = await Promise.race([
      work,
      clock.sleep(settings.drainDeadlineMs, done.signal).then(() => 'late' as const),
      this.#hurry.promise.then(() => 'hurried' as const),
    ]);
    done.abort();
    if (how === 'late' || how === 'hurried') {
      log.warn('Ending before everything is undone', { reason: how, agentState: agent.state().kind });
      // An agent without its host would be nobody's: it is killed, and that it is gone is waited for when it is disposed of.
      void agent.stop({ atOnce: true }).catch(() => undefined);
    }
    this.enter('stop');
    return how === 'done';
  }

  /**
   * No way back in: the latch first, so that a host killed while it kills is still kept out, then agent, pods and
   * credential. A second SIGTERM does not shorten this: half of it would leave k3s running.
   */
  async #lockOut(cause: StopCause, services: LifecycleServices): Promise<boolean> {
    const { settings, clock } = this.#parts;
    this.enter('drain', cause.detail);
    const latch: Latch | undefined =
      cause.kind === 'slashed'
        ? {
            recordId: cause.recordId,
            nodeId: settings.nodeId,
            detail: cause.detail,
            atMs: clock.nowMs(),
            isComplete: false,
          }
        : undefined;
    // A disk that refuses the latch must not keep the agent alive.
    if (latch && (await this.#attempt('latch', () => writeLatch(settings.stateDir, latch))))
      this.#parts.events.emit('latch.written', { recordId: cause.recordId });
    const isGone = await this.#clearOut(services);
    if (latch)
      await this.#attempt('latch', () => writeLatch(settings.stateDir, { ...latch, isComplete: isGone }));
    this.enter('stop');
    return isGone;
  }

  async #refuseLatched(): Promise<void> {
    const { settings, log } = this.#parts;
    const { agent, journal } = this.#expectServices();
    const latch = await readLatch(settings.stateDir);
    if (!latch) return;
    if (!latch.isComplete) {
      // Stops what an earlier life left running; its failure (no binary, say) changes nothing about the latch.
      await agent
        .preflight(this.signal)
        .catch((error: unknown) => log.warn('Preflight failed', errorFields(error)));
      await agent.stopForGood();
      await writeLatch(settings.stateDir, { ...latch, isComplete: true });
    }
    this.#latch = latch;
    // An earlier life may have been killed before it forgot the join: no silence of the chain starts an agent on it.
    await journal.remove(joinedKey);
    if (settings.mayStakeAgain) {
      log.warn('Latched, but another stake may be made', { latchedRecordId: latch.recordId });
      return;
    }
    // It is lifted when that record has turned out to be this wallet's: a stranger's under the same name changes nothing.
    if (!isAnother(await this.#liveRecord(), latch)) throw latchedError(latch, settings.stateDir);
  }

  /** Throws `DAAS_LATCHED` when the record is the one that the latch names. */
  async #liftLatch(recordId: string): Promise<void> {
    const latch = this.#latch;
    if (!latch) return;
    const { stateDir } = this.#parts.settings;
    if (!isAnother(recordId, latch)) throw latchedError(latch, stateDir);
    this.#parts.log.info('The latch is lifted: another record stands for this node', {
      latchedRecordId: latch.recordId,
      recordId,
    });
    await removeLatch(stateDir);
    this.#latch = undefined;
  }

  async #liveRecord(): Promise<string | undefined> {
    const { settings, clock, random, log } = this.#parts;
    for (let look = 0; look < latchLooks; look += 1) {
      try {
        return await this.#expectServices().chain.liveRecordOf(settings.nodeId, this.signal);
      } catch (error) {
        this.signal.throwIfAborted();
        log.warn('Cannot read whether another record stands', errorFields(error));
        await clock.sleep(backoffDelayMs(look, settings.retry, random), this.signal);
      }
    }
    return undefined;
  }

  async #rememberJoin(
    journal: Journal,
    join: Pick<JoinedBefore, 'nodeLabels' | 'taints' | 'arguments'>,
  ): Promise<void> {
    // Started on old certificates before the chain answered: the record is the one that the journal knows.
    const recordId = this.#stake?.recordId ?? joinedBefore(journal)?.recordId;
    if (recordId === undefined) return;
    const { machineId, nodeId } = this.#parts.settings;
    await journal.write(joinedKey, { recordId, machineId, nodeId, ...join });
  }

  #problemFields(): Readonly<Record<string, unknown>> {
    return this.#lastProblem === undefined ? {} : errorFields(this.#lastProblem);
  }

  #expectServices(): LifecycleServices {
    if (!this.#services) throw new Error('the life cycle has not begun');
    return this.#services;
  }
}

const joinedKey = 'joined';

/** What the last successful join of this directory was made with. */
interface JoinedBefore {
  readonly recordId: string;
  readonly machineId: string | undefined;
  readonly nodeId: string | undefined;
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly taints: readonly string[];
  /** What plugins added to the agent's words; undefined: not written down. */
  readonly arguments: readonly string[] | undefined;
}

function joinedBefore(journal: Journal): JoinedBefore | undefined {
  const value = journal.read(joinedKey) as Partial<JoinedBefore> | undefined;
  if (typeof value?.recordId !== 'string') return undefined;
  const { recordId, machineId, nodeId, nodeLabels = {}, taints = [], arguments: added } = value;
  return { recordId, machineId, nodeId, nodeLabels, taints, arguments: added };
}

/** Whether the gateway wants the Node as it was at the last join. */
function isSameNode(now: Pick<Registration, 'nodeLabels' | 'taints'>, before: JoinedBefore): boolean {
  return isDeepStrictEqual(now.nodeLabels, before.nodeLabels) && isDeepStrictEqual(now.taints, before.taints);
}

/** Refused for good at its start. A latched host has been cleared out when it was locked out. */
function isLockedOut(error: unknown): boolean {
  const { code, exitCode } = factsOf(error);
  return exitCode === EXIT.lockedOut && code !== 'DAAS_LATCHED';
}

/** A damaged latch names no record, and so there is no other. */
function isAnother(recordId: string | undefined, latch: Latch): boolean {
  return recordId !== undefined && latch.recordId !== undefined && latch.recordId !== recordId;
}

function latchedError(latch: Latch, stateDir: string): DaasError {
  return new DaasError(
    'DAAS_LATCHED',
    `this host is locked out: stake record ${latch.recordId ?? '(unknown)'} of node '${latch.nodeId}' (${latch.detail}). ` +
      'It can join again once another stake record stands for this node: stake anew with `k3s-daas stake`; ' +
      `a banned node also needs the cluster's operator. The latch is ${latchPath(stateDir)}`,
    { exitCode: EXIT.lockedOut, details: { recordId: latch.recordId, atMs: latch.atMs } },
  );
}

/** Whoever refuses for now may say for how long (HTTP's Retry-After); nobody is waited for longer than five minutes. */
function askedDelayMs(error: unknown): number {
  const { retryAfterMs } = factsOf(error).details;
  return typeof retryAfterMs === 'number' && retryAfterMs > 0 ? Math.min(retryAfterMs, 300_000) : 0;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function joinDeadlineError(
  joinDeadlineMs: number,
  lastProblem: unknown,
  asking: string | undefined,
): DaasError {
  const unanswered =
    asking === undefined
      ? 'the agent did not become Ready'
      : `the step '${asking}' got no answer from the chain or the gateway`;
  const why = lastProblem === undefined ? unanswered : messageOf(lastProblem);
  return new DaasError(
    'DAAS_JOIN_DEADLINE',
    `this node could not join within ${joinDeadlineMs} ms (join.deadlineMs): ${why}`,
    {
      exitCode: EXIT.joinDeadline,
      details: {
        joinDeadlineMs,
        lastCode: lastProblem === undefined ? undefined : factsOf(lastProblem).code,
      },
    },
  );
}

function outcomeOf(ending: Ending, isUndone: boolean): HostOutcome {
  switch (ending.kind) {
    case 'asked':
      return { exitCode: isUndone ? EXIT.ok : EXIT.unexpected, error: undefined };
    case 'slashed':
      return lockedOut(
        ending,
        'DAAS_STAKE_SLASHED',
        `this host is locked out: stake record ${ending.recordId} (${ending.detail})`,
      );
    case 'ended':
      return lockedOut(ending, 'DAAS_STAKE_ENDED', `this node is out: ${ending.detail}`);
    case 'failed':
      return { exitCode: factsOf(ending.error).exitCode, error: ending.error };
    default:
      return ending satisfies never;
  }
}

function lockedOut(cause: StopCause, code: ErrorCode, sentence: string): HostOutcome {
  const error = new DaasError(code, sentence, {
    exitCode: EXIT.lockedOut,
    details: { recordId: cause.recordId },
  });
  return { exitCode: EXIT.lockedOut, error };
}
