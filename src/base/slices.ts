/** How long work on many items holds the thread before other work gets it. */
const sliceMs = 5;

/**
 * Goes through many items, and yields the thread each time it has held it for a few milliseconds, or has done `most` items.
 * Between two slices anything may happen: what an item is judged by is read when its turn comes.
 */
export async function inSlices<Item>(
  items: Iterable<Item>,
  act: (item: Item) => void | Promise<void>,
  { most = Number.POSITIVE_INFINITY }: { readonly most?: number } = {},
): Promise<void> {
  let beganAtMs = performance.now();
  let count = 0;
  for (const item of items) {
    const acting = act(item);
    if (acting) await acting;
    count += 1;
    if (count < most && performance.now() - beganAtMs < sliceMs) continue;
    await nextTurn();
    beganAtMs = performance.now();
    count = 0;
  }
}

/** How long the thread has been held since it was last free. */
export interface Slice {
  /** Whether others are to get the thread now. */
  isOver(): boolean;
}

/** For work that comes piece by piece. A slice begins with the first question after a turn of the event loop. */
export function createSlice(): Slice {
  let beganAtMs: number | undefined;
  return {
    isOver() {
      if (beganAtMs !== undefined) return performance.now() - beganAtMs >= sliceMs;
      beganAtMs = performance.now();
      setImmediate(() => {
        beganAtMs = undefined;
      });
      return false;
    },
  };
}

/** Resolves once the event loop has served what else waits. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
