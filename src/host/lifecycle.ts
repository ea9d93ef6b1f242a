import { aborted, DaasError, EXIT, type ExitCode } from '#base';
import { AgentArguments, type Health, type HostControl, type HostPhase, type NodeEnding } from '#plugin';
import { AgentStarts } from './agent-starts.ts';
import type { Ending } from './consequences.ts';
import { factsOf } from './errors.ts';
import { HostEnd } from './host-end.ts';
import { endsForClone, isAtHome, type JoinedBefore, readJoin, startOf } from './joined-before.ts';
import { join } from './joining.ts';
import { readLatch } from './latch.ts';
import type {
  LifeContext,
  LifecycleParts,
  LifecycleServices,
  NodeContext,
  ResumeServices,
} from './life-context.ts';
import { Phases } from './phases.ts';
import { Questions } from './questions.ts';
import { Registrar } from './registrar.ts';
import { windDown } from './winding-down.ts';

export interface HostOutcome {
  readonly exitCode: ExitCode;
  /** Why the host ended; absent when it was asked to stop. */
  readonly error: Error | undefined;
}

/**
 * The life of a host: `configure → preflight → stake → seal → register → run ⇄ degraded → drain → stop`. It knows the
 * extension points and the agent's supervisor; staking and registering are the plugins' work. What follows from a failure
 * or a request to stop is the table in consequences.ts.
 */
export class Lifecycle {
  readonly #context: LifeContext;
  #catalog: LifecycleServices['catalog'] | undefined;
  #registrar: Registrar | undefined;
  #starts: AgentStarts | undefined;
  #services: ResumeServices | undefined;
  /** The join on whose certificates the agent was started before anything else was loaded. */
  #resumed: JoinedBefore | undefined;

  constructor(parts: LifecycleParts) {
    const end = new HostEnd();
    const phases = new Phases({ ...parts, end });
    this.#context = { ...parts, end, phases, questions: new Questions({ ...parts, end }) };
  }

  /** Aborts as soon as the host is to end. */
  get signal(): AbortSignal {
    return this.#context.end.signal;
  }

  /** It ends because it was asked to, and for no other reason. */
  get wasAsked(): boolean {
    return this.#context.end.wasAsked;
  }

  /** What plugins may ask of the host. */
  readonly control: HostControl = {
    stop: (ending) => this.#stopNode(ending),
    reregister: (reason) => this.#registrar?.reregister(reason),
    cloned: (detail) => this.#endClone(detail),
  };

  /** The first request stops the host in order; the second one ends the wait for that. */
  stop(by: string): void {
    this.#context.end.ask(by);
  }

  fail(error: unknown): void {
    this.#context.end.fail(error);
  }

  enter(phase: HostPhase): void {
    this.#context.phases.enter(phase);
  }

  health(): Health {
    return this.#context.phases.health();
  }

  /**
   * Starts the agent of a node that has joined before at once: before chain, wallet and plugins are loaded, while chain and
   * gateway are asked. A copy of the state directory on another machine waits for their answers, because it would run
   * beside the original before anything could object.
   */
  async resume(services: ResumeServices): Promise<void> {
    this.#services = services;
    const { settings, events, phases } = this.#context;
    const starts = this.#startsOf(services);
    const joined = readJoin(services.journal);
    if (!joined?.arguments || !isAtHome(joined, settings)) return;
    if (await readLatch(settings.stateDir)) return;
    this.signal.throwIfAborted();
    phases.enter('preflight');
    await services.agent.preflight(this.signal);
    this.#resumed = joined;
    const isStarted = Promise.withResolvers<void>();
    const stopListening = events.on('agent.started', () => isStarted.resolve());
    // Loading the rest keeps this thread busy: wait until the process exists.
    await Promise.race([
      starts.start(startOf(joined), joined.arguments),
      isStarted.promise,
      aborted(this.signal),
    ]);
    stopListening();
  }

  /** Lives until something ends it, undoes what it did, and returns how it ended. Never rejects. */
  async run(services: LifecycleServices): Promise<HostOutcome> {
    this.#catalog = services.catalog;
    const context = { ...this.#context, ...services, starts: this.#startsOf(services) };
    const registrar = new Registrar(context);
    this.#registrar = registrar;
    const { end, events } = context;
    const stopListening = events.on('agent.refused', ({ reason, hadJoinCredential }) => {
      void registrar.recover(reason, hadJoinCredential);
    });
    const living = this.#live(context, registrar).catch((error: unknown) => end.fail(error));
    const ending = await end.begun;
    stopListening();
    return outcomeOf(ending, await windDown(ending, living, context));
  }

  async #live(context: NodeContext, registrar: Registrar): Promise<void> {
    await join(context, registrar, this.#resumed);
    await context.phases.followHealth();
  }

  #startsOf({ agent, journal }: ResumeServices): AgentStarts {
    this.#starts ??= new AgentStarts({
      ...this.#context,
      agent,
      journal,
      addedArguments: () => this.#addedArguments(),
      // On the certificates of an earlier join the record is the journal's, until the chain has answered.
      recordId: () => this.#registrar?.stake?.recordId ?? readJoin(journal)?.recordId,
    });
    return this.#starts;
  }

  async #addedArguments(): Promise<readonly string[]> {
    const added: string[] = [];
    for (const source of this.#catalog?.all(AgentArguments) ?? [])
      added.push(...(await source.agentArguments()));
    return added;
  }

  #endClone(detail: string): boolean {
    const { end, events, settings } = this.#context;
    const { agent, journal } = this.#services ?? {};
    events.emit('attention.needed', {
      kind: 'clone_suspected',
      severity: 'critical',
      summary: `another machine or process uses the key of this node: ${detail}`,
      remedy:
        'keep one of the two; rotate the Seal token on it (docs/operations.md, "Two machines with one node key")',
    });
    if (!agent || !journal || !endsForClone(agent.state(), readJoin(journal), settings)) return false;
    end.fail(
      new DaasError('DAAS_NODE_CLONED', `another host with the key of this node runs its Node: ${detail}`, {
        exitCode: EXIT.lockedOut,
      }),
    );
    return true;
  }

  #stopNode({ cause, status, source }: NodeEnding): void {
    const { recordId } = cause;
    const { events, end } = this.#context;
    if (cause.kind === 'slashed') events.emit('stake.slashed', { recordId, source });
    else events.emit('stake.ended', { recordId, status, source });
    end.meet(cause);
  }
}

function outcomeOf({ error }: Ending, isUndone: boolean): HostOutcome {
  if (!error) return { exitCode: isUndone ? EXIT.ok : EXIT.unexpected, error: undefined };
  return { exitCode: factsOf(error).exitCode, error };
}
