/** One body of work at a time for each key, in the order of asking. Keys do not wait for each other. */
export interface Locks {
  /** A caller that still waits when `signal` aborts leaves the queue, and its promise rejects with the signal's reason. */
  run<T>(key: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** How many wait for this key, without the one that holds it. */
  waiting(key: string): number;
}

/** The waiting callers, in the order of arrival. */
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

/** A bounded number at once and a bounded number waiting. Beyond that `enter` returns `undefined` immediately. */
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
        // The one that leaves hands its place over, so that no other caller can take it in between.
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
