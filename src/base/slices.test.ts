import { expect, test } from 'vitest';
import { createSlice, inSlices, nextTurn } from './slices.ts';

/** Holds the thread. */
function burn(ms: number): void {
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
}

test('work on many items lets other work in between, and misses none', async () => {
  let turns = 0;
  let isDone = false;
  const other = (async () => {
    while (!isDone) {
      await nextTurn();
      turns += 1;
    }
  })();
  const seen: number[] = [];
  await inSlices(Array.from({ length: 20 }).keys(), (item) => {
    burn(2);
    seen.push(item);
  });
  isDone = true;
  await other;
  expect(seen).toEqual([...Array(20).keys()]);
  expect(turns).toBeGreaterThan(1);
});

test('quick work yields after so many items as well', async () => {
  const seen: number[] = [];
  const work = inSlices([1, 2, 3, 4, 5], (item) => void seen.push(item), { most: 2 });
  expect(seen).toEqual([1, 2]);
  await work;
  expect(seen).toEqual([1, 2, 3, 4, 5]);
});

test('an item that waits is waited for, and one that fails ends the work', async () => {
  const seen: string[] = [];
  await inSlices(['a', 'b'], async (item) => {
    await nextTurn();
    seen.push(item);
  });
  expect(seen).toEqual(['a', 'b']);
  const failing = inSlices([1, 2], (item) => {
    if (item === 2) throw new RangeError('two');
  });
  await expect(failing).rejects.toThrow('two');
});

test('a slice is over once the thread was held for long, and a new one begins with the next turn', async () => {
  const slice = createSlice();
  expect(slice.isOver()).toBe(false);
  burn(10);
  expect(slice.isOver()).toBe(true);
  await nextTurn();
  await nextTurn();
  expect(slice.isOver()).toBe(false);
});
