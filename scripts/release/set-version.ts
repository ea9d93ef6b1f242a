import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, version } from './artefact.ts';
import { MINUTE_MS, outputOf } from './child.ts';
import {
  nextChangelog,
  nextDevnetManifest,
  nextLockfile,
  nextManifest,
  nextPage,
  type Step,
} from './next-version.ts';

/**
 * npm's script `version`: `npm version 0.2.0` has set the version of package.json and runs this before it commits and tags. Everything
 * else that names the version follows, and is added to the commit.
 */
export const FOLLOWERS: Readonly<Record<string, (text: string, step: Step) => string>> = {
  'package.json': nextManifest,
  'devnet/package.json': nextDevnetManifest,
  'package-lock.json': nextLockfile,
  'CHANGELOG.md': nextChangelog,
  ...Object.fromEntries(
    [
      'README.md',
      'docs/install.md',
      'docs/getting-started.md',
      'docs/plugins.md',
      'deploy/install.sh',
      'integration/docs/not-run.ts',
      'integration/example-plugin/package.json',
      'integration/replacement-plugin/package.json',
    ].map((page) => [page, nextPage]),
  ),
};

if (import.meta.main) {
  const read = (path: string) => readFileSync(join(root, path), 'utf8');
  const { version: from } = JSON.parse(read('devnet/package.json')) as { version: string };
  const step: Step = { from, to: version, date: new Date().toISOString().slice(0, 10) };
  // Every text is made before one is written.
  const texts = Object.entries(FOLLOWERS).map(([path, next]) => [path, next(read(path), step)] as const);
  for (const [path, text] of texts) writeFileSync(join(root, path), text);
  const { unitFiles } = await import('../unit-files.ts');
  for (const [path, text] of Object.entries(unitFiles)) writeFileSync(join(root, path), text);
  const changed = [...Object.keys(FOLLOWERS), ...Object.keys(unitFiles)];
  outputOf('git', ['add', ...changed], { cwd: root, withinMs: MINUTE_MS });
}
