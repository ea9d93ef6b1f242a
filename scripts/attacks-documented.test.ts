import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const text = (path: string) => readFileSync(join(root, path), 'utf8');

interface Mounted {
  readonly attack: string;
  readonly tests: readonly { readonly file: string; readonly name: string }[];
}

/** The rows of the tables of attacks; a link is followed by the names of tests in its file. */
function attacksInDocs(): readonly Mounted[] {
  const [, section = ''] = /^## Attacks.*\n([\s\S]*?)^## /m.exec(text('docs/security.md')) ?? [];
  return section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| attack |'))
    .map((line) => {
      const [attack = '', , cell = ''] = line.slice(1, -1).split(' | ');
      const tests = cell.split('<br>').flatMap((part) => {
        const [, file = '', names = ''] = /^ *\[[^\]]+\]\(\.\.\/([^)]+)\)(.*)$/.exec(part) ?? [];
        return [...names.matchAll(/“([^”]+)”/g)].flatMap(([, name]) => (name ? { file, name } : []));
      });
      return { attack: attack.trim(), tests };
    });
}

/** Whether a test, or one of the cases it is run with, has this name. `…` is what the test fills in. */
function isTestOf(source: string, name: string): boolean {
  const words = name
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('(?:%[a-z]|\\$\\w+)');
  return new RegExp(`(['"\`])${words}\\1|\\bfun ${words}\\(`).test(source);
}

test('every attack in docs/security.md names the tests that mount it, and they exist', () => {
  const attacks = attacksInDocs();
  expect(attacks.length).toBeGreaterThan(50);
  expect(attacks.filter(({ tests }) => tests.length === 0)).toEqual([]);
  const missing = attacks.flatMap(({ tests }) =>
    tests.filter(({ file, name }) => file === '' || !isTestOf(text(file), name)),
  );
  expect(missing).toEqual([]);
});

test('docs/security.md tells of every attack that is mounted on the world of real processes', () => {
  const file = 'integration/attacks.suite.ts';
  const names = [...text(file).matchAll(/(?:\btest|\]\))\(\s*(['"`])(.+?)\1/g)].map(
    ([, , name = '']) => name,
  );
  const named = attacksInDocs().flatMap(({ tests }) => tests.filter((one) => one.file === file));
  const told = new Set(named.map(({ name }) => name));
  expect(names.length).toBeGreaterThan(25);
  expect(names.map((name) => name.replaceAll(/%[a-z]/g, '…')).filter((name) => !told.has(name))).toEqual([]);
});
