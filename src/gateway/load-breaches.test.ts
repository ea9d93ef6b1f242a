import { readdir, readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { PATHS } from '#api';
import {
  challenge,
  passwordHash,
  post,
  proofOf,
  registerBody,
  shareWorld,
  stranger,
  world,
} from './breaches.fixture.ts';
import { GATEWAY_ID, id } from './ids.fixture.ts';
import { raw } from './raw-request.fixture.ts';
import { World } from './world.fixture.ts';

shareWorld();

describe('too much', () => {
  test('a body of 10 MB is refused without being read, and the gateway goes on', async () => {
    const body = Buffer.alloc(10 * 1024 * 1024, 0x20);
    const reply = await post(PATHS.register, 'seal_x', body.toString()).catch(
      (error: NodeJS.ErrnoException) => error,
    );
    // Whoever does not stop sending may lose the connection before he has read the answer.
    if (reply instanceof Error)
      expect(reply).toMatchObject({ code: expect.stringMatching(/EPIPE|ECONNRESET/) });
    else expect(reply).toMatchObject({ status: 413, json: { code: 'body_too_large' } });
    expect(await challenge('worker-1')).toBeDefined();
  });

  test('a body just over the limit is answered with 413', async () => {
    const reply = await post(PATHS.register, 'seal_x', ' '.repeat(64 * 1024 + 1));
    expect(reply).toMatchObject({ status: 413, json: { code: 'body_too_large' } });
  });

  test('headers of 16 KiB are refused', async () => {
    const reply = await post(PATHS.register, 'seal_x', '{}', { 'x-filler': 'f'.repeat(16 * 1024) });
    expect([400, 431]).toContain(reply.status);
  });

  test('strangers with tokens of their own invention cost the chain no more than their budget', async () => {
    const asked = world.chain.asked.tokens.flat().length;
    const codes = new Map<string, number>();
    for (let index = 0; index < 30; index += 1) {
      const worker = world.worker(`flood-${index}`);
      worker.tokenId = id(`e${index.toString(16).padStart(2, '0')}`);
      const reply = await post(PATHS.register, await proofOf(worker), registerBody(worker.nodeId), {
        'x-forwarded-for': `203.0.113.${index}`,
        forwarded: `for=203.0.113.${index}`,
      });
      const code = String(reply.json.code);
      codes.set(code, (codes.get(code) ?? 0) + 1);
      if (code === 'rate_limited') expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    }
    expect(codes.get('rate_limited')).toBe(20);
    expect(world.chain.asked.tokens.flat().length - asked).toBe(10);
    // Each is a use of a token all the same: the first of its kind has a line of its own, the others are counted.
    await world.stopGateway();
    const counted = (await world.audit()).filter(
      ({ event, reason }) => event === 'token.refused.more' && reason === 'rate_limited',
    );
    expect(counted).toMatchObject([{ count: 19, path: PATHS.register }]);
    await world.startGateway();
  });

  test('strangers of many addresses share one budget of chain reads', async () => {
    await using bounded = await World.start({ limits: { lookupBurst: 3 } });
    const codes: unknown[] = [];
    for (let index = 0; index < 6; index += 1) {
      const worker = bounded.worker(`flood-${index}`);
      const localAddress = `127.0.0.${index + 2}`;
      const url = `${bounded.gateway?.publicUrl}`;
      const asked = await raw(`${url}${PATHS.challenge}?node_id=${worker.nodeId}&staker=${id('51')}`);
      const body = JSON.stringify({
        node_id: worker.nodeId,
        timestamp: bounded.clock.nowMs(),
        node_password_hash: passwordHash,
        host: {},
      });
      const proof = await worker.signer.sign({
        sealTokenId: id(`e${index}`),
        audience: GATEWAY_ID,
        method: 'POST',
        path: PATHS.register,
        body,
        nowMs: bounded.clock.nowMs(),
        freshness: { kind: 'nonce', nonce: String(asked.json.nonce) },
      });
      const headers = { 'content-type': 'application/json', 'x-seal-token': proof };
      const reply = await raw(`${url}${PATHS.register}`, { method: 'POST', headers, body, localAddress });
      codes.push(reply.json.code);
    }
    expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(3);
    expect(bounded.chain.asked.tokens.flat()).toHaveLength(3);
  });

  test('handshakes of one address beyond its budget are not begun', async () => {
    await using bounded = await World.start({
      limits: { addressHandshakeBurst: 5, addressHandshakeRate: 1 },
    });
    const url = `${bounded.gateway?.publicUrl}/livez`;
    const outcomes: unknown[] = [];
    for (let index = 0; index < 8; index += 1)
      outcomes.push(
        await raw(url, { localAddress: '127.0.0.9' }).then(
          ({ status }) => status,
          ({ code }: NodeJS.ErrnoException) => code,
        ),
      );
    expect(outcomes.slice(0, 5)).toEqual([200, 200, 200, 200, 200]);
    expect(outcomes.slice(5)).toEqual(['ECONNRESET', 'ECONNRESET', 'ECONNRESET']);
    expect(await raw(url, { localAddress: '127.0.0.10' })).toMatchObject({ status: 200 });
    await bounded.clock.advance(1_000);
    expect(await raw(url, { localAddress: '127.0.0.9' })).toMatchObject({ status: 200 });
  });

  test('addresses that spend the handshakes of all strangers leave those of an address that is new', async () => {
    await using bounded = await World.start({
      limits: { handshakeBurst: 24, handshakeRate: 1, addressHandshakeBurst: 40, addressHandshakeRate: 1 },
    });
    const url = `${bounded.gateway?.publicUrl}/livez`;
    const ask = (localAddress: string) =>
      raw(url, { localAddress }).then(
        ({ status }) => status,
        ({ code }: NodeJS.ErrnoException) => code,
      );
    const outcomes: unknown[] = [];
    for (let index = 0; index < 40; index += 1) outcomes.push(await ask('127.0.0.9'));
    expect(outcomes.filter((outcome) => outcome === 200)).toHaveLength(34);
    expect(outcomes.slice(34)).toEqual(Array(6).fill('ECONNRESET'));
    expect(await ask('127.0.0.10')).toBe(200);
  });

  test('one address is held to its rate', async () => {
    const url = `${world.gateway?.publicUrl}${PATHS.challenge}?node_id=x&staker=${id('51')}`;
    const agent = new Agent({ keepAlive: true, maxSockets: 10 });
    const replies = await Promise.all(Array.from({ length: 230 }, () => raw(url, { agent })));
    agent.destroy();
    const limited = replies.filter(({ status }) => status === 429);
    expect(limited.length).toBeGreaterThanOrEqual(30);
    expect(limited[0]?.json).toMatchObject({ code: 'rate_limited' });
  });
});

describe('too slow', () => {
  test('one address that sends without end leaves room for the others', async () => {
    const url = `${world.gateway?.publicUrl}${PATHS.heartbeat}`;
    const slow = [];
    // Slowly enough for its rate: a request that does not come to its end is in work until its time-out.
    for (let round = 0; round < 4; round += 1) {
      for (let index = 0; index < 50; index += 1) slow.push(beginPost(url));
      await world.clock.advance(1_000, 1_000);
      await Promise.all(slow.slice(-50).map(({ sent }) => sent));
    }
    const challengeUrl = `${world.gateway?.publicUrl}${PATHS.challenge}?node_id=x&staker=${id('51')}`;
    const reply = await raw(challengeUrl, { localAddress: '127.0.0.2' });
    for (const begun of slow) begun.destroy();
    expect(reply.status).toBe(200);
  });

  test('a request whose body is on its way takes nobody’s place', async () => {
    await using bounded = await World.start({ limits: { inFlight: 2, addressInFlight: 1 } });
    const slow = Array.from({ length: 5 }, () => beginPost(`${bounded.gateway?.publicUrl}${PATHS.register}`));
    await Promise.all(slow.map(({ sent }) => sent));
    const url = `${bounded.gateway?.publicUrl}${PATHS.challenge}?node_id=x&staker=${id('51')}`;
    expect(await raw(url)).toMatchObject({ status: 200 });
    for (const begun of slow) begun.destroy();
  });

  test('headers that do not come to an end are cut off, long before node would by itself', async () => {
    const { hostname, port } = new URL(world.gateway?.publicUrl ?? '');
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.write('GET / HTTP/1.1\r\nHost: gateway\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1.1 408.*"code":"request_timeout"/s);
  });
});

/** The beginning of a request whose body never comes. */
function beginPost(url: string): { readonly sent: Promise<void>; destroy(): void } {
  const outgoing = request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'content-length': '1000' },
    rejectUnauthorized: false,
    agent: false,
  });
  const { promise: sent, resolve } = Promise.withResolvers<void>();
  outgoing.on('error', () => resolve());
  outgoing.write('{', () => resolve());
  return { sent, destroy: () => outgoing.destroy() };
}

