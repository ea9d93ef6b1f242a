import { readdir, readFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { inspect } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PATHS } from '#api';
import { Secret } from '#base';
import { createProofSigner, hashNodePassword, type ProofRequest } from '#seal';
import { settled } from '#testing';
import { GATEWAY_ID, id } from './ids.fixture.ts';
import { type FakeWorker, newKey, type RawReply, raw, World } from './world.fixture.ts';

// Each of these has burnt somebody: an earlier attempt, or the first sketch of this one.

const passwordHash = await hashNodePassword(new Secret('0123456789abcdef0123456789abcdef'));

let world: World;
beforeAll(async () => {
  world = await World.start();
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  // The budgets of the one address that all tests share fill up again.
  await world.clock.advance(10_000, 10_000);
  world.chain.report();
  await settled(10);
});

async function challenge(nodeId: string): Promise<string> {
  const url = `${world.gateway?.publicUrl}${PATHS.challenge}?node_id=${nodeId}&staker=${id('51')}`;
  return String((await raw(url)).json.nonce);
}

function registerBody(nodeId: string, change: Record<string, unknown> = {}): string {
  return JSON.stringify({
    node_id: nodeId,
    timestamp: world.clock.nowMs(),
    node_password_hash: passwordHash,
    host: {},
    ...change,
  });
}

function heartbeatBody(nodeId: string): string {
  return JSON.stringify({
    node_id: nodeId,
    timestamp: world.clock.nowMs(),
    stake_status: 'active',
    stake_amount: '1000',
    agent_state: 'ready',
    running_pods: null,
    resource_usage: { cpu_percent: 0, memory_percent: 0, disk_percent: 0 },
  });
}

/** A registration as the worker would send it, of which anything may be changed. */
async function proofOf(worker: FakeWorker, change: Partial<ProofRequest> = {}): Promise<string> {
  return worker.signer.sign({
    sealTokenId: worker.tokenId,
    audience: GATEWAY_ID,
    method: 'POST',
    path: PATHS.register,
    body: registerBody(worker.nodeId),
    nowMs: world.clock.nowMs(),
    freshness: { kind: 'nonce', nonce: await challenge(worker.nodeId) },
    ...change,
  });
}

