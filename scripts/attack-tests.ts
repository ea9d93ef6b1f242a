import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ATTACKS } from './attacks.ts';

const PATTERNS = [
  '{src,plugins,integration,devnet,contracts}/**/*.{test,suite}.ts',
  'contracts/tests/*.move',
];
/** A string on one line, or the name of a Move test. */
const NAMES = /(['"`])((?:(?!\1)[^\\\n]|\\.)*)\1|\bfun (\w+)\(/g;

/** The files that hold a test of each name; what a test fills in is `…`. */
export function testFiles(root: string): ReadonlyMap<string, readonly string[]> {
  const files = new Map<string, string[]>();
  const paths = PATTERNS.flatMap((pattern) => globSync(pattern, { cwd: root }));
  for (const path of paths.filter((one) => !one.includes('node_modules')).toSorted())
    for (const name of namesIn(readFileSync(join(root, path), 'utf8')))
      files.set(name, [...(files.get(name) ?? []), path]);
  return files;
}

function namesIn(source: string): ReadonlySet<string> {
  return new Set(
    [...source.matchAll(NAMES)].map(([, , title, move]) =>
      (title ?? move ?? '').replaceAll(/\\(.)/g, '$1').replaceAll(/%[a-z]|\$\w+/g, '…'),
    ),
  );
}

/** docs/attacks.md. */
export function attacksPage(files: ReadonlyMap<string, readonly string[]>): string {
  const groups = ATTACKS.flatMap(({ by, attacks }) => [
    `## ${by}`,
    '',
    '| attack | what stops it | tests |',
    '|---|---|---|',
    ...attacks.map(({ attack, defence, tests }) => `| ${attack} | ${defence} | ${links(tests, files)} |`),
    '',
  ]);
  return [...HEAD, ...groups].join('\n');
}

const HEAD = [
  '# Attacks, and the tests that mount them',
  '',
  'An annex of the [security page](security.md), for auditors. It is made from `scripts/attacks.ts` by `npm run attacks`; a test',
  'compares. Each link is the file of a test, its title is the name of the test (`…` stands for what the test fills in). Suites',
  '(`*.suite.ts`) run on the stand-ins by default, on a real API server with `npm run test:kube`, and those of the attacks and crashes',
  'on a real k3s with `K3S_BIN` ([testing](testing.md)).',
  '',
];

function links(names: readonly string[], files: ReadonlyMap<string, readonly string[]>): string {
  return names
    .map((name) => {
      const path = files.get(name)?.[0];
      if (path === undefined) throw new Error(`no test is named “${name}” (scripts/attacks.ts)`);
      return `[${basename(path)}](../${path} "${name.replaceAll('"', '”').replaceAll('|', '\\|')}")`;
    })
    .join(' ');
}
