import {
  type Agent,
  aborted,
  type Clock,
  challengeGateway,
  type Directive,
  errorFacts,
  errorFields,
  type GatewayConnection,
  type GatewayConnector,
  gatewayErrorCode,
  type Health,
  type HostControl,
  type Scope,
  type StakeChain,
  type WorkerRegistered,
} from 'k3s-daas/plugin';
import { isConnectionLost, lazyConnection } from './connection.ts';
import { afterFailure, judgeStop, type Outcome, reactTo, restAfterMs } from './decide.ts';
import { boundedIntervalMs } from './interval.ts';
import { Notices } from './notices.ts';
import { OwnStake } from './own-stake.ts';

/** From this many failures in a row on the plugin is not ready. A single lost heartbeat is normal. */
const toleratedFailures = 2;
/** A registration that neither succeeds nor fails must not silence the node for ever. */
const longestRegistrationMs = 60_000;
/** Another machine or process with this node's key runs its Node. */
const clonedRefusal = gatewayErrorCode('node_cloned');

interface HeartbeatConfig {
  readonly intervalMs?: number | undefined;
  readonly unreachableAfterMs: number;
}

export interface HeartbeatServices {
  readonly chain: StakeChain;
  readonly gateways: GatewayConnector;
  readonly agent: Agent;
  readonly control: HostControl;
  readonly clock: Clock;
}

/** The heartbeats of one host, over all its registrations. */
export class Heartbeats {
  readonly #scope: Scope<HeartbeatConfig>;
  readonly #services: HeartbeatServices;
  readonly #stake: OwnStake;
  readonly #notices: Notices;
  readonly #first = Promise.withResolvers<void>();
  #registered: WorkerRegistered | undefined;
  /** Set while the host registers: its end. */
  #registration: PromiseWithResolvers<void> | undefined;
  #rest: AbortController | undefined;
  #failures = 0;
  #lastProblem = '';
  /** When the first of the failures in a row was, by the monotonic clock. */
  #failingSinceMs = 0;

  constructor(scope: Scope<HeartbeatConfig>, services: HeartbeatServices) {
    this.#scope = scope;
    this.#services = services;
    this.#stake = new OwnStake(services.chain, services.clock);
    this.#notices = new Notices(scope);
  }

  /** A registration is under way: the gateway refuses the heartbeats of the one before from the moment it has it. */
  pause(): void {
    this.#registration ??= Promise.withResolvers();
  }

  resume(): void {
    this.#registration?.resolve();
    this.#registration = undefined;
  }

  /** A registration was refused with this code: the heartbeats of the one before go on. */
  registrationFailed(code: string): void {
    if (code === clonedRefusal) this.#notices.refusedAsClone();
    this.resume();
  }

