import { type ChildProcess, spawn } from 'node:child_process';
import { Agent, get } from 'node:https';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from './world/kubernetes.ts';
import { type Program, projectRoot } from './world/program.ts';
import { strangersSockets, totalOf } from './world/sockets.ts';
import { World } from './world/world.ts';

/**
 * The gateway's public port under attack from outside (integration/outsider/hang.mjs), sockets counted by the kernel, and
 * beside it a worker whose heartbeats and a newcomer whose questions have to get through. In the project `haproxy` they go
 * through one.
 */
const isBehindHaproxy = process.env.K3S_DAAS_TEST_FRONT === 'haproxy';
let world: World;
let worker: Program;
let port: number;
let healthUrl: string;
beforeAll(async () => {
  world = await World.start({ isBehindHaproxy });
  port = Number(new URL(world.gatewayUrl).port);
  healthUrl = String((await world.gateway.event('gateway.ready')).healthUrl);
  worker = (await world.worker('honest')).start();
  await worker.event('heartbeat.acknowledged');
});
afterAll(() => world?.close());

interface Group {
  readonly way: string;
  readonly address: string;
  readonly count: number;
}
type State = Readonly<Record<string, unknown>> & { readonly open: number };

class Attack implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  private constructor(child: ChildProcess) {
    this.#child = child;
    if (!child.stdout) throw new Error('the attack has no output');
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Resolves when all its connections have begun. */
  static async start(groups: readonly Group[]): Promise<Attack> {
    const script = join(projectRoot, 'integration', 'outsider', 'hang.mjs');
    const asked = JSON.stringify({ host: '127.0.0.1', port, groups });
    const attack = new Attack(
      spawn(process.execPath, [script, asked], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    expect((await attack.#next()).event).toBe('holding');
    return attack;
  }

  async state(): Promise<State> {
    this.#child.stdin?.write('?\n');
    return this.#next();
  }

  async #next(): Promise<State> {
    const { value } = await this.#lines.next();
    return JSON.parse(String(value)) as State;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await gone;
  }
}

const addresses = (count: number) => Array.from({ length: count }, (_, index) => `127.0.0.${index + 2}`);

/** A newcomer's question on a new connection from an address of its own; the status, or what went wrong. */
function ask(localAddress = '127.0.1.1'): Promise<number | string> {
  const url = `${world.gatewayUrl}/api/v1/challenge?node_id=newcomer&staker=0x${'51'.repeat(32)}`;
  return new Promise((resolve) => {
    const agent = new Agent({ keepAlive: false, localAddress });
    const call = get(url, { agent, rejectUnauthorized: false, timeout: 10_000 }, (reply) => {
      reply.resume();
      reply.once('end', () => resolve(reply.statusCode ?? 0));
    });
    call.once('timeout', () => call.destroy(new Error('no answer within 10 s')));
    call.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

/** So many questions, one after the other, while the worker's heartbeats go on. */
async function expectService(questions: number): Promise<void> {
  const before = worker.lines.length;
  const answers: Array<number | string> = [];
  for (let index = 0; index < questions; index += 1) answers.push(await ask());
  expect(answers).toEqual(answers.map(() => 200));
  const { status, body } = await readiness();
  expect([status, body]).toEqual([200, expect.stringContaining('answers over TLS')]);
  for (let beats = 0, from = before; beats < 3; beats += 1) {
    const beat = await worker.event('heartbeat.acknowledged', { from });
    from = worker.lines.indexOf(beat) + 1;
  }
  expect(worker.lines.slice(before).filter(({ event }) => event === 'heartbeat.failed')).toEqual([]);
}

async function readiness(): Promise<{ status: number; body: string }> {
  const reply = await fetch(`${healthUrl}/readyz`);
  return { status: reply.status, body: await reply.text() };
}

/** What HAProxy has closed it leaves to the kernel, which keeps the bare fact of it for a minute; the gateway leaves nothing. */
function openSockets(): Readonly<Record<string, number>> {
  const { 'fin-wait-1': _sent, 'fin-wait-2': _confirmed, ...open } = strangersSockets(port);
  return isBehindHaproxy ? open : strangersSockets(port);
}

const strangersGone = (withinMs: number) =>
  until(
    'the kernel to have no connection of theirs',
    async () => {
      const counts = openSockets();
      if (totalOf(counts) > 0) throw new Error(JSON.stringify(counts));
      return true;
    },
    { withinMs, everyMs: 500 },
  );

const ways = [
  'silent',
  'partial hello',
  'half closed',
  'partial hello, half closed',
  'a hello byte by byte',
  'silent after the handshake',
  'half closed after the handshake',
  'slow headers',
  'slow body',
  'chunked body',
  'no body at all',
  'slow reader',
  'upgrade',
  'connect method',
  'expect continue',
  'expect something else',
  'idle after a reply',
  'no host',
  'not HTTP',
  'not HTTP, half closed',
];

test('no way to hold a connection open outlasts its deadline, by the kernel’s count and with the peer still there', async () => {
  await using attack = await Attack.start(
    ways.map((way, index) => ({ way, address: `127.0.0.${index + 2}`, count: 3 })),
  );
  await expectService(5);
  await strangersGone(30_000);
  const { replies } = await attack.state();
  // HAProxy may have ended its own side first.
  await until(
    'the gateway to hold none of them',
    async () => {
      const { body } = await readiness();
      if (!/connections of workers, [01] others/.test(body)) throw new Error(body);
      return true;
    },
    { withinMs: isBehindHaproxy ? 30_000 : 0, everyMs: 500 },
  );
  for (const [way, status, code] of [
    ['connect method', 405, 'method_not_allowed'],
    ['expect something else', 417, 'expectation_failed'],
    ['no host', 400, 'request_invalid'],
    ['not HTTP', 400, 'request_invalid'],
    ['slow headers', 408, 'request_timeout'],
    ['slow body', 408, 'request_timeout'],
  ] as const)
    expect((replies as Record<string, string>)[way], way).toMatch(
      new RegExp(`^HTTP/1.1 ${status} [\\s\\S]*application/problem\\+json[\\s\\S]*"code":"${code}"`),
    );
});

test('130 silent connections of one address that are closed after 7 s leave nothing behind, and the address is served', async () => {
  {
    await using _ = await Attack.start([{ way: 'silent', address: '127.0.0.2', count: 130 }]);
    await new Promise((resolve) => setTimeout(resolve, 7_000));
  }
  await strangersGone(5_000);
  expect(await ask('127.0.0.2')).toBe(200);
});

test('34 addresses with 128 silent connections each, half closed ones among them, keep nobody out', async () => {
  const groups = addresses(34).map((address, index) => ({
    way: ['silent', 'half closed', 'partial hello', 'silent after the handshake'][index % 4] ?? 'silent',
    address,
    count: 128,
  }));
  {
    await using _ = await Attack.start(groups);
    await expectService(20);
  }
  await strangersGone(10_000);
  await expectService(5);
});

test('slow bodies of five addresses take the port away from nobody', async () => {
  const groups = addresses(5).map((address) => ({ way: 'slow body', address, count: 110 }));
  {
    await using _ = await Attack.start(groups);
    await expectService(50);
  }
  await strangersGone(10_000);
});

test('only the key exchanges that every client has are done', async () => {
  const handshake = (ecdhCurve: string) =>
    new Promise<string>((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ecdhCurve });
      socket.once('secureConnect', () => {
        socket.destroy();
        resolve('done');
      });
      socket.once('error', () => resolve('refused'));
    });
  expect(await handshake('X25519')).toBe('done');
  expect(await handshake('P-256')).toBe('done');
  for (const group of ['P-521', 'P-384', 'X448', 'ffdhe4096', 'X25519MLKEM768'])
    expect(`${group} ${await handshake(group)}`).toBe(`${group} refused`);
});

test('one address that shakes hands without end is cut off, and the worker and the newcomer are served', async () => {
  await using _ = await Attack.start([
    { way: 'silent after the handshake', address: '127.0.0.2', count: 600 },
  ]);
  await expectService(5);
});

test('a gateway that is told to stop while hundreds of connections hang ends within its deadline', async () => {
  await using _ = await Attack.start(
    addresses(15).map((address, index) => ({ way: ways[index] ?? 'silent', address, count: 40 })),
  );
  world.gateway.kill('SIGTERM');
  const late = AbortSignal.timeout(20_000);
  const end = await Promise.race([
    world.gateway.exited,
    new Promise((_resolve, reject) => {
      late.addEventListener('abort', () => reject(new Error('it has not ended within 20 s')));
    }),
  ]);
  expect(end).toEqual({ code: 0, signal: null });
  // HAProxy has those of unfinished handshakes, by its own deadline.
  if (isBehindHaproxy) await strangersGone(10_000);
  // What is being closed (fin-wait) the kernel ends by itself, within its own bounds; nothing else may be left.
  const { established, 'close-wait': closeWait } = strangersSockets(port);
  expect({ established, closeWait }).toEqual({ established: undefined, closeWait: undefined });
});
