import {
  type Backoff,
  backoffDelayMs,
  type Clock,
  DaasError,
  EXIT,
  errorFields,
  type Log,
  messageOf,
} from '#base';
import type { Activity } from './consequences.ts';
import { factsOf } from './errors.ts';
import { asError, type HostEnd } from './host-end.ts';
import type { LifecycleSettings } from './life-context.ts';

interface QuestionParts {
  readonly settings: Pick<LifecycleSettings, 'retry' | 'joinDeadlineMs'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly end: HostEnd;
}

/** A node that has joined runs on meanwhile: the hosts of a cluster that lost its gateways return over a minute. */
function unhurried({ baseMs, maxMs }: Backoff): Backoff {
  return { baseMs, maxMs: 4 * maxMs };
}

/** Asks chain and gateways until they answer, and knows what kept them from it. */
export class Questions {
  readonly #parts: QuestionParts;
  #lastProblem: unknown;
  #openStep: string | undefined;

  constructor(parts: QuestionParts) {
    this.#parts = parts;
  }

  /** The failure of the last attempt; undefined once a question was answered. */
  get lastProblem(): unknown {
    return this.#lastProblem;
  }

  /**
   * Asks again after growing delays while the failure may pass and the host is not ending; otherwise rejects with it.
   * `plugin`: which one is asked, for the message when it never answers.
   */
  async untilAnswered<T>(step: string, during: Activity, ask: () => Promise<T>, plugin?: string): Promise<T> {
    const { settings, clock, log, random, end } = this.#parts;
    for (let attempt = 0; ; attempt += 1) {
      try {
        this.#openStep = plugin === undefined ? `'${step}'` : `'${step}' of the plugin '${plugin}'`;
        const answer = await ask();
        this.#openStep = undefined;
        this.#lastProblem = undefined;
        return answer;
      } catch (error) {
        if (end.signal.aborted) throw error;
        const consequence = end.meet({ kind: 'failed', during, error: asError(error) });
        if (consequence.kind !== 'ask-again') throw error;
        this.#lastProblem = error;
        const backoff = during === 'renewal' ? unhurried(settings.retry) : settings.retry;
        const delayMs = Math.max(backoffDelayMs(attempt, backoff, random), consequence.atLeastMs);
        log.warn('Not possible yet, will try again', { step, attempt, delayMs, ...errorFields(error) });
        await clock.sleep(delayMs, end.signal);
      }
    }
  }

  /** Ends the host (exit code 75) unless the returned function is called within the join deadline. */
  watchJoinDeadline(): () => void {
    const { settings, clock, end } = this.#parts;
    const done = new AbortController();
    clock.sleep(settings.joinDeadlineMs, AbortSignal.any([done.signal, end.signal])).then(
      () => end.fail(this.#joinDeadlineError()),
      () => undefined,
    );
    return () => done.abort();
  }

  #joinDeadlineError(): DaasError {
    const { joinDeadlineMs } = this.#parts.settings;
    const unanswered =
      this.#openStep === undefined
        ? 'the agent did not become Ready'
        : `the step ${this.#openStep} got no answer from the chain or the gateway`;
    const problem = this.#lastProblem;
    const why = problem === undefined ? unanswered : messageOf(problem);
    return new DaasError(
      'DAAS_JOIN_DEADLINE',
      `this node could not join within ${joinDeadlineMs} ms (join.deadlineMs): ${why}`,
      {
        exitCode: EXIT.joinDeadline,
        details: { joinDeadlineMs, lastCode: problem === undefined ? undefined : factsOf(problem).code },
      },
    );
  }
}
