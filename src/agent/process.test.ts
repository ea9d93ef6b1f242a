import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { launch } from './process.ts';

const quiet = { env: {}, onLine: () => undefined };

test('a process that has ended gets no signal: its pid may be somebody else’s', async () => {
  const child = await launch({ ...quiet, binary: '/bin/sh', argv: ['-c', 'exit 3'] });
  expect(await child.ended).toEqual({ exitCode: 3, signal: undefined });
  expect(child.terminate()).toBe(false);
});

test('every process is seen by one that may open few files', async () => {
  const pids = await Promise.all(
    Array.from({ length: 60 }, async () => {
      const child = spawn('sleep', ['60']);
      onTestFinished(() => void child.kill());
      await once(child, 'spawn');
      return child.pid;
    }),
  );
  const table = join(import.meta.dirname, 'process-table.ts');
  const script = `
    const { runningProcesses } = await import(${JSON.stringify(table)});
    console.log(JSON.stringify((await runningProcesses()).map(({ pid }) => pid)));`;
  const few = 'ulimit -n 80 && exec "$0" "$@"';
  const node = [process.execPath, '--conditions=source', '--input-type=module', '--eval', script];
  const { stdout } = await promisify(execFile)('sh', ['-c', few, ...node]);
  expect(JSON.parse(stdout)).toEqual(expect.arrayContaining(pids));
});
