import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';

interface Ended {
  readonly code: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...argv: string[]): Promise<Ended> {
  const main = join(import.meta.dirname, '..', 'main.ts');
  return new Promise((resolve) => {
    execFile(process.execPath, ['--conditions=source', main, ...argv], (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}

const nowhere = '/nowhere.json';

test.each([
  ['before the command', ['--json', 'contracts', 'publish', '--build', nowhere]],
  ['between command and subcommand', ['contracts', '--json', 'publish', '--build', nowhere]],
  ['after the command', ['contracts', 'publish', '--build', nowhere, '--json']],
])('--json may stand %s', async (_, argv) => {
  const { code, stdout, stderr } = await run(...argv);
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'DAAS_CONTRACT_BUILD_UNREADABLE' } });
  expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
});

test('a word behind -- is no flag', async () => {
  const { stderr } = await run('contracts', 'publish', '--build', nowhere, '--', '--json');
  expect(stderr).toContain('DAAS_COMMAND_LINE_INVALID: see docs/errors.md');
});

test('what is no command, not even one that every object has, is answered with a code and exit code 78', async () => {
  const { code, stderr } = await run('constructor', '--json');
  expect(JSON.parse(stderr)).toMatchObject({ error: { code: 'DAAS_COMMAND_LINE_INVALID' } });
  expect(code).toBe(78);
});
