import {
  aborted,
  type Clock,
  challengeGateway,
  drawOf,
  errorFacts,
  type GatewayConnector,
  gatewayErrorCode,
  type Scope,
  type StakeChain,
  type WorkerRegistered,
} from 'k3s-daas/plugin';

export interface ListenerServices {
  readonly chain: StakeChain;
  readonly gateways: GatewayConnector;
  readonly clock: Clock;
}

const firstDelayMs = 2_000;
const longestDelayMs = 300_000;
/** A gateway of an earlier version has no such route. */
const notFound = gatewayErrorCode('not_found');

/** Listens at the gateway of the registration for changes of the stake record. What it hears is only a reason to read the chain. */
export class ChangeListener {
  readonly #scope: Pick<Scope<unknown>, 'log'>;
  readonly #services: ListenerServices;
  readonly #onChange: () => void;
  #registered = Promise.withResolvers<WorkerRegistered>();
  #over = new AbortController();
  #isOpen = false;
  #failures = 0;

  constructor(scope: Pick<Scope<unknown>, 'log'>, services: ListenerServices, onChange: () => void) {
    this.#scope = scope;
    this.#services = services;
    this.#onChange = onChange;
  }

  /** Whether changes are told now. */
  isOpen(): boolean {
    return this.#isOpen;
  }

  /** From now on at the gateway of this registration. */
  follow(registered: WorkerRegistered): void {
    this.#registered.resolve(registered);
    this.#registered = Promise.withResolvers();
    this.#registered.resolve(registered);
    this.#failures = 0;
    this.#over.abort();
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const registered = await Promise.race([this.#registered.promise, aborted(signal)]);
      if (signal.aborted || !registered) return;
      this.#over = new AbortController();
      const until = AbortSignal.any([signal, this.#over.signal]);
      const delayMs = await this.#listen(registered, until);
      await this.#services.clock.sleep(delayMs, until).catch(() => undefined);
    }
  }

  /** Until the stream ends. Resolves with how long to wait before the next one. */
  async #listen(registered: WorkerRegistered, signal: AbortSignal): Promise<number> {
    try {
      const { connection, challenge } = await challengeGateway(registered, this.#services, signal);
      await using _ = connection;
      if (!connection.events) return longestDelayMs;
      await connection.events(
        {
          challenge,
          sealTokenId: registered.sealTokenId,
          onOpen: () => this.#opened(),
          onChange: this.#onChange,
        },
        signal,
      );
    } catch (error) {
      const { code } = errorFacts(error);
      if (code === notFound) this.#failures = 20;
      this.#scope.log.debug('Changes are not told by the gateway now', { detail: code });
    } finally {
      this.#isOpen = false;
    }
    this.#failures += 1;
    const delayMs = Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(20, this.#failures - 1));
    // Hosts that lost a gateway at the same moment come back at different ones.
    return delayMs * (0.5 + drawOf(registered.nodeId, this.#failures) / 2);
  }

  #opened(): void {
    this.#isOpen = true;
    this.#failures = 0;
    // What changed while no stream was there.
    this.#onChange();
  }
}
