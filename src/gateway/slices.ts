/** Goes through many items, and yields the thread after every `most` of them. */
export async function inSlicesOf<T>(
  most: number,
  items: readonly T[],
  act: (item: T) => void | Promise<void>,
): Promise<void> {
  let count = 0;
  for (const item of items) {
    const acting = act(item);
    if (acting) await acting;
    count += 1;
    if (count % most === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}
