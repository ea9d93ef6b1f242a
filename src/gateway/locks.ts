/** One at a time for each key, in the order of asking; keys do not wait for each other. */
export interface Locks {
  /** A caller that still waits when `signal` aborts leaves the line, and rejects with its reason. */
  run<T>(key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** How many wait for this key, the one that has it not counted. */
  waiting(key: string): number;
}

/** Whose turn has not come yet, in the order of arrival. */
type Line = Array<() => void>;

export function createLocks(): Locks {
  const lines = new Map<string, Line>();

  async function enter(key: string, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    const line = lines.get(key);
    if (line) await turnIn(line, signal);
    else lines.set(key, []);
  }

  function leave(key: string): void {
    const next = lines.get(key)?.shift();
    if (next) next();
    else lines.delete(key);
  }

  return {
    async run(key, work, signal) {
      await enter(key, signal);
      try {
        return await work();
      } finally {
        leave(key);
      }
    },
    waiting: (key) => lines.get(key)?.length ?? 0,
  };
}

/** A bounded number at once and a bounded number waiting; beyond that `undefined` at once, before memory grows. */
export interface Gate {
  enter<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> | undefined;
}

export function createGate(atOnce: number, waitingAtMost: number): Gate {
  let running = 0;
  const line: Line = [];
  return {
    enter(work, signal) {
      if (running >= atOnce && line.length >= waitingAtMost) return undefined;
      return (async () => {
        signal?.throwIfAborted();
        // Handed over by the one that leaves, so that nothing slips in between.
        if (running >= atOnce) await turnIn(line, signal);
        else running += 1;
        try {
          return await work();
        } finally {
          const next = line.shift();
          if (next) next();
          else running -= 1;
        }
      })();
    },
  };
}

function turnIn(line: Line, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      line.splice(line.indexOf(turn), 1);
      reject(signal?.reason as Error);
    };
    const turn = () => {
      signal?.removeEventListener('abort', giveUp);
      resolve();
    };
    line.push(turn);
    signal?.addEventListener('abort', giveUp, { once: true });
  });
}
