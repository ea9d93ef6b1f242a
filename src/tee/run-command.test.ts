import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isAlive, processIdentity } from '#infrastructure';
import type { Evidence } from './evidence.ts';
import { policyOf } from './policy.fixture.ts';
import { runCommand } from './run-command.ts';

let directory: string;
let program: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tee-run-'));
  program = join(directory, 'verify');
});
afterEach(() => rm(directory, { recursive: true }));

async function run(script: string, { bytes = Buffer.of(1), timeout = '10s', mode = 0o755 } = {}) {
  await writeFile(program, `#!/bin/sh\n${script}\n`);
  await chmod(program, mode);
  const evidence: Evidence = { kind: 'command', format: 'cca', bytes, collateral: [] };
  const policy = policyOf({ command: { programs: { cca: { program, timeout } }, measurements: 'any' } });
  return runCommand(evidence, policy, { nowMs: 7 });
}

test('the program gets the question, no variable of ours, and gives the answer', async () => {
  process.env.K3S_DAAS_TEST_SECRET = 'x';
  const outcome = await run('cat; echo "secret=$K3S_DAAS_TEST_SECRET"');
  delete process.env.K3S_DAAS_TEST_SECRET;
  expect(outcome).toEqual({
    kind: 'answered',
    output: '{"format":"cca","evidence":"AQ==","reportData":null,"nowMs":7}\nsecret=\n',
  });
});

test('a program that others can write is not run', async () => {
  const mark = join(directory, 'ran');
  const outcome = await run(`touch ${mark}`, { mode: 0o777 });
  expect(outcome).toMatchObject({
    kind: 'failed',
    message: expect.stringContaining('can be written by everybody'),
  });
  await expect(readFile(mark)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('evidence that is too long is not handed to a program', async () => {
  const mark = join(directory, 'ran');
  const outcome = await run(`touch ${mark}`, { bytes: Buffer.alloc(1_048_577) });
  expect(outcome).toMatchObject({ kind: 'failed', message: expect.stringContaining('1048577 bytes') });
  await expect(readFile(mark)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a program whose time is over ends with all that it started', async () => {
  const file = join(directory, 'child');
  const outcome = await run(`sleep 600 & echo $! >${file}.new; mv ${file}.new ${file}; wait`, {
    timeout: '2s',
  });
  expect(outcome).toMatchObject({ kind: 'failed', message: expect.stringContaining('did not end within') });
  const child = await processIdentity(Number(await readFile(file, 'utf8')));
  await expect.poll(async () => child !== undefined && (await isAlive(child))).toBe(false);
});

test('a program that fails or prints without an end is a failure that says so', async () => {
  expect(await run('echo broken >&2; exit 3')).toMatchObject({
    kind: 'failed',
    message: expect.stringContaining('it ended with 3: broken'),
  });
  expect(await run('exec cat /dev/zero')).toMatchObject({
    message: expect.stringContaining('more than 65536 bytes'),
  });
  expect(await run('exit 0', { bytes: Buffer.alloc(500_000) })).toEqual({ kind: 'answered', output: '' });
});
