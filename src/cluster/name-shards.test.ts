import { expect, test } from 'vitest';
import { NAME_SHARDS, nameNamespaces, namespaceOfName } from './name-shards.ts';

test('names spread evenly over the namespaces, each always to the same one', () => {
  const counts = new Map<string, number>();
  for (let index = 0; index < 5_000; index += 1) {
    const namespace = namespaceOfName(`worker-${index}`);
    counts.set(namespace, (counts.get(namespace) ?? 0) + 1);
  }
  expect(namespaceOfName('w1')).toBe('k3s-daas-names-1');
  expect([...counts.keys()].sort()).toEqual(nameNamespaces().sort());
  expect(Math.max(...counts.values())).toBeLessThan((2 * 5_000) / NAME_SHARDS);
});
