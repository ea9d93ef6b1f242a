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

/** Resolves once the event loop has served what else waits. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
