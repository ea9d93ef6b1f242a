import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ourProgram } from './world/program.ts';

const mayMount = spawnSync('unshare', ['-m', 'sh', '-c', 'mount -t tmpfs none /mnt']).status === 0;

test.skipIf(!mayMount)('on a full disk a host names the file, and what to do (needs root)', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'full-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const state = join(directory, 'state');
  await mkdir(state, { mode: 0o700 });
  const config = join(directory, 'k3s-daas.json');
  const id = `0x${'1'.repeat(64)}`;
  await writeFile(
    config,
    JSON.stringify({
      nodeId: 'w1',
      stateDir: state,
      health: { port: 0 },
      chain: {
        endpoints: ['http://127.0.0.1:9'],
        chainId: '9QFYpEsRmyyQTDKVBYbPxHwqQk7rPbVgYTqgHjGPjGhY',
        packageId: id,
        clusterId: id,
        timeoutMs: 500,
      },
    }),
  );
  const fill =
    'mount -t tmpfs -o size=64k none "$0"; dd if=/dev/zero of="$0/fill" bs=4k 2>/dev/null; exec "$@"';
  const args = ['-m', 'sh', '-c', fill, state, ...ourProgram, 'agent', '--json', '--config', config];
  const { status, stderr } = spawnSync('unshare', args, { encoding: 'utf8', timeout: 60_000 });
  expect(stderr).toContain('DAAS_DISK_FULL');
  expect(stderr).toContain(join(state, 'host.lock'));
  expect(stderr).toContain('Free space there');
  expect(status).toBe(75);
});
