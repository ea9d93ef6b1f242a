import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ERROR_CODES } from '../src/base/error-codes.ts';

const root = join(import.meta.dirname, '..');
const sources = ['src/**/*.ts', 'devnet/src/**/*.ts', 'plugins/**/*.ts'].flatMap((pattern) =>
  globSync(pattern, { cwd: root }).filter((path) => path !== 'src/base/error-codes.ts'),
);

function codesInDocs(): Set<string> {
  const text = readFileSync(join(root, 'docs/errors.md'), 'utf8');
  return new Set([...text.matchAll(/^\| `(DAAS_[A-Z0-9_]+)` \|/gm)].flatMap(([, code]) => code ?? []));
}

test('every error code has a line in docs/errors.md, and every line a code', () => {
  expect([...codesInDocs()].toSorted()).toEqual([...ERROR_CODES].toSorted());
});

test('no error code is listed that nothing throws', () => {
  const thrown = new Set(
    sources.flatMap(
      (path) => readFileSync(join(root, path), 'utf8').match(/\bDAAS_[A-Z0-9_]*[A-Z0-9]\b/g) ?? [],
    ),
  );
  expect(ERROR_CODES.filter((code) => !thrown.has(code))).toEqual([]);
});