const manyFacts = Object.fromEntries(Array.from({ length: 99 }, (_, index) => [`fact-${index}`, index]));

describe('what is not a request', () => {
  test.each([
    ['GET', PATHS.register, 405, 'method_not_allowed'],
    ['PUT', PATHS.heartbeat, 405, 'method_not_allowed'],
    ['POST', PATHS.challenge, 405, 'method_not_allowed'],
    ['GET', '/', 404, 'not_found'],
    ['GET', '/api/v1/../../etc/passwd', 404, 'not_found'],
    ['POST', '/webhook/authenticate', 404, 'not_found'],
    ['GET', '/v1/nodes', 404, 'not_found'],
    ['POST', '/v1/evict', 404, 'not_found'],
    ['GET', '/api/v1/%zz', 400, 'request_invalid'],
  ])('%s %s', async (method, path, status, code) => {
    const reply = await raw(`${world.gateway?.publicUrl}${path}`, { method });
    expect(reply).toMatchObject({ status, json: { code } });
    expect(reply.headers['content-type']).toContain('application/problem+json');
  });

  test('another kind of body', async () => {
    const reply = await post(PATHS.register, 'seal_x', 'a=b', { 'content-type': 'text/plain' });
    expect(reply).toMatchObject({ status: 415, json: { code: 'media_type_unsupported' } });
  });

  test.each([
    ['not JSON', () => 'not json'],
    ['an unknown member', (nodeId: string) => registerBody(nodeId, { admin: true })],
    [
      'a password hash of another form',
      (nodeId: string) => registerBody(nodeId, { node_password_hash: '$1:x' }),
    ],
    ['a list', () => '[]'],
    ['host facts without end', (nodeId: string) => registerBody(nodeId, { host: manyFacts })],
  ])('a proven body that is %s', async (_what, make) => {
    const worker = stranger().stake();
    const body = make(worker.nodeId);
    const reply = await post(PATHS.register, await proofOf(worker, { body }), body);
    expect(reply).toMatchObject({ status: 400, json: { code: 'request_invalid' } });
    expect(world.kubernetes.names.has(worker.nodeId)).toBe(false);
  });

  test.each(['', '?node_id=a', '?node_id=A.b&staker=0x1', '?node_id=a&staker=0x1&more=1'])(
    'a challenge asked for with %s',
    async (query) => {
      const reply = await raw(`${world.gateway?.publicUrl}${PATHS.challenge}${query}`);
      expect(reply).toMatchObject({ status: 400, json: { code: 'request_invalid' } });
    },
  );
});

test('no secret is found in replies to others, log, audit file or state', async () => {
  const replies: string[] = [];
  const worker = stranger().stake();
  const proof = await proofOf(worker);
  const accepted = await post(PATHS.register, proof, registerBody(worker.nodeId));
  const token = String((accepted.json.join as { token: string }).token);
  replies.push((await post(PATHS.register, proof, registerBody(worker.nodeId))).body);
  replies.push((await post(PATHS.register, 'mock_seal_x', registerBody(worker.nodeId))).body);
  await worker.join();
  await world.pass(2_000);

  const secrets = [token.split('.').at(-1) ?? 'missing', proof, proof.split('.').at(-1) ?? 'missing'];
  const files = await readdir(world.config.stateDir);
  const state = await Promise.all(
    files
      .filter((name) => !name.endsWith('.sock'))
      .map((name) => readFile(join(world.config.stateDir, name), 'latin1')),
  );
  const seen = [...replies, ...state, inspect(world.logged, { depth: 9 })];
  for (const secret of secrets) for (const text of seen) expect(text).not.toContain(secret);
  expect(accepted.body).toContain(secrets[0]);
});
