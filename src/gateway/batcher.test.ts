import { expect, test } from 'vitest';
import { settled } from '#testing';
import { createBatcher } from './batcher.ts';

type Ids = readonly string[];
const valuesOf = (ids: Ids) => new Map(ids.map((id) => [id, `value of ${id}`]));
const many = (count: number) => Array.from({ length: count }, (_, index) => `id-${index}`);

/** A source that cannot answer any batch with one of these in it. */
function sourceWithout(bad: Ids) {
  const asked: string[][] = [];
  let draws = 0;
  const batcher = createBatcher({
    // Golden-ratio steps: spread over the interval, and another order at every draw.
    random: () => (draws++ * 0.618_033_988_749) % 1,
    async load(ids: Ids) {
      asked.push([...ids]);
      if (ids.some((id) => bad.includes(id))) throw new Error(`cannot read one of ${ids.length}`);
      return valuesOf(ids);
    },
  });
  return { asked, batcher };
}

test('what is asked at once goes out together, in fifties, each id once', async () => {
  const { asked, batcher } = sourceWithout([]);
  const ids = many(120);
  const answers = await Promise.all([...ids, ...ids].map((id) => batcher.get(id)));
  expect(answers[5]).toBe('value of id-5');
  expect(asked.map((batch) => batch.length)).toEqual([50, 50, 20]);
});

test('one answer that cannot be read costs the others of its batch nothing', async () => {
  const { asked, batcher } = sourceWithout(['id-7']);
  const outcomes = await Promise.allSettled(many(50).map((id) => batcher.get(id)));
  const failed = outcomes.flatMap(({ status }, index) => (status === 'rejected' ? [index] : []));
  expect(failed).toEqual([7]);
  expect(asked.length).toBeLessThanOrEqual(13);
});

test('of a source that is away only one batch at a time is asked in halves', async () => {
  const { asked, batcher } = sourceWithout(many(100));
  const ask = () => Promise.allSettled(many(100).map((id) => batcher.get(id)));
  await ask();
  asked.length = 0;
  const outcomes = await ask();
  expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
  expect(asked.map((batch) => batch.length)).toEqual([50, 50, 25, 25]);
});

test('several answers that cannot be read part from each other in the end', async () => {
  const { batcher } = sourceWithout(['id-3', 'id-40']);
  let left = many(50);
  for (let round = 0; round < 20 && left.length > 2; round += 1) {
    const asked = left;
    const outcomes = await Promise.allSettled(asked.map((id) => batcher.get(id)));
    left = asked.filter((_, index) => outcomes[index]?.status === 'rejected');
  }
  expect(left).toEqual(['id-3', 'id-40']);
});

test('a failure reaches everyone who asked, and is not kept', async () => {
  let isDown = true;
  const batcher = createBatcher({
    random: () => 0,
    async load(ids: Ids) {
      if (isDown) throw new Error('down');
      return valuesOf(ids);
    },
  });
  const both = await Promise.allSettled([batcher.get('a'), batcher.get('a')]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  isDown = false;
  expect(await batcher.get('a')).toBe('value of a');
});

test('after something was forgotten, an answer on its way is not waited for', async () => {
  let value = 1;
  const batcher = createBatcher({
    random: () => 0,
    async load(ids: Ids) {
      const seen = value;
      await settled(2);
      return new Map(ids.map((id) => [id, seen]));
    },
  });
  const before = batcher.get('a');
  await new Promise((resolve) => setImmediate(resolve));
  value = 2;
  batcher.forget('a');
  expect(await batcher.get('a')).toBe(2);
  expect(await before).toBe(1);
});
