/** Counts by key, and a key with the highest count: each in constant time, however many keys there are. */
export interface Tally {
  add(key: string): number;
  remove(key: string): void;
  count(key: string): number;
  readonly total: number;
  heaviest(): string | undefined;
}

export function createTally(): Tally {
  const counts = new Map<string, number>();
  const keysByCount = new Map<number, Set<string>>();
  let highest = 0;
  let total = 0;

  function move(key: string, from: number, to: number): void {
    const before = keysByCount.get(from);
    before?.delete(key);
    if (before?.size === 0) keysByCount.delete(from);
    if (to === 0) {
      counts.delete(key);
    } else {
      counts.set(key, to);
      const after = keysByCount.get(to);
      if (after) after.add(key);
      else keysByCount.set(to, new Set([key]));
    }
    total += to - from;
    if (to > highest) highest = to;
    else if (from === highest && !keysByCount.has(from)) highest = to;
  }

  return {
    add(key) {
      const count = (counts.get(key) ?? 0) + 1;
      move(key, count - 1, count);
      return count;
    },
    remove(key) {
      const count = counts.get(key);
      if (count !== undefined) move(key, count, count - 1);
    },
    count: (key) => counts.get(key) ?? 0,
    get total() {
      return total;
    },
    heaviest: () => keysByCount.get(highest)?.values().next().value,
  };
}
