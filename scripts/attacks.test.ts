import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { attacksPage, testFiles } from './attack-tests.ts';
import { ATTACKS } from './attacks.ts';

const root = join(import.meta.dirname, '..');
const files = testFiles(root);
const attacks = ATTACKS.flatMap((group) => group.attacks);

test('every attack names tests that mount it, and they exist', () => {
  expect(attacks.length).toBeGreaterThan(50);
  expect(attacks.filter(({ tests }) => tests.length === 0)).toEqual([]);
  expect(attacks.flatMap(({ tests }) => tests).filter((name) => !files.has(name))).toEqual([]);
});

test('every attack on the world of real processes is in the table', () => {
  const source = globSync('integration/attacks-*.suite.ts', { cwd: root })
    .map((path) => readFileSync(join(root, path), 'utf8'))
    .join('\n');
  const mounted = [...source.matchAll(/(?:\btest|\]\))\(\s*(['"`])(.+?)\1/g)].map(([, , name = '']) =>
    name.replaceAll(/%[a-z]/g, '…'),
  );
  const named = new Set(attacks.flatMap(({ tests }) => tests));
  expect(mounted.length).toBeGreaterThan(25);
  expect(mounted.filter((name) => !named.has(name))).toEqual([]);
});

test('docs/attacks.md is what `npm run attacks` makes of the table', () => {
  expect(readFileSync(join(root, 'docs/attacks.md'), 'utf8')).toBe(attacksPage(files));
});
