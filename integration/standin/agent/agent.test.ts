import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readFlags } from './flags.ts';
import { parseToken } from './join.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'standin-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** Nobody listens there. */
const server = 'https://127.0.0.1:9';
const hash = 'a'.repeat(64);

interface Started {
  readonly pid: number;
  readonly lines: string[];
  readonly exited: Promise<number | null>;
  says(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
}

function k3s(speed: number, ...argv: string[]): Started {
  const child = spawn(join(import.meta.dirname, 'k3s'), argv, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env.PATH, K3S_STANDIN_NODE: process.execPath, K3S_STANDIN_SPEED: String(speed) },
  });
  const lines: string[] = [];
  const reader = createInterface({ input: child.stderr });
  reader.on('line', (line) => lines.push(line));
  return {
    pid: child.pid ?? 0,
    lines,
    exited: once(child, 'close').then(([code]) => code as number | null),
    async says(text) {
      while (!lines.some((line) => line.includes(text))) await once(reader, 'line');
    },
    kill: (signal) => child.kill(signal),
  };
}

const agent = (...argv: string[]) => agentAt(20, ...argv);
const agentAt = (speed: number, ...argv: string[]) =>
  k3s(
    speed,
    'agent',
    '--rootless',
    '--data-dir',
    directory,
    '--config',
    join(directory, 'config.yaml'),
    ...argv,
  );

test('without a server or a token it ends with 1 and says why', async () => {
  const noServer = agent('--token', 'x');
  expect(await noServer.exited).toBe(1);
  expect(noServer.lines.at(-1)).toMatch(/^time="\S+" level=fatal msg="Error: --server is required"$/);
  const noToken = agent('--server', server);
  expect(await noToken.exited).toBe(1);
  expect(noToken.lines.at(-1)).toContain('--token is required');
});

test('a flag that k3s does not know ends it', async () => {
  const unknown = agent('--stake=1');
  expect(await unknown.exited).toBe(1);
  expect(unknown.lines.join('\n')).toContain('flag provided but not defined: -stake');
});

test('it says that it is a stand-in', async () => {
  const started = agent('--token', 'x');
  await started.says('This is a stand-in for k3s');
  await started.exited;
});

test('it waits 4 minutes for its token file, and then gives up', async () => {
  const started = agentAt(1000, '--server', server, '--token-file', join(directory, 'none'));
  expect(await started.exited).toBe(1);
  expect(started.lines.filter((line) => line.includes('to be available'))).toHaveLength(120);
  expect(started.lines.at(-1)).toContain('Timeout while trying to read the file');
});

test('a server that is away is asked for ever; SIGTERM then ends it with 1 and the last error', async () => {
  const started = agent(
    '--server',
    server,
    '--token',
    `K10${hash}::abcdef.0123456789abcdef`,
    '--lb-server-port=0',
  );
  await started.says('Failed to validate connection to cluster at');
  started.kill('SIGTERM');
  expect(await started.exited).toBe(1);
  expect(started.lines.at(-1)).toContain('level=fatal');
});

test('flags come before files, files before the environment, and lists add up', async () => {
  const config = join(directory, 'config.yaml');
  await mkdir(`${config}.d`);
  await writeFile(config, 'node-name: of-file\nnode-label: [a=1]\ndata-dir: /file\n');
  await writeFile(join(`${config}.d`, 'b.yaml'), 'node-label+: [b=2]\n');
  const env = { K3S_CONFIG_FILE: config, K3S_NODE_NAME: 'of-env', K3S_URL: 'https://of-env' };
  expect(await readFlags(['--node-label', 'c=3', '--data-dir', '/flag'], env, 'host')).toMatchObject({
    nodeName: 'of-file',
    server: 'https://of-env',
    dataDir: '/flag',
    nodeLabels: ['a=1', 'b=2', 'c=3'],
  });
});

test('only a bootstrap token travels as a Bearer', () => {
  expect(parseToken(`K10${hash}::abcdef.0123456789abcdef`)).toEqual({
    caHash: hash,
    authorization: 'Bearer abcdef.0123456789abcdef',
  });
  const basic = (password: string) => `Basic ${Buffer.from(`node:${password}`).toString('base64')}`;
  expect(parseToken(`K10${hash}::server:pw`).authorization).toBe(basic('pw'));
  expect(parseToken('ABCDEF.0123456789abcdef').authorization).toBe(basic('ABCDEF.0123456789abcdef'));
  expect(() => parseToken('')).toThrow('token must not be empty');
  expect(() => parseToken('K10ab::x')).toThrow('invalid token CA hash length');
});
