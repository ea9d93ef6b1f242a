import { describe, expect, test } from 'vitest';
import { PATHS } from '#api';
import { createProofSigner } from '#seal';
import { settled } from '#testing';
import {
  challenge,
  expectUnproven,
  heartbeatBody,
  post,
  proofOf,
  registerBody,
  serial,
  shareWorld,
  stranger,
  world,
} from './breaches.fixture.ts';
import { newKey } from './fake-worker.fixture.ts';
import { GATEWAY_ID, id } from './ids.fixture.ts';
import { raw } from './raw-request.fixture.ts';
import { World } from './world.fixture.ts';

shareWorld();

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
    expect(world.kubernetes.names.has('somebody-else')).toBe(false);
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
    expect(world.kubernetes.names.has(worker.nodeId)).toBe(false);
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
    const { uid } = world.kubernetes.addNode('ordinary-agent');
    const worker = world.worker('ordinary-agent').stake();
    await expect(worker.register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NAME_NOT_OURS',
      exitCode: 78,
    });
    expect(world.kubernetes.uidOf('ordinary-agent')).toBe(uid);
    expect(world.kubernetes.calls.some((call) => call.endsWith(' ordinary-agent'))).toBe(false);
  });

  test('nor that of a server, which is reserved and may have no Node', async () => {
    world.kubernetes.names.set('server-1', 'ordinary');
    await expect(world.worker('server-1').stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NAME_NOT_OURS',
    });
    expect(world.kubernetes.names.get('server-1')).toBe('ordinary');
    world.kubernetes.names.delete('server-1');
  });

  test('nor that of a Node with the mark of another record', async () => {
    world.kubernetes.addNode('marked', { stakeRecordId: id('b9') });
    await expect(world.worker('marked').stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NAME_NOT_OURS',
    });
    expect(world.kubernetes.has('marked')).toBe(true);
  });

  test('a challenge tells nobody which names are the operator’s', async () => {
    world.kubernetes.addNode('taken-name');
    world.kubernetes.names.set('reserved-name', 'reserved');
    await settled(10);
    const answers = await Promise.all(
      ['taken-name', 'reserved-name', 'free-name'].map(async (nodeId) => {
        const url = `${world.gateway?.publicUrl}${PATHS.challenge}?node_id=${nodeId}&staker=${id('51')}`;
        const { status, json } = await raw(url);
        return { status, admissible: json.admissible, reason: json.reason };
      }),
    );
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    world.kubernetes.names.delete('reserved-name');
  });

  test('is told before a stake is made for it where the operator allows that', async () => {
    await using telling = await World.start({ admit: { tellTakenNames: true } });
    telling.kubernetes.addNode('taken-name');
    await settled(10);
    const worker = telling.worker('taken-name');
    await using connection = worker.connection();
    expect(await connection.challenge({ nodeId: 'taken-name', staker: worker.staker })).toMatchObject({
      admissible: false,
      reason: 'name_not_ours',
    });
  });
});
