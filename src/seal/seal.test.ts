import { generateKeyPairSync, randomBytes, randomInt } from 'node:crypto';
import { CompactSign, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { Secret } from '#base';
import { bodyDigest, fromNumericDate, LONGEST_PROOF, toNumericDate } from './claims.ts';
import { type NodeKey, nodeKeyFromSeed } from './node-key.ts';
import { createKnownProofHeaders, isSignedBy, type ParsedProof, parseProof } from './proof.ts';
import { createProofSigner, type ProofRequest } from './signer.ts';
import { chainFacts } from './verdict.fixture.ts';
import { examineHolder, examineStake, examineTarget, examineTimes } from './verdict.ts';

const tokenId = `0x${'ab'.repeat(32)}`;
const nowMs = 1_800_000_000_123;
const body = '{"node_id":"worker-1"}';

function key(): NodeKey {
  return nodeKeyFromSeed(new Secret(randomBytes(32).toString('hex')));
}

function request(overrides: Partial<ProofRequest> = {}): ProofRequest {
  return {
    sealTokenId: tokenId,
    audience: 'gateway-1',
    method: 'POST',
    path: '/api/v1/register-worker',
    body,
    nowMs,
    freshness: { kind: 'nonce', nonce: 'n0nce' },
    ...overrides,
  };
}

async function signed(nodeKey: NodeKey, overrides: Partial<ProofRequest> = {}): Promise<ParsedProof> {
  const outcome = parseProof(await createProofSigner('worker-1', nodeKey).sign(request(overrides)));
  if (!outcome.ok) throw new Error(outcome.reason);
  return outcome.proof;
}

describe('form', () => {
  test('a header that is known is not examined again, and a proof with it parses into the same', async () => {
    const nodeKey = key();
    const headers = createKnownProofHeaders(1);
    const freshness = { kind: 'sequence', incarnation: 3, sequence: 9 } as const;
    const text = await createProofSigner('worker-1', nodeKey).sign(request({ freshness }));
    const first = parseProof(text, headers);
    if (!first.ok) throw new Error(first.reason);
    headers.add(first.proof);
    expect(headers.get(first.proof.encodedHeader)).toEqual({ typ: 'seal+jwt', alg: 'Ed25519', kid: tokenId });
    expect(parseProof(text, headers)).toEqual(first);
  });

  test('a header that presents a key is not kept, and of more than are kept the first is forgotten', async () => {
    const headers = createKnownProofHeaders(1);
    const presenting = await signed(key());
    headers.add(presenting);
    expect(headers.get(presenting.encodedHeader)).toBeUndefined();
    const freshness = { kind: 'sequence', incarnation: 3, sequence: 9 } as const;
    const one = await signed(key(), { freshness });
    const other = await signed(key(), { freshness, sealTokenId: `0x${'cd'.repeat(32)}` });
    headers.add(one);
    headers.add(other);
    expect(headers.get(one.encodedHeader)).toBeUndefined();
    expect(headers.get(other.encodedHeader)).toBeDefined();
  });

  test('a signed proof parses into what was signed', async () => {
    const nodeKey = key();
    const proof = await signed(nodeKey);
    expect(proof).toMatchObject({
      tokenId,
      nodeId: 'worker-1',
      audience: 'gateway-1',
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + 60_000,
      method: 'POST',
      path: '/api/v1/register-worker',
      bodyDigest: bodyDigest(body),
      nonce: 'n0nce',
      incarnation: undefined,
    });
    expect(proof.presentedKey).toEqual(nodeKey.publicKey);
  });

  test('a proof with a sequence carries incarnation and sequence and no key', async () => {
    const proof = await signed(key(), { freshness: { kind: 'sequence', incarnation: 3, sequence: 9 } });
    expect(proof).toMatchObject({
      nonce: undefined,
      incarnation: 3,
      sequence: 9,
      presentedKey: undefined,
    });
  });

  test.each([
    ['nothing', undefined, 'proof_missing'],
    ['an empty header', '', 'proof_missing'],
    ['the public token hash', `seal_${'0'.repeat(32)}`, 'proof_malformed'],
    ['a mock token', 'mock_seal_x', 'proof_malformed'],
    ['garbage', 'seal_!!!.###.$$$', 'proof_malformed'],
    ['three dots of nothing', 'seal_..', 'proof_malformed'],
    ['a proof of 1 MB', `seal_${'a'.repeat(1_000_000)}`, 'proof_too_long'],
  ])('%s is refused', (_what, text, reason) => {
    expect(parseProof(text)).toEqual({ ok: false, reason });
  });

  test.each([
    ['alg none', { alg: 'none' }, 'algorithm_refused'],
    ['a symmetric algorithm', { alg: 'HS256' }, 'algorithm_refused'],
    ['the older name of the algorithm', { alg: 'EdDSA' }, 'algorithm_refused'],
    ['the type of a kubectl proof', { typ: 'seal-kubectl+jwt' }, 'type_refused'],
    ['a critical extension', { crit: ['b64'] }, 'proof_malformed'],
    ['a key by reference', { jku: 'https://evil.example/jwks' }, 'proof_malformed'],
    ['an id that is none', { kid: 'seal_1' }, 'proof_malformed'],
    ['another kind of key', { jwk: { kty: 'EC', crv: 'P-256', x: 'a', y: 'b' } }, 'proof_malformed'],
  ])('a header with %s is refused', (_what, change, reason) => {
    const header = { typ: 'seal+jwt', alg: 'Ed25519', kid: tokenId, ...change };
    expect(parseProof(assemble(header, goodClaims()))).toEqual({ ok: false, reason });
  });

  test.each([
    ['an unknown claim', { admin: true }],
    ['a node id with dots', { iss: 'a.b' }],
    ['a body digest of another length', { bd: 'abc' }],
    ['a time that is a string', { iat: '1' }],
    ['a sequence of 0', { seq: 0 }],
    ['a sequence with a fraction', { seq: 1.5 }],
    ['a nonce beyond any length', { nonce: 'n'.repeat(257) }],
  ])('claims with %s are refused', (_what, change) => {
    const header = { typ: 'seal+jwt', alg: 'Ed25519', kid: tokenId };
    expect(parseProof(assemble(header, { ...goodClaims(), ...change }))).toEqual({
      ok: false,
      reason: 'proof_malformed',
    });
  });

  test('whatever is sent, parsing answers and never throws', async () => {
    const good = await createProofSigner('worker-1', key()).sign(request());
    for (let round = 0; round < 2_000; round += 1) {
      const bytes = Buffer.from(good);
      for (let change = 0; change <= round % 4; change += 1) bytes[randomInt(bytes.length)] = randomInt(256);
      const outcome = parseProof(bytes.subarray(0, randomInt(1, bytes.length + 1)).toString('latin1'));
      if (outcome.ok) expect(await isSignedBy(outcome.proof, key().publicKey)).toBe(false);
    }
  });

  test('the longest claims there are still fit', async () => {
    const signer = createProofSigner('n'.repeat(63), key());
    const text = await signer.sign(
      request({
        audience: `0x${'f'.repeat(64)}`,
        freshness: { kind: 'nonce', nonce: 'n'.repeat(256) },
      }),
    );
    expect(text.length).toBeLessThan(LONGEST_PROOF);
    expect(parseProof(text).ok).toBe(true);
  });

  test('a NumericDate keeps the millisecond', () => {
    for (const ms of [1_800_000_000_001, 1_799_999_999_999, 253_402_300_799_999])
      expect(fromNumericDate(toNumericDate(ms))).toBe(ms);
  });
});

describe('signature', () => {
  test('holds for the key that signed, and for no other', async () => {
    const nodeKey = key();
    const proof = await signed(nodeKey);
    expect(await isSignedBy(proof, nodeKey.publicKey)).toBe(true);
    expect(await isSignedBy(proof, key().publicKey)).toBe(false);
    expect(await isSignedBy(proof, new Uint8Array(31))).toBe(false);
  });

  test('does not hold when a claim is changed', async () => {
    const nodeKey = key();
    const text = await createProofSigner('worker-1', nodeKey).sign(request());
    const [header, , signature] = text.slice(5).split('.');
    const changed = Buffer.from(JSON.stringify({ ...goodClaims(), iss: 'worker-2' })).toString('base64url');
    const outcome = parseProof(`seal_${header}.${changed}.${signature}`);
    if (!outcome.ok) throw new Error(outcome.reason);
    expect(await isSignedBy(outcome.proof, nodeKey.publicKey)).toBe(false);
  });

  test('holds for a proof made by another JOSE implementation path', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const jwt = await new SignJWT(goodClaims())
      .setProtectedHeader({ typ: 'seal+jwt', alg: 'Ed25519', kid: tokenId })
      .sign(privateKey);
    const outcome = parseProof(`seal_${jwt}`);
    if (!outcome.ok) throw new Error(outcome.reason);
    const x = publicKey.export({ format: 'jwk' }).x ?? '';
    expect(await isSignedBy(outcome.proof, Buffer.from(x, 'base64url'))).toBe(true);
  });

  test('a proof signed with an RSA key under our algorithm name cannot be made', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    await expect(
      new CompactSign(Buffer.from('{}')).setProtectedHeader({ alg: 'Ed25519' }).sign(privateKey),
    ).rejects.toThrow();
  });
});

