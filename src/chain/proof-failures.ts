import { backoffDelayMs, type Clock, DaasError } from '#base';

const RETRY = { baseMs: 100, maxMs: 1_000 };

export interface RetryOptions {
  readonly clock: Clock;
  readonly waitForMs: number;
  readonly random?: (() => number) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Which failures may pass; default: not certified yet, or the node is away. */
  readonly isWorthAnother?: (error: unknown) => boolean;
}

/** Asks again until a proof can be had, or `waitForMs` are over. */
export async function withRetry<T>(
  body: () => Promise<T>,
  { clock, waitForMs, random = Math.random, signal, isWorthAnother = isPassing }: RetryOptions,
): Promise<T> {
  const giveUpAtMs = clock.monotonicMs() + waitForMs;
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await body();
    } catch (error) {
      const delayMs = backoffDelayMs(attempt, RETRY, random);
      if (!isWorthAnother(error) || clock.monotonicMs() + delayMs > giveUpAtMs) throw error;
      await clock.sleep(delayMs, signal);
    }
  }
}

/** Nothing that another node could mend, and nothing to go on with. */
export function isFinal(error: unknown): boolean {
  return (
    error instanceof DaasError &&
    (error.details.reason === 'fork' || error.details.reason === 'trust-too-old')
  );
}

/** Reasons that say that something was served which the validators did not sign; others say that the proof is missing. */
const CONTRADICTIONS: ReadonlySet<unknown> = new Set([
  'object-mismatch',
  'object-not-written',
  'contents-mismatch',
  'effects-mismatch',
  'events-mismatch',
  'transaction-missing',
  'signature-invalid',
  'no-quorum',
]);

export function isContradiction(error: unknown): boolean {
  return error instanceof DaasError && CONTRADICTIONS.has(error.details.reason);
}

/** Not certified yet, or the node is away: the same question may be answered in a moment. */
function isPassing(error: unknown): boolean {
  return error instanceof DaasError && (error.isRetryable || error.details.reason === 'incomplete');
}
