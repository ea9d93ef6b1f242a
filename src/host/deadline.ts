import { type Clock, DaasError } from '#base';

/**
 * The value of `work`, or `DAAS_DEADLINE` when it takes longer. The work itself is not stopped by this: give it a signal
 * of its own when it can be.
 */
export async function withDeadline<T>(
  work: Promise<T>,
  { what, deadlineMs, clock }: { what: string; deadlineMs: number; clock: Clock },
): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(deadlineMs, done.signal).then(() => {
    throw new DaasError('DAAS_DEADLINE', `${what} took longer than ${deadlineMs} ms`, {
      details: { deadlineMs },
    });
  });
  // Whichever loses must not become an unhandled rejection.
  late.catch(() => undefined);
  work.catch(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}
