import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const sources = ['src/**/*.ts', 'devnet/src/**/*.ts', 'plugins/**/*.ts'].flatMap((pattern) =>
  globSync(pattern, { cwd: root }).filter(
    (path) => !/\.(test|suite|fixture)\b|-under-test\.|\/testing\//.test(path),
  ),
);

function codesInSources(): Map<string, string> {
  const codes = new Map<string, string>();
  for (const path of sources)
    for (const [, code] of readFileSync(join(root, path), 'utf8').matchAll(
      /['"`](DAAS_[A-Z0-9_]*[A-Z0-9])['"`]/g,
    ))
      if (code) codes.set(code, path);
  return codes;
}

function codesInDocs(): Set<string> {
  const text = readFileSync(join(root, 'docs/errors.md'), 'utf8');
  return new Set([...text.matchAll(/^\| `(DAAS_[A-Z0-9_]+)` \|/gm)].flatMap(([, code]) => code ?? []));
}

test('every error code a user can meet has a line in docs/errors.md', () => {
  const documented = codesInDocs();
  const missing = [...codesInSources()].filter(([code]) => !documented.has(code));
  expect(missing.map(([code, path]) => `${code} (${path})`)).toEqual([]);
});

test('docs/errors.md explains no code that has gone', () => {
  const known = codesInSources();
  expect([...codesInDocs()].filter((code) => !known.has(code))).toEqual([]);
});
