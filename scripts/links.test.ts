import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');
const documents = globSync('**/*.md', { cwd: root, exclude: ['node_modules', 'dist', '.cache'] });

const text = (path: string) => readFileSync(join(root, path), 'utf8');
const withoutCode = (markdown: string) =>
  markdown.replaceAll(/^ *(```+)[\s\S]*?^ *\1 *$/gm, '').replaceAll(/`[^`\n]*`/g, '``');

/** Targets of links and pictures that stay in the repository, as they are written. */
function linksOf(markdown: string): string[] {
  return [...withoutCode(markdown).matchAll(/\]\(([^()\s]+)\)/g)]
    .flatMap(([, target]) => target ?? [])
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** The anchors that GitHub gives to headings; the second of the same name gets `-1`. */
function anchorsOf(markdown: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of markdown
    .replaceAll(/^ *(```+)[\s\S]*?^ *\1 *$/gm, '')
    .matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const name = heading
      .toLowerCase()
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replaceAll(' ', '-');
    let anchor = name;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${name}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}

test.each(documents)('every link in %s leads somewhere', (document) => {
  const broken = linksOf(text(document)).filter((target) => {
    const [path = '', anchor] = target.split('#');
    const file = path === '' ? document : relative(root, join(root, dirname(document), path));
    if (!existsSync(join(root, file))) return true;
    return anchor !== undefined && !anchorsOf(text(file)).has(anchor);
  });
  expect(broken).toEqual([]);
});

// What npm run calls has to be there as well.
test('every npm script that a document names exists', () => {
  const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
  const unknown = documents.flatMap((document) =>
    [...text(document).matchAll(/npm run (?:--silent )?([a-z0-9][\w:-]*)/g)]
      .flatMap(([, script]) => script ?? [])
      .filter((script) => !Object.hasOwn(scripts, script))
      .map((script) => `${document}: npm run ${script}`),
  );
  expect(unknown).toEqual([]);
});

test('every path of the repository that a document names in code exists', () => {
  const named =
    /`((?:bin|config\.example\.json|contracts|docs|integration|plugins|scripts|src)(?:\/[\w./-]+)?)\/?`/g;
  const missing = documents.flatMap((document) =>
    [...text(document).matchAll(named)]
      .flatMap(([, path]) => path ?? [])
      .filter((path) => !existsSync(join(root, path)))
      .map((path) => `${document}: ${path}`),
  );
  expect(missing).toEqual([]);
});
