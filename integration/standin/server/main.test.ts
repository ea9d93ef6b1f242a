import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { openKubernetes } from '#cluster';
import { send } from './worker.ts';

function run(...args: string[]): ChildProcess & { stderr: NodeJS.ReadableStream } {
  const main = join(import.meta.dirname, 'main.ts');
  const child = spawn(process.execPath, ['--conditions=source', main, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child as ChildProcess & { stderr: NodeJS.ReadableStream };
}

test('the program says that it is a stand-in, serves, writes what k3s writes, and ends on SIGTERM with 0', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'standin-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const tokenFile = join(directory, 'token-file');
  await writeFile(tokenFile, 'operators-own\n');
  const dataDir = join(directory, 'data');
  const kubeconfig = join(directory, 'k3s.yaml');
  const child = run(
    'server',
    '-d',
    dataDir,
    '--https-listen-port',
    '0',
    '--token-file',
    tokenFile,
    '--write-kubeconfig',
    kubeconfig,
    '--node-name',
    'server-0',
  );
  const lines: string[] = [];
  for await (const line of createInterface(child.stderr)) {
    lines.push(line);
    if (line.includes('k3s is up and running')) break;
  }
  expect(lines.join('\n')).toMatch(/level=info msg="This is a stand-in for k3s server/);
  const url = /Listening on (https:\S+),/.exec(lines.join('\n'))?.[1] ?? '';
  const ca = await readFile(join(dataDir, 'server/tls/server-ca.crt'), 'utf8');
  expect((await send({ url: `${url}/ping`, ca })).text).toBe('pong');
  expect(await readFile(join(dataDir, 'server/token'), 'utf8')).toMatch(
    /^K10[0-9a-f]{64}::server:operators-own\n$/,
  );
  for (const path of [
    kubeconfig,
    join(dataDir, 'server/cred/admin.kubeconfig'),
    join(dataDir, 'server/token'),
  ])
    expect((await stat(path)).mode & 0o777, path).toBe(0o600);
  await using cluster = openKubernetes({ kubeconfig: { path: kubeconfig } });
  expect(await cluster.nodes()).toMatchObject([{ name: 'server-0', isReady: true }]);

  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('without a data directory the program explains itself and ends with 1', async () => {
  const child = run('server');
  let text = '';
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  expect((await once(child, 'close'))[0]).toBe(1);
  expect(text).toContain('A STAND-IN');
  expect(text).toContain('--data-dir');
});
