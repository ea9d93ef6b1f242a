import { errorFields, gatewayErrorCode, messageOf } from '#base';
import { JoinCredentialSource, type Registration, type SealedStake, SealTokenSource } from '#plugin';
import { factsOf } from './errors.ts';
import { asError } from './host-end.ts';
import type { Latch } from './latch.ts';
import type { NodeContext } from './life-context.ts';
import { liftLatch } from './lock-out.ts';

/** How often a node that the server refuses registers again while it gets no credential. */
const recoveryPauseMs = 10_000;
/** What a gateway answers that hears one full node alone, to a stake whose last change is old. */
const proofTooOld = gatewayErrorCode('proof_too_old');

/** Stakes for this node and registers it, one registration at a time: two at once would revoke each other's credential. */
export class Registrar {
  readonly #context: NodeContext;
  #stake: SealedStake | undefined;
  /** The registration that is under way: whether the agent is started with what it brings. */
  #underWay: Promise<boolean> | undefined;
  #isRecovering = false;

  constructor(context: NodeContext) {
    this.#context = context;
  }

  /** The stake that the node runs on. */
  get stake(): SealedStake | undefined {
    return this.#stake;
  }

  /** The first registration of this life, from the stake to the gateway's reply. */
  register(latch: Latch | undefined): Promise<Registration> {
    const registering = this.#register(latch);
    registering.catch(() => undefined);
    void this.#occupy(registering.then(({ join }) => join !== undefined).catch(() => false));
    return registering;
  }

  /** Registers again; joins a registration that is under way. Returns at once. */
  reregister(reason: string): void {
    if (this.#stake && !this.#context.end.hasBegun) void this.#renewOnce(reason);
  }

  /**
   * The server refuses the agent, and k3s would go on asking for ever: restarts it with a credential, a kept one or a new
   * one, until it is Ready.
   */
  async recover(reason: string, hadJoinCredential: boolean): Promise<void> {
    if (this.#isRecovering) return;
    this.#isRecovering = true;
    const { agent, clock, end } = this.#context;
    const pause = () => clock.sleep(recoveryPauseMs, end.signal).catch(() => undefined);
    try {
      // The servers may not know a new credential yet, and another request would revoke it.
      if (hadJoinCredential) await pause();
      while (!end.hasBegun && this.#stake && agent.state().kind !== 'ready') {
        if (await this.#startOnCredential(reason)) return;
        await pause();
      }
    } finally {
      this.#isRecovering = false;
    }
  }

  async #register(latch: Latch | undefined): Promise<Registration> {
    const { catalog, questions, phases, end } = this.#context;
    const tokens = catalog.one(SealTokenSource);
    const credentials = catalog.one(JoinCredentialSource);
    const [tokenPlugin] = catalog.providersOf(SealTokenSource);
    const [credentialPlugin] = catalog.providersOf(JoinCredentialSource);
    const ask = <T>(step: string, plugin: string | undefined, question: () => Promise<T>) =>
      questions.untilAnswered(step, 'join', question, plugin);
    const standing = await ask('find', tokenPlugin, () => tokens.find(end.signal));
    if (!standing) await ask('preflight', credentialPlugin, () => credentials.preflight(end.signal));
    const stake = await ask('stake', tokenPlugin, () =>
      tokens.obtain((phase) => phases.enterJoining(phase), end.signal),
    );
    if (latch) await liftLatch(latch, stake.recordId, this.#context);
    this.#stake = stake;
    phases.enterJoining('register');
    return ask('register', credentialPlugin, async () => {
      // The source may replace a token by which the gateway admits nobody.
      if (factsOf(questions.lastProblem).code === proofTooOld)
        this.#stake = await tokens.obtain(() => undefined, end.signal);
      return credentials.register(this.#stake ?? stake, end.signal);
    });
  }

  #occupy(registering: Promise<boolean>): Promise<boolean> {
    this.#underWay = registering.finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  #renewOnce(reason: string): Promise<boolean> {
    return this.#underWay ?? this.#occupy(this.#renew(reason));
  }

  /** Whether the agent was started with a new join credential. */
  async #renew(reason: string): Promise<boolean> {
    const { catalog, questions, phases, starts, end, log } = this.#context;
    const known = this.#stake;
    if (!known) return false;
    log.info('Registering again', { reason });
    try {
      const registration = await questions.untilAnswered('register', 'renewal', async () => {
        if (questions.lastProblem) phases.degrade('registration', messageOf(questions.lastProblem));
        const stake = await this.#currentStake(known);
        return catalog.one(JoinCredentialSource).register(stake, end.signal);
      });
      phases.degrade('registration', undefined);
      return await starts.useOrKeep(registration);
    } catch (error) {
      if (end.signal.aborted) return false;
      const consequence = end.meet({ kind: 'failed', during: 'renewal', error: asError(error) });
      if (consequence.kind === 'degrade') phases.degrade('registration', consequence.detail);
      log.warn('Registering again was refused', { reason, ...errorFields(error) });
      return false;
    }
  }

  /** The owner may have replaced the Seal token; while the chain cannot be read, the known one is used. */
  async #currentStake(known: SealedStake): Promise<SealedStake> {
    const { catalog, end } = this.#context;
    try {
      const standing = await catalog.one(SealTokenSource).find(end.signal);
      this.#stake = standing ?? known;
    } catch (error) {
      if (!factsOf(error).isRetryable) throw error;
    }
    return this.#stake ?? known;
  }

  async #startOnCredential(reason: string): Promise<boolean> {
    const { starts } = this.#context;
    if (starts.hasSpare) return starts.useSpareIfNeeded();
    return this.#renewOnce(`the server refuses the agent: ${reason}`);
  }
}
