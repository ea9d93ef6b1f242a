import { expect, test } from 'vitest';
import { drawBootstrapToken } from './bootstrap-token.ts';

test('a drawn token has the form that k3s sends as Bearer, and no two are alike', () => {
  const tokens = Array.from({ length: 500 }, drawBootstrapToken);
  for (const { id, secret } of tokens) expect(`${id}.${secret}`).toMatch(/^[a-z0-9]{6}\.[a-z0-9]{16}$/);
  expect(new Set(tokens.map(({ secret }) => secret)).size).toBe(tokens.length);
});

test('every character of the alphabet is drawn about equally often', () => {
  const counts = new Map<string, number>();
  for (let round = 0; round < 4_000; round += 1)
    for (const character of drawBootstrapToken().secret)
      counts.set(character, (counts.get(character) ?? 0) + 1);
  // 64 000 draws of 36 characters: 1 778 each; a byte modulo 36 would draw the first four 14 % more often.
  expect(counts.size).toBe(36);
  for (const [character, count] of counts) expect(Math.abs(count - 64_000 / 36), character).toBeLessThan(230);
});
