import { type Backoff, backoffDelayMs, type Clock, errorFields, type Log } from '#base';

export interface TaskPolicy {
  readonly backoff: Backoff;
  /** So many failures in a row, and it is given up. */
  readonly mostFailures: number;
  /** A run that lasted this long wipes out the failures before it. */
  readonly healthyAfterMs: number;
}

export const defaultTaskPolicy: TaskPolicy = {
  backoff: { baseMs: 500, maxMs: 30_000 },
  mostFailures: 8,
  healthyAfterMs: 60_000,
};

export interface TaskOptions {
  readonly name: string;
  readonly body: (signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly policy: TaskPolicy;
}

export type TaskEnd =
  /** Its body returned, or its signal aborted. */
  | { readonly kind: 'done' }
  | { readonly kind: 'gave-up'; readonly failures: number; readonly cause: unknown };

/** Runs `body`, and again after a growing delay when it throws, until it returns, is aborted, or fails too often. */
export async function superviseTask(options: TaskOptions): Promise<TaskEnd> {
  const { name, body, signal, clock, log, random, policy } = options;
  let failures = 0;
  while (!signal.aborted) {
    const startedAtMs = clock.monotonicMs();
    try {
      await body(signal);
      return { kind: 'done' };
    } catch (cause) {
      if (signal.aborted) break;
      failures = clock.monotonicMs() - startedAtMs >= policy.healthyAfterMs ? 1 : failures + 1;
      if (failures >= policy.mostFailures) {
        log.error('Task failed too often and is given up', { task: name, failures, ...errorFields(cause) });
        return { kind: 'gave-up', failures, cause };
      }
      const delayMs = backoffDelayMs(failures - 1, policy.backoff, random);
      log.warn('Task failed, will run again', { task: name, failures, delayMs, ...errorFields(cause) });
      await clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }
  return { kind: 'done' };
}
