/** Runs bodies one at a time, in the order in which they were given. */
export type Mutex = <Result>(body: () => Promise<Result>) => Promise<Result>;

export function createMutex(): Mutex {
  let last: Promise<unknown> = Promise.resolve();
  return (body) => {
    // A body that failed does not stop the next one.
    const next = last.then(body, body);
    last = next.catch(() => undefined);
    return next;
  };
}
