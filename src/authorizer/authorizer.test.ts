import { execFileSync } from 'node:child_process';
import { Agent, request } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { silentLog, systemClock } from '#base';
import { type Authorizer, createAuthorizer, initialRules } from './index.ts';
import type { CountedDenial } from './messages.ts';
import { type KeyAndCertificate, makeWebhookKey } from './webhook-keys.ts';

const fingerprint = 'a'.repeat(64);
const enforce = { ...initialRules, mode: 'enforce', isSettling: false } as const;
const live = {
  nodeId: 'worker-1',
  standing: 'live',
  isContested: false,
  vouches: [{ identity: 'kubelet', fingerprint }],
} as const;

class Bench implements AsyncDisposable {
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  readonly denials: CountedDenial[] = [];
  readonly authorizer: Authorizer;
  readonly server: KeyAndCertificate;
  readonly client: KeyAndCertificate;

  private constructor(server: KeyAndCertificate, client: KeyAndCertificate, patienceMs: number) {
    this.server = server;
    this.client = client;
    this.authorizer = createAuthorizer({
      program: { file: join(import.meta.dirname, 'authorizer-program.fixture.ts'), args: [] },
      tls: { ...server, clientCert: client.cert },
      host: '127.0.0.1',
      port: 0,
      clock: systemClock,
      log: silentLog,
      onDenials: (denials) => this.denials.push(...denials),
      patienceMs,
    });
  }

  static async start(patienceMs = 3_000): Promise<Bench> {
    const [server, client] = await Promise.all([makeWebhookKey('server'), makeWebhookKey('client')]);
    const bench = new Bench(server, client, patienceMs);
    bench.#running = bench.authorizer.run(bench.#stop.signal);
    await bench.until(() => bench.authorizer.port() !== undefined);
    return bench;
  }

  async until(isDone: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await isDone())) await systemClock.sleep(20);
  }

  async ask(
    body: unknown,
    client: KeyAndCertificate | undefined = this.client,
    agent: Agent | false = false,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; json: unknown }>();
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: this.authorizer.port(),
        method: 'POST',
        ca: this.server.cert,
        ...(client && { cert: client.cert, key: client.key }),
        agent,
        timeout: 5_000,
      },
      (incoming) => {
        text(incoming).then(
          (body) => resolve({ status: incoming.statusCode ?? 0, json: JSON.parse(body) }),
          reject,
        );
      },
    );
    outgoing.once('error', reject);
    outgoing.end(typeof body === 'string' ? body : JSON.stringify(body));
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }
}

const review = (version = 'v1', user = 'system:node:worker-1', fingerprints = [fingerprint]) => ({
  kind: 'SubjectAccessReview',
  apiVersion: `authorization.k8s.io/${version}`,
  metadata: {},
  spec: {
    user,
    [version === 'v1' ? 'groups' : 'group']: ['system:nodes'],
    extra: { 'authentication.kubernetes.io/credential-id': fingerprints.map((one) => `X509SHA256=${one}`) },
    resourceAttributes: { verb: 'list', version: 'v1', resource: 'pods' },
  },
});
const denied = (code: string) => ({
  status: {
    allowed: false,
    denied: true,
    reason: expect.stringMatching(`^k3s-daas/${code} worker-1 [0-9a-f]{8}-`),
  },
});

