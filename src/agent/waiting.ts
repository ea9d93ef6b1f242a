import type { Clock } from '#base';

/** Whether `ended` resolves in time, and before the wait is cut short by `hurried`. */
export async function endsWithin(
  ended: Promise<unknown>,
  timeoutMs: number,
  clock: Clock,
  hurried?: Promise<void>,
): Promise<boolean> {
  const done = new AbortController();
  const late = clock.sleep(timeoutMs, done.signal).then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([
      ended.then(() => true),
      late,
      ...(hurried ? [hurried.then(() => false)] : []),
    ]);
  } finally {
    done.abort();
  }
}

/** Resolves when `signal` aborts; stops listening when `over` does. */
export function aborted(signal: AbortSignal, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true, signal: over });
  });
}
