import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { manPage } from '../src/cli/man-page.ts';
import { roots } from './command-lines.ts';

const hasGroff = spawnSync('groff', ['--version']).status === 0;

test('the manual page names every command and flag', () => {
  const page = manPage('1.2.3', roots).replaceAll('\\-', '-');
  for (const command of roots) {
    expect(page).toContain(`.SS k3s-daas ${command.name()}`);
    for (const { flags } of command.options) expect(page).toContain(`.B ${flags}`);
  }
  expect(page).toContain('"k3s-daas 1.2.3"');
});

test.skipIf(!hasGroff)('groff takes it without a warning, and nothing is lost in it', () => {
  const { stdout, stderr } = spawnSync(
    'groff',
    ['-man', '-Tutf8', '-P-c', '-P-b', '-P-u', '-ww', '-rLL=200n'],
    {
      input: manPage('1.2.3', roots),
      encoding: 'utf8',
    },
  );
  expect(stderr).toBe('');
  expect(stdout).toContain('k3s-daas gateway nodes');
  expect(stdout).toContain('--dry-run');
});
