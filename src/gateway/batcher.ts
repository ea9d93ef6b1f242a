/**
 * Gathers single questions into batches: everything asked before the event loop turns goes out together, at most `size`
 * at a time. A question that is already on its way is not asked twice.
 *
 * A batch that fails is asked again in two halves: one answer that cannot be read must not cost the others of its batch
 * theirs. When both halves fail, the source seems to be away: until it answers, only one batch at a time is halved.
 */
export interface Batcher<V> {
  get(id: string): Promise<V | undefined>;
  /** The answer that is on its way may be outdated: the next question asks anew. */
  forget(id: string): void;
}

export interface BatcherOptions<V> {
  readonly load: (ids: readonly string[]) => Promise<ReadonlyMap<string, V | undefined>>;
  /** 0 ≤ x < 1; divides failed batches differently each time, so that several bad answers part sooner or later. */
  readonly random: () => number;
  readonly size?: number;
}

interface Source<V> extends BatcherOptions<V> {
  /** Both halves of a batch have failed, and nothing was answered since. */
  isAway: boolean;
  /** A batch is being halved to find out whether it answers again. */
  isProbed: boolean;
}

interface Question<V> {
  readonly id: string;
  readonly answer: (value: V | undefined) => void;
  readonly fail: (error: unknown) => void;
}

export function createBatcher<V>(options: BatcherOptions<V>): Batcher<V> {
  const { size = 50 } = options;
  const source: Source<V> = { ...options, isAway: false, isProbed: false };
  const underway = new Map<string, Promise<V | undefined>>();
  let queue: Array<Question<V>> = [];

  function sendAll(): void {
    const asked = queue;
    queue = [];
    for (let start = 0; start < asked.length; start += size)
      void ask(source, asked.slice(start, start + size));
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

async function ask<V>(source: Source<V>, questions: ReadonlyArray<Question<V>>): Promise<void> {
  try {
    await loadAndAnswer(source, questions);
  } catch (error) {
    if (source.isAway && source.isProbed) return failAll(questions, error);
    source.isProbed = true;
    await askHalves(source, questions, error);
    source.isProbed = false;
  }
}

async function loadAndAnswer<V>(source: Source<V>, questions: ReadonlyArray<Question<V>>): Promise<void> {
  const found = await source.load([...new Set(questions.map(({ id }) => id))]);
  source.isAway = false;
  for (const { id, answer } of questions) answer(found.get(id));
}

async function askHalves<V>(
  source: Source<V>,
  questions: ReadonlyArray<Question<V>>,
  error: unknown,
): Promise<void> {
  if (questions.length === 1) return failAll(questions, error);
  const halves = randomHalves(questions, source.random);
  const outcomes = await Promise.allSettled(halves.map((half) => loadAndAnswer(source, half)));
  const failed = halves.filter((_, index) => outcomes[index]?.status === 'rejected');
  const [only] = failed;
  if (failed.length === 1 && only) return askHalves(source, only, error);
  if (failed.length > 1) source.isAway = true;
  for (const half of failed) failAll(half, error);
}

function failAll<V>(questions: ReadonlyArray<Question<V>>, error: unknown): void {
  for (const { fail } of questions) fail(error);
}

function randomHalves<T>(items: readonly T[], random: () => number): readonly [readonly T[], readonly T[]] {
  const shuffled = items
    .map((item) => ({ item, place: random() }))
    .sort((one, other) => one.place - other.place)
    .map(({ item }) => item);
  const middle = Math.ceil(shuffled.length / 2);
  return [shuffled.slice(0, middle), shuffled.slice(middle)];
}
