/** One at a time for each key, in the order of asking; keys do not wait for each other. */
export interface Locks {
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

export function createLocks(): Locks {
  const last = new Map<string, Promise<unknown>>();
  return {
    run(key, work) {
      const before = last.get(key) ?? Promise.resolve();
      const mine = before.then(work, work);
      const settled = mine.then(
        () => undefined,
        () => undefined,
      );
      last.set(key, settled);
      void settled.then(() => {
        if (last.get(key) === settled) last.delete(key);
      });
      return mine;
    },
  };
}

/** A bounded number at once and a bounded number waiting; beyond that `undefined` at once, before memory grows. */
export interface Gate {
  enter<T>(work: () => Promise<T>): Promise<T> | undefined;
}

export function createGate(atOnce: number, waitingAtMost: number): Gate {
  let running = 0;
  const waiting: Array<() => void> = [];
  return {
    enter(work) {
      if (running >= atOnce && waiting.length >= waitingAtMost) return undefined;
      return (async () => {
        // Handed over by the one that leaves, so that nobody slips in between.
        if (running >= atOnce) await new Promise<void>((turn) => waiting.push(turn));
        else running += 1;
        try {
          return await work();
        } finally {
          const next = waiting.shift();
          if (next) next();
          else running -= 1;
        }
      })();
    },
  };
}