describe('times', () => {
  const startedAtMs = nowMs - 1_000_000;
  test.each([
    ['a fresh proof is good', nowMs, 60_000, nowMs, undefined],
    ['a proof at its last millisecond is good', nowMs - 59_999, 60_000, nowMs, undefined],
    ['an expired proof is refused', nowMs - 60_000, 60_000, nowMs, 'proof_expired'],
    ['a proof from the near future is good', nowMs + 5_000, 60_000, nowMs, undefined],
    ['a proof from further ahead is refused', nowMs + 5_001, 60_000, nowMs, 'proof_from_future'],
    ['a proof that lives longer than a minute is refused', nowMs, 60_001, nowMs, 'proof_life_too_long'],
  ] as const)('%s', async (_what, issuedAtMs, lifeMs, atMs, reason) => {
    const proof = await signed(key(), { nowMs: issuedAtMs, lifeMs });
    expect(examineTimes(proof, { nowMs: atMs, startedAtMs })).toBe(reason);
  });

  test('a proof from before the start of the gateway is refused: it could be a replay', async () => {
    const proof = await signed(key());
    expect(examineTimes(proof, { nowMs, startedAtMs: nowMs + 1 })).toBe('proof_older_than_gateway');
  });
});

describe('target', () => {
  const target = {
    audience: 'gateway-1',
    method: 'POST',
    path: '/api/v1/register-worker',
    bodyDigest: bodyDigest(body),
  };
  test.each([
    ['the very request', {}, undefined],
    ['another gateway', { audience: 'gateway-2' }, 'audience_mismatch'],
    ['another method', { method: 'PUT' }, 'method_mismatch'],
    ['another path', { path: '/api/v1/nodes/heartbeat' }, 'path_mismatch'],
    ['another body', { bodyDigest: bodyDigest(`${body} `) }, 'body_mismatch'],
  ] as const)('%s', async (_what, change, reason) => {
    expect(examineTarget(await signed(key()), { ...target, ...change })).toBe(reason);
  });
});

