import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commandProblem } from './command-lines.ts';

const root = join(import.meta.dirname, '..');
const texts = [
  'docs/errors.md',
  ...['src/**/*.ts', 'plugins/**/*.ts'].flatMap((pattern) => globSync(pattern, { cwd: root })),
]
  .filter((path) => !/\.(test|suite|fixture)\b/.test(path))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

test('every command that an error or docs/errors.md names as its remedy can be typed', () => {
  const named = texts.flatMap(({ path, text }) =>
    [...text.matchAll(/[`']k3s-daas ([a-z][^`'$|,;\n\\]*)(?!\\n|[^`'$|,;\n\\])/g)].map(([, line = '']) => ({
      path,
      line: line.trim(),
    })),
  );
  expect(named.length).toBeGreaterThan(15);
  const wrong = named.flatMap(({ path, line }) => {
    const words = line.split(/\s+/).filter((word) => word !== '');
    const problem = commandProblem(words, { allowsK3sFlags: false });
    return problem === undefined ? [] : [`${path}: ${problem}`];
  });
  expect(wrong).toEqual([]);
});

test('a call of the contract that an entry names is one that docs/contracts.md lists', () => {
  const contracts = readFileSync(join(root, 'docs/contracts.md'), 'utf8');
  const rows = readFileSync(join(root, 'docs/errors.md'), 'utf8')
    .split('\n')
    .map((row) => row.split(' | '))
    .filter((cells) => cells.length === 4);
  expect(rows.length).toBeGreaterThan(100);
  for (const [code, , remedy = ''] of rows)
    for (const [, name = ''] of remedy.matchAll(/`\w+::(\w+)`/g))
      expect([code, contracts.includes(`\`${name}\``)]).toEqual([code, true]);
});
