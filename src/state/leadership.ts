import { aborted } from '#base';

/**
 * Which of several gateways acts. One that has led and does no longer must not lead again in the same life: what it
 * decided and could not write is not what counts.
 */
export interface Leadership {
  /** By this machine's monotonic clock: false as soon as another may lead. */
  isLeading(): boolean;
  /** Who leads, as last seen; `undefined`: nobody is known to. */
  leader(): string | undefined;
  /** Resolves when this gateway leads; rejects with the signal's reason. */
  untilLeading(signal: AbortSignal): Promise<void>;
  /**
   * Stands for election, and leads until the signal aborts.
   * @throws `DAAS_GATEWAY_NOT_LEADING` when another may lead now.
   */
  run(signal: AbortSignal): Promise<void>;
}

/** Of a gateway whose state nobody shares. */
export function soleLeadership(name: string): Leadership {
  return {
    isLeading: () => true,
    leader: () => name,
    untilLeading: () => Promise.resolve(),
    run: (signal) => aborted(signal),
  };
}
