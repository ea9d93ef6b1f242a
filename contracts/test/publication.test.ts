import { readFileSync } from 'node:fs';
import { deserialize } from '@mysten/move-bytecode-template';
import { describe, expect, test } from 'vitest';
import { namedErrors } from './modules.ts';
import { BUILD_FILE } from './move.ts';

const { modules } = JSON.parse(readFileSync(BUILD_FILE, 'utf8')) as { modules: Record<string, string> };

// An abort in an initializer fails the publication as a whole, and code of Display V1 aborts on the public networks.
describe.each(Object.entries(modules))('the module %s', (_name, base64) => {
  const { identifiers } = deserialize(Buffer.from(base64, 'base64')) as { identifiers: string[] };

  test('has no initializer, so publishing runs no code of it', () => {
    expect(identifiers).not.toContain('init');
  });

  test('needs neither Display nor a publisher', () => {
    expect(identifiers).not.toContain('display');
    expect(identifiers).not.toContain('Publisher');
  });
});

test('the sentences of the named errors say what is wrong without nobody or whoever', () => {
  const sentences = namedErrors(modules).map(({ sentence }) => sentence);
  expect(sentences).toContain('That node id is not reserved');
  expect(sentences.filter((sentence) => /\b(nobody|whoever)\b/i.test(sentence))).toEqual([]);
});