function post(
  path: string,
  proof: string | undefined,
  body: string,
  headers: Record<string, string> = {},
): Promise<RawReply> {
  return raw(`${world.gateway?.publicUrl}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(proof !== undefined && { 'x-seal-token': proof }),
      ...headers,
    },
    body,
  });
}

/** The one answer to whoever has not proven anything; the reason is in the log alone, under the request's id. */
async function expectUnproven(reply: RawReply, reason: string): Promise<void> {
  expect(reply.status).toBe(401);
  expect(reply.headers['content-type']).toContain('application/problem+json');
  expect(reply.json).toMatchObject({ code: 'seal_token_invalid', status: 401 });
  expect(reply.body).not.toContain(reason);
  expect(world.logged.find(({ fields }) => fields.requestId === reply.json.request_id)).toMatchObject({
    message: 'Refused a request',
    fields: { reason },
  });
}

function statuses(replies: readonly RawReply[]): number[] {
  return replies.map(({ status }) => status).sort((left, right) => left - right);
}

let serial = 0;
function stranger(): FakeWorker {
  serial += 1;
  return world.worker(`breach-${serial}`);
}

describe('without a proof', () => {
  test.each([
    ['nothing', undefined, 'proof_missing'],
    ['a mock token', 'mock_seal_x', 'proof_malformed'],
    ['a mock token in our form', 'seal_mock_seal_x', 'proof_malformed'],
    ['garbage', 'seal_a.b.c', 'proof_malformed'],
    ['a kilometre of it', `seal_${'a'.repeat(3_000)}`, 'proof_too_long'],
  ])('%s is refused on every route', async (_what, proof, reason) => {
    const worker = await world.member(stranger().nodeId);
    for (const path of [PATHS.register, PATHS.heartbeat])
      await expectUnproven(await post(path, proof, registerBody(worker.nodeId)), reason);
  });

  test('the token hash that everybody can read on chain is no credential', async () => {
    const worker = await world.member(stranger().nodeId);
    const tokenHash = world.chain.sealTokens.get(worker.tokenId)?.tokenHash ?? '';
    expect(tokenHash).toMatch(/^seal_/);
    const body = heartbeatBody(worker.nodeId);
    for (const headers of [{ 'x-seal-token': tokenHash }, { authorization: `Bearer ${tokenHash}` }])
      await expectUnproven(await post(PATHS.heartbeat, undefined, body, headers), 'proof_malformed');
  });

  test('two proofs that differ are none', async () => {
    const worker = stranger().stake();
    const proof = await proofOf(worker);
    const reply = await post(PATHS.register, proof, registerBody(worker.nodeId), {
      authorization: 'Bearer seal_x.y.z',
    });
    await expectUnproven(reply, 'proof_missing');
  });

  test('the same proof as bearer token is as good as in the header', async () => {
    const worker = stranger().stake();
    const proof = await proofOf(worker);
    const reply = await post(PATHS.register, undefined, registerBody(worker.nodeId), {
      authorization: `Bearer ${proof}`,
    });
    expect(reply.status).toBe(200);
  });
});

describe('a proof made for something else', () => {
  test.each([
    ['another gateway', { audience: id('99') }, 'audience_mismatch'],
    ['another method', { method: 'PUT' }, 'method_mismatch'],
    ['another path', { path: PATHS.heartbeat }, 'path_mismatch'],
    ['another body', { body: '{}' }, 'body_mismatch'],
    ['somebody else’s challenge', { freshness: { kind: 'nonce', nonce: 'made-up' } }, 'nonce_invalid'],
    [
      'no challenge at all',
      { freshness: { kind: 'sequence', incarnation: 1, sequence: 1 } },
      'nonce_missing',
    ],
    ['a life of an hour', { lifeMs: 3_600_000 }, 'proof_life_too_long'],
  ] as const)('%s', async (_what, change, reason) => {
    const worker = stranger().stake();
    const proof = await proofOf(worker, change);
    await expectUnproven(await post(PATHS.register, proof, registerBody(worker.nodeId)), reason);
    expect(world.cluster.names.has(worker.nodeId)).toBe(false);
  });

  test('one that has expired', async () => {
    const worker = stranger().stake();
    const proof = await proofOf(worker, { lifeMs: 1_000 });
    await world.clock.advance(1_000);
    await expectUnproven(await post(PATHS.register, proof, registerBody(worker.nodeId)), 'proof_expired');
  });

  test('the challenge of another node', async () => {
    const worker = stranger().stake();
    const nonce = await challenge('somebody-else');
    const proof = await proofOf(worker, { freshness: { kind: 'nonce', nonce } });
    await expectUnproven(await post(PATHS.register, proof, registerBody(worker.nodeId)), 'nonce_invalid');
  });
});

describe('a proof seen before', () => {
  test('a registration is accepted once', async () => {
    const worker = stranger().stake();
    const proof = await proofOf(worker);
    const body = registerBody(worker.nodeId);
    expect((await post(PATHS.register, proof, body)).status).toBe(200);
    await expectUnproven(await post(PATHS.register, proof, body), 'nonce_used');
  });

  test('of many at the same time exactly one is accepted', async () => {
    const worker = stranger().stake();
    await settled();
    const proof = await proofOf(worker);
    const body = registerBody(worker.nodeId);
    const replies = await Promise.all(Array.from({ length: 8 }, () => post(PATHS.register, proof, body)));
    expect(statuses(replies)).toEqual([200, ...Array(7).fill(401)]);
  });

  test('two proofs over one challenge: exactly one is accepted', async () => {
    const worker = stranger().stake();
    await settled();
    const freshness = { kind: 'nonce', nonce: await challenge(worker.nodeId) } as const;
    const replies = await Promise.all(
      [60_000, 59_000].map(async (lifeMs) =>
        post(PATHS.register, await proofOf(worker, { freshness, lifeMs }), registerBody(worker.nodeId)),
      ),
    );
    expect(statuses(replies)).toEqual([200, 401]);
  });

  test('a heartbeat is accepted once, also of many at the same time', async () => {
    const worker = await world.member(stranger().nodeId);
    const body = heartbeatBody(worker.nodeId);
    const proof = await worker.signer.sign({
      sealTokenId: worker.tokenId,
      audience: GATEWAY_ID,
      method: 'POST',
      path: PATHS.heartbeat,
      body,
      nowMs: world.clock.nowMs(),
      freshness: { kind: 'sequence', incarnation: 1, sequence: 50 },
    });
    const replies = await Promise.all(Array.from({ length: 5 }, () => post(PATHS.heartbeat, proof, body)));
    expect(statuses(replies)).toEqual([200, ...Array(4).fill(401)]);
    await expectUnproven(await post(PATHS.heartbeat, proof, body), 'sequence_replayed');
  });

  test('a heartbeat with a lower number, or of an earlier incarnation, is refused', async () => {
    const worker = await world.member(stranger().nodeId);
    await worker.heartbeat({ sequence: 7 });
    const refused = { code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID' };
    await expect(worker.heartbeat({ sequence: 6 })).rejects.toMatchObject(refused);
    await worker.register();
    await expect(worker.heartbeat({ incarnation: 1, sequence: 8 })).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_REGISTRATION_SUPERSEDED',
      message: expect.stringMatching(/registration 1 of node .* is over: .*registration 2/),
    });
    await worker.heartbeat({ incarnation: 2, sequence: 1 });
  });

  test('a proof of before the gateway’s start is refused: what was seen then is forgotten', async () => {
    const worker = await world.member(stranger().nodeId);
    const body = heartbeatBody(worker.nodeId);
    const proof = await worker.signer.sign({
      sealTokenId: worker.tokenId,
      audience: GATEWAY_ID,
      method: 'POST',
      path: PATHS.heartbeat,
      body,
      nowMs: world.clock.nowMs(),
      freshness: { kind: 'sequence', incarnation: 1, sequence: 50 },
    });
    await world.restartGateway();
    await expectUnproven(await post(PATHS.heartbeat, proof, body), 'proof_older_than_gateway');
    await worker.heartbeat();
  });

  test('a challenge ends when its time has passed, whatever the time of day says by then', async () => {
    const worker = stranger().stake();
    const nonce = await challenge(worker.nodeId);
    world.clock.step(-3_600_000);
    await world.pass(60_000);
    const freshness = { kind: 'nonce', nonce } as const;
    const reply = await post(
      PATHS.register,
      await proofOf(worker, { freshness }),
      registerBody(worker.nodeId),
    );
    world.clock.step(3_600_000);
    await expectUnproven(reply, 'nonce_expired');
  });

  test.each([-3_600_000, 3_600_000])('a time of day that was set by %i ms shuts nobody out', async (byMs) => {
    const worker = await world.member(stranger().nodeId);
    world.clock.step(byMs);
    const reply = worker.heartbeat();
    await reply.catch(() => undefined);
    world.clock.step(-byMs);
    expect((await reply).message).toBe('all is well');
  });
});

describe('a key that is not the one on chain', () => {
  test('another node’s key does not open this one’s token', async () => {
    const [victim, thief] = [stranger().stake(), stranger().stake()];
    const proof = await proofOf(victim, {});
    expect(proof).toBeDefined();
    const forged = await createProofSigner(victim.nodeId, thief.key).sign({
      sealTokenId: victim.tokenId,
      audience: GATEWAY_ID,
      method: 'POST',
      path: PATHS.register,
      body: registerBody(victim.nodeId),
      nowMs: world.clock.nowMs(),
      freshness: { kind: 'nonce', nonce: await challenge(victim.nodeId) },
    });
    await expectUnproven(
      await post(PATHS.register, forged, registerBody(victim.nodeId)),
      'holder_key_mismatch',
    );
  });

  test('a heartbeat signed by another key is refused', async () => {
    const worker = await world.member(stranger().nodeId);
    const body = heartbeatBody(worker.nodeId);
    const proof = await createProofSigner(worker.nodeId, newKey()).sign({
      sealTokenId: worker.tokenId,
      audience: GATEWAY_ID,
      method: 'POST',
      path: PATHS.heartbeat,
      body,
      nowMs: world.clock.nowMs(),
      freshness: { kind: 'sequence', incarnation: 1, sequence: 99 },
    });
    await expectUnproven(await post(PATHS.heartbeat, proof, body), 'signature_invalid');
    await worker.heartbeat();
  });

  test('a key beside the proof that did not sign it is refused before the chain is asked', async () => {
    const worker = stranger().stake({ announce: false });
    const asked = world.chain.asked.tokens.length;
    const [head, claims] = (await proofOf(worker)).split('.');
    await expectUnproven(
      await post(PATHS.register, `${head}.${claims}.${'A'.repeat(86)}`, registerBody(worker.nodeId)),
      'signature_invalid',
    );
    expect(world.chain.asked.tokens.length).toBe(asked);
  });

  test('a node id that the token is not bound to: said to the holder of the key', async () => {
    const worker = stranger().stake();
    const other = stranger();
    const proof = await createProofSigner(other.nodeId, worker.key).sign({
      sealTokenId: worker.tokenId,
      audience: GATEWAY_ID,
      method: 'POST',
      path: PATHS.register,
      body: registerBody(other.nodeId),
      nowMs: world.clock.nowMs(),
      freshness: { kind: 'nonce', nonce: await challenge(other.nodeId) },
    });
    const reply = await post(PATHS.register, proof, registerBody(other.nodeId));
    expect(reply).toMatchObject({ status: 403, json: { code: 'node_id_mismatch' } });
  });

  test('a body that repeats the header must repeat it exactly', async () => {
    const worker = stranger().stake();
    const body = registerBody(worker.nodeId, { seal_token: 'seal_another.one.yet' });
    const reply = await post(PATHS.register, await proofOf(worker, { body }), body);
    expect(reply).toMatchObject({ status: 400, json: { code: 'request_invalid' } });
  });

  test('a body that names another node than the proof is refused', async () => {
    const worker = stranger().stake();
    const body = registerBody('somebody-else');
    const reply = await post(PATHS.register, await proofOf(worker, { body }), body);
    expect(reply).toMatchObject({ status: 400, json: { code: 'request_invalid' } });
    expect(world.cluster.names.has('somebody-else')).toBe(false);
  });
});

describe('an object that exists is not a token that counts', () => {
  test.each([
    ['a look-alike of another package, or a token of another chain', 'token_not_found'],
    ['a token of another cluster', 'token_of_another_cluster'],
  ])('%s is nothing', async (_what, reason) => {
    const worker = stranger();
    // The chain layer answers `undefined` for objects of another package or chain.
    if (reason === 'token_not_found') worker.tokenId = id(`f${serial}0`);
    else worker.stake({ cluster: id('c2') });
    await expectUnproven(
      await post(PATHS.register, await proofOf(worker), registerBody(worker.nodeId)),
      reason,
    );
  });

  test.each([
    ['slashed', 'stake_slashed', { status: 'slashed' }],
    ['unbonding', 'stake_not_active', { status: 'unbonding' }],
    ['withdrawn', 'stake_not_active', { status: 'withdrawn' }],
    ['with its token revoked', 'token_revoked', { token: undefined }],
    ['with a newer token', 'token_superseded', { token: id('f0') }],
    ['below the minimum', 'stake_too_low', { stakeMist: 1n }],
  ] as const)('a stake that is %s', async (_what, code, change) => {
    const worker = world.worker(stranger().nodeId, { staker: id(`5${serial}`) }).stake();
    world.chain.change(worker.recordId, change);
    await settled();
    const reply = await post(PATHS.register, await proofOf(worker), registerBody(worker.nodeId));
    expect(reply).toMatchObject({ status: 403, json: { code } });
    expect(world.cluster.names.has(worker.nodeId)).toBe(false);
    const lines = await world.audit();
    expect(lines.filter((line) => line.request_id === reply.json.request_id)).toMatchObject([
      { event: 'token.used', node_id: worker.nodeId },
      { event: 'admission.refused', node_id: worker.nodeId, reason: code },
    ]);
  });

  test('a token that has expired', async () => {
    const worker = stranger().stake();
    const token = world.chain.sealTokens.get(worker.tokenId);
    if (token) world.chain.sealTokens.set(worker.tokenId, { ...token, expiresAtEpoch: world.chain.epoch });
    world.chain.report({ others: [worker.recordId] });
    await settled();
    const reply = await post(PATHS.register, await proofOf(worker), registerBody(worker.nodeId));
    expect(reply).toMatchObject({ status: 403, json: { code: 'token_expired' } });
  });
});

describe('a name that is somebody else’s', () => {
  test('a stake does not take the name of a Node that was there before', async () => {
    const { uid } = world.cluster.addNode('ordinary-agent');
    const worker = world.worker('ordinary-agent').stake();
    await expect(worker.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NAME_NOT_OURS',
      exitCode: 78,
    });
    expect(world.cluster.uidOf('ordinary-agent')).toBe(uid);
    expect(world.cluster.calls.some((call) => call.endsWith(' ordinary-agent'))).toBe(false);
  });

  test('nor that of a server, which is reserved and may have no Node', async () => {
    world.cluster.names.set('server-1', 'ordinary');
    await expect(world.worker('server-1').stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NAME_NOT_OURS',
    });
    expect(world.cluster.names.get('server-1')).toBe('ordinary');
    world.cluster.names.delete('server-1');
  });

  test('nor that of a Node with the mark of another record', async () => {
    world.cluster.addNode('marked', { stakeRecordId: id('b9') });
    await expect(world.worker('marked').stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NAME_NOT_OURS',
    });
    expect(world.cluster.has('marked')).toBe(true);
  });

  test('a challenge tells nobody which names are the operator’s', async () => {
    world.cluster.addNode('taken-name');
    world.cluster.names.set('reserved-name', 'reserved');
    await settled(10);
    const answers = await Promise.all(
      ['taken-name', 'reserved-name', 'free-name'].map(async (nodeId) => {
        const url = `${world.gateway?.publicUrl}${PATHS.challenge}?node_id=${nodeId}&staker=${id('51')}`;
        const { status, json } = await raw(url);
        return { status, admissible: json.admissible, reason: json.reason };
      }),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    world.cluster.names.delete('reserved-name');
  });

  test('is told before a stake is made for it where the operator allows that', async () => {
    await using telling = await World.start({ admit: { tellTakenNames: true } });
    telling.cluster.addNode('taken-name');
    await settled(10);
    const worker = telling.worker('taken-name');
    await using connection = worker.connection();
    expect(await connection.challenge({ nodeId: 'taken-name', staker: worker.staker })).toMatchObject({
      admissible: false,
      reason: 'name_not_ours',
    });
  });
});

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
    expect(world.cluster.names.has(worker.nodeId)).toBe(false);
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