  /** From now on the heartbeats are those of this registration. */
  follow(registered: WorkerRegistered): void {
    this.#registered = registered;
    this.#stake.follow(registered.recordId);
    this.#first.resolve();
    this.resume();
    this.#rest?.abort();
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.race([this.#first.promise, aborted(signal)]);
    while (!signal.aborted && this.#registered) await this.#serve(this.#registered, signal);
  }

  health(): Health {
    const isReady = this.#registered !== undefined && this.#failures < toleratedFailures;
    return { live: true, ready: isReady, detail: this.#describe() };
  }

  #describe(): string {
    if (!this.#registered) return 'not registered yet';
    if (this.#failures === 0) return `heartbeats to ${this.#registered.gatewayUrl} are acknowledged`;
    return `${this.#failures} heartbeats in a row failed: ${this.#lastProblem}`;
  }

  /** Heartbeats of one registration, until there is another. Throws only what no retry would mend. */
  async #serve(registered: WorkerRegistered, signal: AbortSignal): Promise<void> {
    await using connection = lazyConnection(async () => {
      // Proofs are dated in the gateway's time, which the challenge gives: with a wrong clock the first heartbeat is refused.
      const { connection: opened } = await challengeGateway(registered, this.#services, signal);
      await this.#stake.refresh(signal);
      return opened;
    });
    const { clock } = this.#services;
    let sequence = 0;
    const next = async () => {
      sequence += 1;
      await this.#beat(await connection.open(), registered, sequence, signal);
    };
    while (this.#registered === registered) {
      const beganAtMs = clock.monotonicMs();
      const outcome = await this.#tryBeat(next, registered, signal);
      const intervalMs = this.#scope.config.intervalMs ?? boundedIntervalMs(registered.heartbeatIntervalMs);
      const restMs = Math.max(intervalMs / 10, intervalMs - (clock.monotonicMs() - beganAtMs));
      const { nodeId } = registered;
      await this.#sleep(restAfterMs(outcome, { restMs, nodeId, failures: this.#failures }), signal);
      await this.#untilRegistered(signal);
    }
  }

  async #tryBeat(
    next: () => Promise<void>,
    registered: WorkerRegistered,
    signal: AbortSignal,
  ): Promise<Outcome> {
    try {
      await next().catch((error: unknown) => {
        if (!isConnectionLost(error)) throw error;
        // At once, on a new connection, as the next in the sequence: the gateway may have taken the first.
        return next();
      });
      return 'acknowledged';
    } catch (error) {
      signal.throwIfAborted();
      // It was on its way when the host began to register again: what became of it says nothing about the gateway.
      if (this.#registration !== undefined || this.#registered !== registered) return 'acknowledged';
      return this.#recordFailure(error);
    }
  }

  /** Ends early when there is a new registration. */
  async #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    if (this.#registration) return;
    this.#rest = new AbortController();
    await this.#services.clock
      .sleep(delayMs, AbortSignal.any([signal, this.#rest.signal]))
      .catch(() => undefined);
    signal.throwIfAborted();
  }

  async #untilRegistered(signal: AbortSignal): Promise<void> {
    if (!this.#registration) return;
    const { promise } = this.#registration;
    const done = new AbortController();
    const late = this.#services.clock.sleep(longestRegistrationMs, AbortSignal.any([signal, done.signal]));
    await Promise.race([promise, late.catch(() => undefined)]);
    done.abort();
    this.resume();
    signal.throwIfAborted();
  }

  async #beat(
    connection: GatewayConnection,
    registered: WorkerRegistered,
    sequence: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { agent } = this.#services;
    void this.#stake.refresh(signal);
    const [runningPods, resourceUsage] = await Promise.all([
      agent.runningPods(signal),
      agent.resourceUsage(),
    ]);
    const { directives } = await connection.heartbeat(
      {
        sealTokenId: registered.sealTokenId,
        incarnation: registered.incarnation,
        sequence,
        ...this.#stake.lastSeen(),
        agentState: agent.state().kind,
        runningPods,
        resourceUsage,
      },
      signal,
    );
    this.#recordAnswer(sequence, directives);
    for (const directive of directives)
      if (directive.kind !== 'notice') await this.#handleDirective(directive, registered.recordId, signal);
  }

  #recordAnswer(sequence: number, directives: readonly Directive[]): void {
    if (this.#failures >= toleratedFailures)
      this.#scope.log.info('Heartbeats are acknowledged again', { failures: this.#failures });
    this.#failures = 0;
    this.#scope.emit('heartbeat.acknowledged', { sequence, directives: directives.map(({ kind }) => kind) });
    this.#notices.answered(directives);
  }

  #recordFailure(error: unknown): Outcome {
    const nowMs = this.#services.clock.monotonicMs();
    if (this.#failures === 0) this.#failingSinceMs = nowMs;
    this.#failures += 1;
    const fields = errorFields(error);
    const { code, message } = fields.error;
    this.#lastProblem = message;
    this.#scope.emit('heartbeat.failed', fields);
    const { unreachableAfterMs } = this.#scope.config;
    const { gatewayUrl = 'the gateway' } = this.#registered ?? {};
    if (nowMs - this.#failingSinceMs >= unreachableAfterMs)
      this.#notices.unreachable(gatewayUrl, unreachableAfterMs, message);
    if (code === clonedRefusal) {
      this.#notices.refusedAsClone();
      this.#services.control.cloned(message);
    }
    const outcome = errorFacts(error).isRetryable ? 'silent' : 'refused';
    if (afterFailure(outcome, this.#failures) === 'register-again')
      this.#services.control.reregister(`${this.#failures} heartbeats in a row failed: ${code}`);
    return outcome;
  }

  async #handleDirective(directive: Directive, recordId: string, signal: AbortSignal): Promise<void> {
    const { control } = this.#services;
    const { log } = this.#scope;
    const fields = { directive: directive.kind, reason: directive.reason };
    const reaction =
      directive.kind === 'stop'
        ? judgeStop(directive, await this.#stake.readNow(recordId, signal))
        : reactTo(directive);
    switch (reaction.kind) {
      case 'stop':
        log.warn('The gateway asks this node to stop', { ...fields, status: reaction.ending.status });
        control.stop(reaction.ending);
        return;
      case 'register-again':
        control.reregister(`the gateway asks for it: ${directive.reason}`);
        return;
      case 'pass-on':
        this.#scope.emit('gateway.directive', fields);
        return;
      case 'doubt':
        log.warn('A directive is not followed', { ...fields, detail: reaction.detail });
        return;
      default:
        return reaction satisfies never;
    }
  }
}
