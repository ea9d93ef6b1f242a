import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, chown, copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '#base';
import { countPods, killPods } from '../../src/agent/pods.ts';
import { sandboxId, shimProgram, startShim } from './agent/containers.ts';
import { until } from './agent-world.ts';
import { commandLineOf, isRunning } from './machine-processes.ts';

const blank = join(import.meta.dirname, 'agent', 'process.pl');
const stranger = 65_534;
const isRoot = process.geteuid?.() === 0;

let directory: string;
let address: string;
const started: ChildProcess[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pods-'));
  await chmod(directory, 0o755);
  address = join(directory, 'containerd.sock');
});
afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  await rm(directory, { recursive: true });
});

/** A process with the command line of a shim of our containerd. */
async function startLike(program: string, uid?: number): Promise<number> {
  const words = ['-namespace', 'k8s.io', '-id', sandboxId(program), '-address', address];
  const child = spawn(program, [blank, 'child', '-', 'containerd-shim-runc-v2', ...words], {
    stdio: 'ignore',
    ...(uid !== undefined && { uid, gid: uid }),
  });
  started.push(child);
  await until(() => commandLineOf(child.pid ?? 0).includes(address));
  return child.pid ?? 0;
}

test('a process that only calls itself a shim is no pod: it is neither counted nor killed, and holds no lock-out up', async () => {
  const like = await startLike('perl');
  startShim(sandboxId('pod'), address);
  await until(async () => (await countPods(address)) === 1);
  // A shim detaches by starting itself once more: which of the two is there is a matter of moments.
  const killed = await killPods(address, systemClock);
  expect(killed).not.toEqual([]);
  expect(killed).not.toContain(like);
  expect(await countPods(address)).toBe(0);
  expect(isRunning(like)).toBe(true);
});

test.skipIf(!isRoot)(
  'processes of a local user that look like shims, by program too, are no pods (needs root)',
  async () => {
    const own = join(directory, 'own');
    await mkdir(own);
    const program = join(own, 'containerd-shim-runc-v2');
    await copyFile(shimProgram(directory), program);
    await chown(program, stranger, stranger);
    const likes = [
      // The real program, run by a stranger.
      await startLike(shimProgram(directory), stranger),
      // A program of the stranger's own, also when root is made to run it.
      await startLike(program, stranger),
      await startLike(program),
    ];
    expect(await countPods(address)).toBe(0);
    expect(await killPods(address, systemClock)).toEqual([]);
    expect(likes.filter(isRunning)).toEqual(likes);
  },
);
