import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { Command } from 'commander';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { operatorCommands } from './gateway-admin.ts';
import { banTarget } from './gateway-operator.ts';
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
  cloned_since: null,
  banned: true,
  node: null,
  last_heartbeat: 1_000,
  agent_state: 'ready',
  running_pods: null,
  host: { hostname: 'rack-1', cpus: 4 },
  stake: {
    status: 'slashed',
    stake_mist: '0',
    slashed_mist: '2000000000',
    slash_reason: 'went\u001b[2J away',
  },
  use: { registrations: 1, first_registration: 1_000, addresses: ['192.0.2.7'], superseded_use: null },
};
const member = {
  ...node,
  node_id: 'worker-2',
  status: 'member',
  reason: null,
  tier: 'premium',
  fact: 'good',
  locked: false,
  cloned_since: null,
  banned: false,
  node: { uid: 'u', ready: true },
  running_pods: 3,
  stake: { status: 'active', stake_mist: '5', slashed_mist: '0', slash_reason: '' },
};
const serveNodes = (nodes: readonly object[], timestamp = 61_000) =>
  serve(() => ({ json: { timestamp, nodes } }));

describe('looking', () => {
  test('nodes as a table', async () => {
    await serveNodes([node, member]);
    const text = await run(['nodes']);
    expect(text).toMatch(/^NODE\s+STATE/);
    expect(text).toMatch(
      /worker-1\s+evicted \(slashed\), banned, locked\s+60 s ago\s+stake_slashed .*60 s ago\s+-\s+rack-1\s+192.0.2.7/,
    );
    expect(text).toMatch(/worker-2\s+member .*yes\s+60 s ago\s+3\s+rack-1/);
  });

  test('under the nodes, how old the newest proven change is, and how the full nodes are', async () => {
    const endpoint = {
      url: 'https://a.example',
      state: 'good',
      lag_ms: 3_000,
      latency_p95_ms: 40,
      calls: 10,
      failures: 1,
      contradiction: null,
    };
    const liar = {
      ...endpoint,
      url: 'https://b.example',
      state: 'contradicted',
      contradiction: 'object 0xa',
    };
    await serve(() => ({
      json: {
        timestamp: 61_000,
        gateway: { id: '0x9a7e', tier: 'premium', attestation_kind: 'sev-snp' },
        nodes: [node],
        chain_endpoints: [endpoint, liar],
        chain_proof: { cluster_version: '7', proven_at: 1_000, age_ms: 60_000, endpoints_agreed: 1 },
        chain_probe: {
          mode: 'every',
          every_ms: 600_000,
          seen_at: 1_000,
          age_ms: 60_000,
          cost_mist: '1009880',
          sent_today: 144,
          spent_today_mist: '145422720',
          balance_mist: '1000000000',
          gas_low: true,
          hidden: ['0xc'],
          failure: 'no node answers',
          anchor: { mode: 'daily', age_ms: 120_000, sequence: 57, hash: 'ab', transaction: 'Dig' },
        },
      },
    }));
    const text = await run(['nodes']);
    expect(text).toContain('gateway 0x9a7e: tier premium; it shows workers what it runs (sev-snp)');
    expect(text).toContain(
      'chain: the newest proven change is 60 s old (cluster version 7); 1 of 2 endpoints show nothing newer',
    );
    expect(text).toContain(
      'probes every 10 min: the last one was 60 s ago; 144 within 24 hours for 0.14542272 SUI, about 0.14542272 SUI a day; its wallet has 1 SUI',
    );
    expect(text).toMatch(/low gas: the wallet of the probes lasts for less than a week\n.*no node answers/);
    expect(text).toMatch(/line 57 of .* anchored on chain 2 min ago: Dig\n(?:.*\n)+.*newest version of 0xc/);
    expect(text).toMatch(/a.example +good +lag 3 s +p95 40 ms +1 of 10 .*\n.*b.example +contradicted: /);
  });

  test('nodes as one JSON object, spelled as the configuration and the log are', async () => {
    await serveNodes([node]);
    const { nodes, ...rest } = JSON.parse(await run(['nodes'], true)) as { nodes: object[] };
    expect(rest).toEqual({
      timestamp: 61_000,
      hidden: 0,
      claims: [],
      claimsCount: 0,
      chainEndpoints: [],
      chainProof: null,
      chainProbe: null,
      gateway: null,
    });
    expect(nodes).toMatchObject([
      { nodeId: 'worker-1', stakeRecord: '0xb', lastHeartbeat: 1_000, stake: { slashedMist: '2000000000' } },
    ]);
    expect(JSON.stringify(nodes)).not.toMatch(/"[a-zA-Z]*_[a-z_]*":/);
  });

  test('one node with all that is known of it, a slashed record included', async () => {
    await serveNodes([node, member]);
    const text = await run(['nodes', 'worker-1']);
    expect(text).toMatch(/stake record\s+0xb/);
    expect(text).toContain('slashed: 2000000000 MIST taken, 0 MIST left (reason: went\\u{1b}[2J away)');
    expect(text).toMatch(/Node\s+none/);
    expect(text).not.toContain('worker-2');
  });

  test('a part of the nodes, by the beginning of their names, state and tier', async () => {
    await serveNodes([node, member, { ...member, node_id: 'rack-1', held_for: 'slashed' }]);
    const names = async (...flags: string[]) =>
      (JSON.parse(await run(['nodes', ...flags], true)) as { nodes: Array<{ nodeId: string }> }).nodes.map(
        ({ nodeId }) => nodeId,
      );
    expect(await names('worker-*')).toEqual(['worker-1', 'worker-2']);
    expect(await names('--state', 'member')).toEqual(['worker-2', 'rack-1']);
    expect(await names('--state', 'held')).toEqual(['rack-1']);
    expect(await names('--tier', 'basic')).toEqual(['worker-1']);
    expect(await run(['nodes', 'nothing'])).toBe('no such nodes\n');
    await expect(run(['nodes', '--state', 'evcited'])).rejects.toMatchObject({
      message: expect.stringContaining("'evcited' is none of"),
    });
  });

  test('nodes that left more than an hour ago are one line, unless they are asked for', async () => {
    await serveNodes([node, member], 2 * 3_600_000);
    const text = await run(['nodes']);
    expect(text).not.toContain('worker-1');
    expect(text).toContain('1 left more than an hour ago: --all shows them');
    expect(await run(['nodes', '--all'])).toMatch(/worker-1 .*119 min ago/);
    expect(await run(['nodes', '--state', 'evicted'])).toContain('worker-1');
  });

  test('a node whose key two machines seem to use is not shown as a member like any other', async () => {
    const use = {
      registrations: 5,
      first_registration: 1_000,
      addresses: ['192.0.2.7', '192.0.2.8'],
      superseded_use: 41_000,
    };
    await serveNodes([{ ...member, use }], 12 * 60_000 + 1_000);
    expect(await run(['nodes'])).toMatch(
      /worker-2\s+member, registered again 4 times in 12 min from 2 addresses, an earlier registration was used 11 min ago/,
    );
  });

  test('claimed names beneath the nodes: the newest ten, and how many more', async () => {
    const claims = Array.from({ length: 12 }, (_, index) => ({
      node_id: `name-${index}`,
      at: 1_000,
      credentials: index === 0 ? ['abcdef of worker-1'] : [],
      effect: 'closed',
      until: 2_000,
    }));
    await serve(() => ({ json: { timestamp: 61_000, nodes: [], claims, claims_count: 5_000 } }));
    const text = await run(['nodes']);
    expect(text).toContain('5000 names were claimed');
    expect(text).toMatch(/name-0\s+60 s ago, while abcdef of worker-1 lived: closed to new stakes/);
    expect(text).toContain('and 4990 more');
    expect(await run(['nodes', 'name-*'])).not.toContain('claimed');
  });

  test('bans, and the breaker that has tripped', async () => {
    await serve(({ line }) =>
      line.endsWith('bans')
        ? {
            json: {
              timestamp: 32 * 60_000,
              bans: [
                { subject: 'node_id', value: 'worker-1', reason: 'slashed', since: 0, stake_record: null },
              ],
            },
          }
        : {
            json: {
              timestamp: 60_000,
              tripped_at: 0,
              limit: 3,
              window_ms: 300_000,
              counted: 0,
              removals: [],
              held: ['worker-2'],
            },
          },
    );
    expect(await run(['bans'])).toContain('32 min ago');
    const text = await run(['breaker']);
    expect(text).toContain('tripped 60 s ago (1970-01-01T00:00:00.000Z)');
    expect(text).toContain('worker-2');
    expect(text).toContain('docs/operations.md');
  });

  test('the breaker at rest says how near it is', async () => {
    const breaker = {
      timestamp: 60_000,
      tripped_at: null,
      limit: 3,
      window_ms: 300_000,
      counted: 1,
      removals: [{ node_id: 'worker-1', staker: null, at: 20_000 }],
      held: [],
    };
    await serve(() => ({ json: breaker }));
    expect(await run(['breaker'])).toBe(
      'at rest: nodes of 1 of at most 3 stakers removed within 5 min\n  worker-1, 40 s ago\n',
    );
    expect(JSON.parse(await run(['breaker'], true))).toMatchObject({ trippedAt: null, windowMs: 300_000 });
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
      warnings: [],
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
