import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const helper = pathToFileURL(join(import.meta.dirname, 'run-child.mjs')).href;

/** A script that runs `child` as a task of `npm run` runs a step, and ends with its exit code; `before` comes first. */
async function wrapperOf(child: string, before = ''): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-run-child-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'wrapper.mjs');
  await writeFile(
    file,
    `import { existsSync } from 'node:fs';
     import { runChild } from ${JSON.stringify(helper)};
     const mark = process.argv[1] + '.interrupted';
     ${before}
     process.exitCode = await runChild(process.execPath, ['--eval', ${JSON.stringify(child)}, mark]);`,
  );
  return file;
}

test.each([
  ['of a child that ends by itself', 'process.exit(77)', 77],
  ['of a child that SIGKILL has ended', "process.kill(process.pid, 'SIGKILL')", 137],
  ['of a child that SIGINT has ended', "process.kill(process.pid, 'SIGINT')", 130],
])('the exit code %s is passed on', async (_, child, expected) => {
  const wrapper = spawn(process.execPath, [await wrapperOf(child)], { stdio: 'inherit' });
  const [code] = (await once(wrapper, 'exit')) as [number];
  expect(code).toBe(expected);
});

/** Counts Ctrl-Cs, tells of the first, and tells how many there were when SIGTERM ends it. */
const counter = `
  let count = 0;
  process.on('SIGINT', () => {
    count += 1;
    if (count > 1) return;
    require('node:fs').writeFileSync(process.argv[1], '');
    console.log('interrupted ' + process.ppid);
  });
  process.on('SIGTERM', () => { console.log('counted ' + count); process.exit(0); });
  setInterval(() => undefined, 1000);
  console.log('ready ' + process.ppid);`;

test('a signal that only the wrapper got is passed on', async () => {
  const wrapper = spawn(process.execPath, [await wrapperOf(counter)], {
    // A session of its own: without a terminal.
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const told: string[] = [];
  for await (const line of createInterface({ input: wrapper.stdout })) {
    told.push(line.split(' ', 1)[0] ?? '');
    if (line.startsWith('ready')) wrapper.kill('SIGINT');
    if (line.startsWith('interrupted')) wrapper.kill('SIGTERM');
  }
  expect(told).toEqual(['ready', 'interrupted', 'counted']);
});

test('a Ctrl-C on a terminal, which reaches wrapper and child alike, counts once', async () => {
  // Two that arrive together are one to the kernel: the wrapper passes its own on when the child has taken the first.
  const patient = "process.on('SIGINT', () => { while (!existsSync(mark)); });";
  const command = `${process.execPath} ${await wrapperOf(counter, patient)}`;
  const terminal = spawn('script', ['--quiet', '--command', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let counted: string | undefined;
  for await (const line of createInterface({ input: terminal.stdout })) {
    const [, word, value] = /(ready|interrupted|counted) (\d+)/.exec(line) ?? [];
    if (word === 'ready') terminal.stdin.write('\u0003');
    // The wrapper has the Ctrl-C too, and would pass it on before this.
    if (word === 'interrupted') process.kill(Number(value), 'SIGTERM');
    if (word === 'counted') counted = value;
  }
  expect(counted).toBe('1');
});
