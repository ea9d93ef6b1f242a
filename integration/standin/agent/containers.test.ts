import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { until } from '../agent-world.ts';
import { killShim, sandboxId, shimsOf, startShim } from './containers.ts';

test('a pod that is not made by the stand-in is none of its own, whatever its shim is called', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'containers-'));
  const address = join(directory, 'containerd.sock');
  const words = ['-namespace', 'k8s.io', '-id', sandboxId('real'), '-address', address];
  const real = spawn(process.execPath, ['--eval', 'setInterval(() => {}, 60_000)', '--', ...words], {
    argv0: 'containerd-shim-runc-v2',
    stdio: 'ignore',
  });
  onTestFinished(() => {
    for (const shim of shimsOf(address)) killShim(shim);
    real.kill('SIGKILL');
    return rm(directory, { recursive: true });
  });
  startShim(sandboxId('own'), address);
  const ids = () => shimsOf(address).map(({ id }) => id);
  // A process that just begins shows another command line for a moment.
  await until(() => ids().includes(sandboxId('own')));
  await expect.poll(ids).toEqual([sandboxId('own')]);
});
