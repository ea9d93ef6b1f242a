import { type Clock, errorFields, type Log } from '#base';

/** The log of something that is tried again every second or so: it says what fails, and does not say it every second. */
export interface FailureLog {
  failed(error: unknown): void;
  worked(): void;
}

const repeatEveryMs = 60_000;

interface Sentences {
  readonly failed: string;
  readonly worked: string;
}

/** Writes the first failure, another one when its text differs or a minute has passed, and the first success after one. */
export function createFailureLog(
  { log, clock }: { readonly log: Log; readonly clock: Pick<Clock, 'monotonicMs'> },
  { failed, worked }: Sentences,
): FailureLog {
  let last: { readonly text: string; readonly atMs: number } | undefined;
  let failures = 0;
  return {
    failed(error) {
      failures += 1;
      const fields = errorFields(error);
      const text = JSON.stringify(fields);
      const nowMs = clock.monotonicMs();
      if (last?.text === text && nowMs - last.atMs < repeatEveryMs) return;
      last = { text, atMs: nowMs };
      log.warn(failed, { ...fields, failures });
    },
    worked() {
      if (last) log.info(worked, { failures });
      last = undefined;
      failures = 0;
    },
  };
}