describe('the authorizer in its own process', () => {
  test.each(['v1', 'v1beta1'])('answers in the version %s that it was asked in', async (version) => {
    await using bench = await Bench.start();
    bench.authorizer.setRules(enforce);
    bench.authorizer.setNodes([live]);
    const apiVersion = `authorization.k8s.io/${version}`;
    await bench.until(async () =>
      JSON.stringify((await bench.ask(review(version, undefined, ['b'.repeat(64)]))).json).includes('denied'),
    );
    expect(await bench.ask(review(version))).toEqual({
      status: 200,
      json: { apiVersion, kind: 'SubjectAccessReview', status: { allowed: false } },
    });
    expect(await bench.ask(review(version, undefined, ['b'.repeat(64)]))).toMatchObject({
      status: 200,
      json: { apiVersion, ...denied('not-vouched') },
    });
    bench.authorizer.setNodes([{ ...live, standing: 'out', vouches: [] }]);
    await bench.until(async () => JSON.stringify((await bench.ask(review(version))).json).includes('denied'));
    expect(await bench.ask(review(version))).toMatchObject({ json: denied('node-out') });
  });

  test('in observe refuses nothing, and counts what it would refuse', async () => {
    await using bench = await Bench.start();
    bench.authorizer.setRules({ ...enforce, mode: 'observe' });
    for (let count = 0; count < 3; count += 1)
      expect(await bench.ask(review())).toMatchObject({ json: { status: { allowed: false } } });
    await bench.until(() => bench.denials.reduce((sum, { count }) => sum + count, 0) >= 3);
    expect(bench.denials[0]).toMatchObject({ code: 'not-vouched', subject: 'worker-1' });
  });

  test.each([
    ['no JSON', '{'],
    ['another kind', { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', spec: {} }],
    ['no spec', { kind: 'SubjectAccessReview', apiVersion: 'authorization.k8s.io/v1' }],
    ['too much', 'x'.repeat(300_000)],
    ['nothing', ''],
  ])(
    'answers 200 without an opinion to %s: a 5xx would be repeated, and delay every request',
    async (_what, body) => {
      await using bench = await Bench.start();
      bench.authorizer.setRules(enforce);
      expect(await bench.ask(body)).toMatchObject({ status: 200, json: { status: { allowed: false } } });
    },
  );

  test('lets nobody in but the API server', async () => {
    await using bench = await Bench.start();
    await expect(bench.ask(review(), await makeWebhookKey('client'))).rejects.toThrow();
    const { server } = bench;
    await expect(bench.ask(review(), { ...server })).rejects.toThrow();
  });

  test('answers the API server beside a crowd of connections that shake no hands, and keeps its connection', async () => {
    await using bench = await Bench.start();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    using crowd = new DisposableStack();
    crowd.defer(() => agent.destroy());
    let cut = 0;
    expect((await bench.ask(review(), bench.client, agent)).status).toBe(200);
    for (let count = 0; count < 300; count += 1) {
      const socket = connect(bench.authorizer.port() ?? 0, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.once('close', () => (cut += 1));
      crowd.defer(() => socket.destroy());
    }
    await bench.until(() => cut > 200);
    expect((await bench.ask(review())).status).toBe(200);
    const [before] = Object.values(agent.freeSockets).flat();
    expect((await bench.ask(review(), bench.client, agent)).status).toBe(200);
    expect(Object.values(agent.freeSockets).flat()).toEqual([before]);
  });

  test('that hangs is ended by the watchdog, and the next one starts with everything', async () => {
    await using bench = await Bench.start(500);
    bench.authorizer.setNodes([live]);
    bench.authorizer.setRules({ ...enforce, impersonators: ['test:hang'] });
    bench.authorizer.setRules(enforce);
    await bench.until(() => bench.authorizer.port() === undefined);
    await bench.until(() => bench.authorizer.port() !== undefined);
    expect(await bench.ask(review())).toMatchObject({ json: { status: { allowed: false } } });
    expect(await bench.ask(review('v1', undefined, ['b'.repeat(64)]))).toMatchObject({
      json: denied('not-vouched'),
    });
  }, 60_000);

  test('that is killed is started again', async () => {
    await using bench = await Bench.start();
    const before = bench.authorizer.port();
    const children = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], {
      encoding: 'utf8',
    });
    const [pid] = children
      .split('\n')
      .flatMap((line) => (line.includes('authorizer-program') ? [Number.parseInt(line, 10)] : []));
    process.kill(pid ?? 0, 'SIGKILL');
    await bench.until(() => bench.authorizer.port() !== before);
    await bench.until(() => bench.authorizer.port() !== undefined);
    expect((await bench.ask(review())).status).toBe(200);
  }, 60_000);
});
