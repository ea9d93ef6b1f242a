import { describe, expect, test } from 'vitest';
import { PATHS } from '#api';
import { settled } from '#testing';
import {
  challenge,
  expectUnproven,
  heartbeatBody,
  post,
  proofOf,
  registerBody,
  shareWorld,
  statuses,
  stranger,
  world,
} from './breaches.fixture.ts';
import { GATEWAY_ID, id } from './ids.fixture.ts';

shareWorld();

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
    expect(world.kubernetes.names.has(worker.nodeId)).toBe(false);
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