describe('chain facts', () => {
  const holder = key().publicKey;

  test('a live token of an active stake is good', () => {
    const facts = chainFacts({ holderKey: holder });
    expect(examineHolder(facts, holder)).toBeUndefined();
    expect(examineStake('worker-1', facts)).toBeUndefined();
  });

  test.each([
    ['no token of our package', { token: undefined }, 'token_not_found'],
    ['a token of another cluster', { tokenCluster: `0x${'9'.repeat(64)}` }, 'token_of_another_cluster'],
    ['a token of another key', { holderKey: new Uint8Array(32) }, 'holder_key_mismatch'],
    ['a token whose key is not a key', { holderKey: new Uint8Array(1) }, 'holder_key_mismatch'],
  ])('%s tells the caller nothing', (_what, change, reason) => {
    expect(examineHolder(chainFacts({ holderKey: holder, ...change }), holder)).toBe(reason);
  });

  test.each([
    ['no record', { record: undefined }, 'record_not_found'],
    ['a record of another cluster', { recordCluster: `0x${'9'.repeat(64)}` }, 'record_not_found'],
    ['a token of another record', { stakeId: `0x${'8'.repeat(64)}` }, 'record_not_found'],
    ['a token bound to another node id', { tokenNodeId: 'worker-2' }, 'node_id_mismatch'],
    ['a record of another node id', { recordNodeId: 'worker-2' }, 'node_id_mismatch'],
    ['the stake of a user', { stakeType: 'user' as const }, 'not_a_node_stake'],
    ['a token whose owner is not the staker', { owner: `0x${'7'.repeat(64)}` }, 'owner_mismatch'],
    ['a slashed record', { status: 'slashed' as const }, 'stake_slashed'],
    ['an unbonding record', { status: 'unbonding' as const }, 'stake_unbonding'],
    ['a withdrawn record', { status: 'withdrawn' as const }, 'stake_withdrawn'],
    ['a record without a token', { liveToken: undefined }, 'token_revoked'],
    ['a record with a newer token', { liveToken: `0x${'6'.repeat(64)}` }, 'token_superseded'],
    ['a token in its last epoch', { epoch: 99n }, undefined],
    ['a token after its last epoch', { epoch: 100n }, 'token_expired'],
    ['a stake below the minimum', { stakeMist: 999n }, 'stake_too_low'],
    [
      'a stake that a slash left below the minimum',
      { stakeMist: 999n, slashedMist: 1n },
      'stake_short_after_slash',
    ],
    ['a stake that a slash left at the minimum', { slashedMist: 1n }, undefined],
    ['a token without nodes:write', { permissions: ['pods:read'] }, 'permission_missing'],
    ['a token that may do everything', { permissions: ['*:*'] }, undefined],
  ])('%s', (_what, change, reason) => {
    expect(examineStake('worker-1', chainFacts({ holderKey: holder, ...change }))).toBe(reason);
  });

  test('a slash is named before anything else that is wrong with the stake', () => {
    const facts = chainFacts({ holderKey: holder, status: 'slashed', epoch: 1000n, stakeMist: 0n });
    expect(examineStake('worker-1', facts)).toBe('stake_slashed');
  });

  test.each([
    ['an expired token', { epoch: 1000n }],
    ['a newer token', { liveToken: `0x${'6'.repeat(64)}` }],
  ])('%s does not hide that a slash left too little', (_what, change) => {
    const facts = chainFacts({ holderKey: holder, stakeMist: 999n, slashedMist: 1n, ...change });
    expect(examineStake('worker-1', facts)).toBe('stake_short_after_slash');
  });
});

function goodClaims() {
  return {
    iss: 'worker-1',
    aud: 'gateway-1',
    iat: toNumericDate(nowMs),
    exp: toNumericDate(nowMs + 60_000),
    htm: 'POST',
    htu: '/',
    bd: bodyDigest(''),
  };
}

function assemble(header: unknown, claims: unknown): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `seal_${encode(header)}.${encode(claims)}.${'A'.repeat(86)}`;
}
