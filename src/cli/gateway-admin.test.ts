import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { banTarget, operatorCommands } from './gateway-admin.ts';
import { createIo } from './io.ts';

let directory: string;
let socket: string;
let server: Server | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'operator-'));
  socket = join(directory, 'operator.sock');
});
afterEach(async () => {
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = undefined;
  await rm(directory, { recursive: true });
});

interface Asked {
  readonly line: string;
  readonly body: unknown;
}

/** What answers on the socket, and what it was asked. */
async function serve(answer: (asked: Asked) => { status?: number; json: unknown }): Promise<Asked[]> {
  const all: Asked[] = [];
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      const asked = {
        line: `${request.method} ${request.url}`,
        body: text === '' ? undefined : (JSON.parse(text) as unknown),
      };
      all.push(asked);
      const { status = 200, json } = answer(asked);
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(json));
    });
  });
  await new Promise<void>((resolve) => server?.listen(socket, resolve));
  return all;
}

/** Runs one command; its stdout, or what it threw. */
async function run(argv: readonly string[], json = false): Promise<string> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const program = new Command('gateway').exitOverride().configureOutput({ writeErr: () => undefined });
  for (const command of operatorCommands(createIo({ json, stdout, stderr })))
    program.addCommand(command.exitOverride());
  await program.parseAsync([...argv, '--socket', socket, ...(json ? ['--json'] : [])], { from: 'user' });
  return String(stdout.read() ?? '');
}

const node = {
  node_id: 'worker-1',
  status: 'evicted',
  reason: 'slashed',
  since: 1,
  tier: 'basic',
  staker: `0x${'5'.repeat(64)}`,
  stake_record: '0xb',
  seal_token: '0xa',
  holder_key: 'k',
  incarnation: 2,
  fact: 'stake_slashed',
  held_for: null,
  locked: true,
  banned: true,
  node: null,
  last_heartbeat: 1_000,
  agent_state: 'ready',
  running_pods: 3,
};

describe('looking', () => {
  test('nodes as a table', async () => {
    await serve(() => ({ json: { timestamp: 61_000, nodes: [node] } }));
    const text = await run(['nodes']);
    expect(text).toMatch(/^NODE\s+STATUS/);
    expect(text).toMatch(/worker-1\s+evicted \(slashed\), banned, locked\s+stake_slashed .*60 s ago/);
  });

  test('nodes as one JSON object', async () => {
    await serve(() => ({ json: { timestamp: 61_000, nodes: [node] } }));
    expect(JSON.parse(await run(['nodes'], true))).toEqual({ timestamp: 61_000, nodes: [node] });
  });

  test('bans, and the breaker', async () => {
    await serve(({ line }) =>
      line.endsWith('bans')
        ? {
            json: {
              timestamp: 1,
              bans: [
                { subject: 'node_id', value: 'worker-1', reason: 'slashed', since: 0, stake_record: null },
              ],
            },
          }
        : { json: { tripped_at: 0, removals: [], held: ['worker-2'] } },
    );
    expect(await run(['bans'])).toContain('1970-01-01');
    expect(await run(['breaker'])).toContain('tripped at 1970-01-01T00:00:00.000Z; held: worker-2');
  });
});

describe('touching', () => {
  const actions = ['evict worker-1: name, join credential, pods, Node'];

  test('with --dry-run says what would be done and does nothing', async () => {
    const asked = await serve(() => ({ json: { done: false, actions } }));
    expect(await run(['evict', 'worker-1', '--dry-run'])).toContain(`would:\n  ${actions[0]}`);
    expect(asked.map(({ body }) => body)).toEqual([{ node_id: 'worker-1', lock: false, dry_run: true }]);
  });

  test('with --yes looks first and then does it', async () => {
    const asked = await serve(({ body }) => ({
      json: { done: (body as { dry_run?: boolean }).dry_run !== true, actions },
    }));
    expect(JSON.parse(await run(['evict', 'worker-1', '--lock', '--yes'], true))).toEqual({
      done: true,
      actions,
      dryRun: false,
    });
    expect(asked.map(({ body }) => body)).toEqual([
      { node_id: 'worker-1', lock: true, dry_run: true },
      { node_id: 'worker-1', lock: true },
    ]);
  });

  test('without anybody to ask it does nothing and names --yes', async () => {
    const asked = await serve(() => ({ json: { done: false, actions } }));
    await expect(run(['evict', 'worker-1'])).rejects.toMatchObject({
      code: 'DAAS_CONFIRMATION_NEEDED',
      exitCode: 78,
    });
    expect(asked).toHaveLength(1);
  });

  test.each([
    [['release', 'worker-1'], 'POST /v1/release', { node_id: 'worker-1' }],
    [['unlock', 'worker-1'], 'POST /v1/unlock', { node_id: 'worker-1' }],
    [['breaker', '--reset'], 'POST /v1/breaker', { reset: true }],
    [
      ['ban', 'worker-1', '--reason', 'because'],
      'POST /v1/ban',
      { target: { subject: 'node_id', value: 'worker-1' }, reason: 'because' },
    ],
    [['unban', 'staker:0x1'], 'POST /v1/unban', { target: { subject: 'staker', value: '0x1' } }],
  ])('%j', async (argv, line, body) => {
    const asked = await serve(() => ({ json: { done: true, actions: ['something'] } }));
    await run([...argv, '--yes']);
    expect(asked[1]).toEqual({ line, body });
  });

  test('what needs nothing says so, without asking', async () => {
    const asked = await serve(() => ({ json: { done: false, actions: [] } }));
    expect(await run(['unlock', 'worker-1'])).toContain('nothing to do');
    expect(asked).toHaveLength(1);
  });
});

describe('what goes wrong', () => {
  test('the gateway’s refusal is an error with its code', async () => {
    await serve(() => ({
      status: 404,
      json: {
        type: 't',
        title: 't',
        status: 404,
        detail: 'this gateway has admitted no node server-1',
        code: 'not_found',
        request_id: 'r',
        timestamp: 1,
      },
    }));
    await expect(run(['evict', 'server-1', '--yes'])).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NOT_FOUND',
      message: 'this gateway has admitted no node server-1',
    });
  });

  test('nobody there: the sentence names socket and setting', async () => {
    await expect(run(['nodes'])).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_SOCKET_UNREACHABLE',
      message: expect.stringContaining('gateway.socketPath'),
    });
  });

  test('something else there', async () => {
    await serve(() => ({ json: { hello: 'world' } }));
    await expect(run(['nodes'])).rejects.toMatchObject({ code: 'DAAS_GATEWAY_REPLY_INVALID' });
  });
});

test.each([
  ['worker-1', 'node_id', 'worker-1'],
  ['node:worker-1', 'node_id', 'worker-1'],
  ['staker:0x12', 'staker', '0x12'],
  ['0x12', 'staker', '0x12'],
  ['key:abc', 'node_key', 'abc'],
])('%s names a %s', (text, subject, value) => {
  expect(banTarget(text)).toEqual({ subject, value });
});
