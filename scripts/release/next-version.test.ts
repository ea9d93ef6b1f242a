import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root, version } from './artefact.ts';
import { nextChangelog, nextLockfile, nextPage } from './next-version.ts';
import { FOLLOWERS } from './set-version.ts';

const step = { from: version, to: '9.8.7', date: '2027-01-02' };
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const names = (text: string) => nextPage(text, { ...step, to: 'FOUND' }).includes('FOUND');

describe.each(Object.entries(FOLLOWERS))('%s, when a version is set,', (path, next) => {
  test('names the new version and, but for the changelog, no longer the old one', () => {
    const text = next(read(path), step);
    expect(text).toContain('9.8.7');
    if (path !== 'CHANGELOG.md' && path !== 'package-lock.json') expect(names(text)).toBe(false);
  });
});

test('of the lockfile nothing changes but our own two packages', () => {
  const before = read('package-lock.json');
  expect(nextLockfile(before, { ...step, to: version })).toBe(before);
  const lines = (text: string) => text.split('\n');
  const after = lines(nextLockfile(before, step));
  const changed = lines(before).filter((line, index) => line !== after[index]);
  expect(changed).toHaveLength(5);
});

test('every file that names the version follows it, or is made from one that does', () => {
  const found = spawnSync('git', ['grep', '-lF', version, '--', ':!*.sum', ':!*go.mod'], {
    cwd: root,
    encoding: 'utf8',
  }).stdout;
  const made = ['deploy/kubernetes/gateway.yaml', 'deploy/chart/Chart.yaml'];
  const naming = found
    .split('\n')
    .filter((path) => path !== '' && !made.includes(path) && names(read(path)))
    .filter((path) => !/\.test\.ts$|next-version|^package-lock/.test(path));
  for (const path of naming) expect(Object.keys(FOLLOWERS)).toContain(path);
});

describe('the changelog', () => {
  const text = '# Changelog\n\n## Unreleased\n\n### Added\n- One thing.\n\n## 0.0.1 (2025-01-01)\n- First.\n';

  test('gives what is unreleased to the version', () => {
    expect(nextChangelog(text, step)).toContain('## Unreleased\n\n## 9.8.7 (2027-01-02)\n\n### Added\n- One');
  });

  test('has to say what changed', () => {
    const empty = '# Changelog\n\n## Unreleased\n\n## 0.0.1 (2025-01-01)\n- First.\n';
    expect(() => nextChangelog(empty, step)).toThrow('say what changed');
  });
});
