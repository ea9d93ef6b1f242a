import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Program, projectRoot } from './world/program.ts';

/** The demo as a user starts it, and a stranger's script beside it: integration/outsider/check.mjs. */
let directory: string;
let demo: Program;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-daas-outsider-'));
  demo = new Program({
    name: 'the demo',
    args: ['--json', '--keep'],
    logFile: join(directory, 'demo.log'),
    command: [process.execPath, '--conditions=source', join(projectRoot, 'integration', 'demo', 'main.ts')],
  });
  await demo.event('world.kept', { withinMs: 110_000 });
});
afterAll(async () => {
  await demo?.stop(30_000);
  await rm(directory, { recursive: true, force: true });
});

test('the demo tells everything that it has to, once', () => {
  const told = demo.lines.map(({ event, worker }) => [event, worker].filter(Boolean).join(' '));
  for (const one of [
    'chain.ready',
    'gateway.ready',
    'cluster.ready',
    ...['worker-1', 'worker-2'].flatMap((worker) =>
      ['stake.created', 'seal.minted', 'worker.registered', 'worker.ready', 'heartbeat.acknowledged'].map(
        (event) => `${event} ${worker}`,
      ),
    ),
    'stake.slashed worker-1',
    'agent.stopped worker-1',
    'node.removed worker-1',
    'rejoin.refused worker-1',
  ])
    expect(
      told.filter((other) => other === one),
      one,
    ).toHaveLength(1);
  const times = demo.lines.map(({ atMs }) => Number(atMs));
  expect(times).toEqual(times.toSorted((left, right) => left - right));
});

test('a script that imports nothing of ours finds all of it, and is refused with what it should be', async () => {
  const events = join(directory, 'events.jsonl');
  await writeFile(events, demo.lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const script = join(projectRoot, 'integration', 'outsider', 'check.mjs');
  const { stdout } = await promisify(execFile)(process.execPath, [script, events], { timeout: 100_000 });
  for (const attack of [
    'the token hash from the chain',
    'a replayed proof',
    'another node’s key',
    'a look-alike object of another package',
    'mock_seal_x',
  ])
    expect(stdout).toContain(`ok  refused: ${attack}`);
});

test('Ctrl-C puts everything away, and ends with 0', async () => {
  const { directory: world } = demo.lines.find(({ event }) => event === 'world.kept') as {
    directory?: string;
  };
  demo.kill('SIGINT');
  expect(await demo.exited).toEqual({ code: 0, signal: null });
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'args']);
  expect(stdout).not.toContain(world);
});
