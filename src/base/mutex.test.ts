import { expect, test } from 'vitest';
import { createMutex } from './mutex.ts';

test('bodies run one at a time and in order, also after one that failed', async () => {
  const exclusive = createMutex();
  const steps: string[] = [];
  const body = (name: string) => async () => {
    steps.push(`${name} begins`);
    await Promise.resolve();
    steps.push(`${name} ends`);
    if (name === 'b') throw new Error(name);
    return name;
  };
  const results = await Promise.allSettled(['a', 'b', 'c'].map((name) => exclusive(body(name))));
  expect(steps).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});
