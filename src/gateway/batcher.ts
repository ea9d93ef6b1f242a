/**
 * Gathers single questions into batches: everything asked before the event loop turns goes out together, at most `size`
 * at a time, and whoever asks for what is already on its way waits for that answer.
 */
export interface Batcher<V> {
  get(id: string): Promise<V | undefined>;
  /** An answer that is on its way may be older than what is known now: the next question asks anew. */
  forget(id: string): void;
}

export function createBatcher<V>(
  load: (ids: readonly string[]) => Promise<ReadonlyMap<string, V | undefined>>,
  size = 50,
): Batcher<V> {
  const underway = new Map<string, Promise<V | undefined>>();
  let queue: Array<{ id: string; answer: (value: V | undefined) => void; fail: (error: unknown) => void }> =
    [];

  function sendAll(): void {
    const asked = queue;
    queue = [];
    for (let start = 0; start < asked.length; start += size) {
      const batch = asked.slice(start, start + size);
      load([...new Set(batch.map(({ id }) => id))]).then(
        (found) => {
          for (const { id, answer } of batch) answer(found.get(id));
        },
        (error: unknown) => {
          for (const { fail } of batch) fail(error);
        },
      );
    }
  }

  return {
    get(id) {
      const known = underway.get(id);
      if (known) return known;
      const question = new Promise<V | undefined>((answer, fail) => {
        if (queue.length === 0) setImmediate(sendAll);
        queue.push({ id, answer, fail });
      });
      underway.set(id, question);
      const settled = () => {
        if (underway.get(id) === question) underway.delete(id);
      };
      question.then(settled, settled);
      return question;
    },
    forget: (id) => underway.delete(id),
  };
}
