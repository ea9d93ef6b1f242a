import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
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

/** The packages that a command loads, as V8 saw them. */
async function packagesOf(...argv: string[]): Promise<ReadonlySet<string>> {
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-coverage-'));
  const main = join(import.meta.dirname, '..', 'main.ts');
  const env = { ...process.env, NODE_V8_COVERAGE: directory };
  await new Promise((resolve) =>
    execFile(process.execPath, ['--conditions=source', main, ...argv], { env }, resolve),
  );
  const [file = ''] = await readdir(directory);
  const { result } = JSON.parse(await readFile(join(directory, file), 'utf8')) as {
    result: ReadonlyArray<{ url: string }>;
  };
  await rm(directory, { recursive: true });
  const packages = result.map(({ url }) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? '');
  return new Set(packages.filter((name) => name !== ''));
}

test.each([
  [['--help']],
  [['gateway', '--help']],
  [['gateway', 'nodes', '--help']],
  [['gateway', 'setup', '--help']],
  [['agent', '--help']],
])('the help of %j loads neither the container nor what its command runs on', async (argv) => {
  const packages = await packagesOf(...argv);
  expect(packages).toContain('commander');
  // The help of `agent` asks the installed k3s for its flags, which loads what reads settings.
  const settings = argv[0] === 'agent' ? [] : ['zod'];
  for (const heavy of ['tsyringe', 'fastify', '@kubernetes/client-node', '@mysten/sui', ...settings])
    expect(packages).not.toContain(heavy);
});
