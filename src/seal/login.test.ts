import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { LONGEST_LOGIN_LIFE_MS, signLogin } from '#login';
import { type ParsedLogin, parseLogin } from './login-proof.ts';
import { examineLogin, examinePerson, isPermission, permissionsNow, tierOf } from './login-verdict.ts';
import { isSignedBy } from './proof.ts';
import { chainFacts } from './verdict.fixture.ts';

const id = (digit: string) => `0x${digit.repeat(64)}`;
const subject = { wallet: id('1'), clusterId: id('c'), sealTokenId: id('a') };
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const nowMs = 1_800_000_000_000;
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function parsed(text: string): ParsedLogin {
  const outcome = parseLogin(text);
  if (!outcome.ok) throw new Error(outcome.reason);
  return outcome.login;
}

describe('a login proof', () => {
  test('says whose login it is, for which cluster, and is signed by the key it shows', async () => {
    const { proof, expiresAtMs } = signLogin(subject, privateKey, nowMs);
    const login = parsed(proof);
    expect(login).toMatchObject({ wallet: id('1'), audience: id('c'), tokenId: id('a'), expiresAtMs });
    expect(await isSignedBy(login, login.presentedKey)).toBe(true);
    expect(Buffer.from(login.presentedKey).toString('base64url')).toBe(publicKey.export({ format: 'jwk' }).x);
  });

  test.each([
    ['nothing', '', 'proof_missing'],
    ['a token of another kind', 'abcdef.0123456789abcdef', 'proof_malformed'],
    ['a public token hash', `seal_${'0'.repeat(32)}`, 'proof_malformed'],
    ['more than a proof has', `seal_${'a'.repeat(3_000)}`, 'proof_too_long'],
    ['a worker’s proof', `seal_${encode({ typ: 'seal+jwt' })}.${encode({})}.AA`, 'type_refused'],
    ['no type', `seal_${encode({ alg: 'none' })}.${encode({})}.AA`, 'proof_malformed'],
  ])('%s is refused by its form', (_name, text, reason) => {
    expect(parseLogin(text)).toEqual({ ok: false, reason });
  });

  const whole = () => {
    const [header = '', claims = '', signature = ''] = signLogin(subject, privateKey, nowMs)
      .proof.slice(5)
      .split('.');
    const decode = (part: string) =>
      JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;
    return { header: decode(header), claims: decode(claims), signature };
  };
  test.each([
    ['a header with one member more', { crit: ['x'] }, {}, 'proof_malformed'],
    ['the algorithm none', { alg: 'none' }, {}, 'algorithm_refused'],
    [
      'a key of another curve',
      { jwk: { kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43) } },
      {},
      'proof_malformed',
    ],
    ['a wallet that is no address', {}, { iss: 'system:masters' }, 'proof_malformed'],
    ['a wallet with upper-case digits', {}, { iss: `0x${'A'.repeat(64)}` }, 'proof_malformed'],
    ['a token id that is none', { kid: 'system:admin' }, {}, 'proof_malformed'],
    ['a claim more', {}, { groups: ['system:masters'] }, 'proof_malformed'],
    ['a time that is no number', {}, { exp: '9' }, 'proof_malformed'],
  ])('%s is refused', (_name, header, claims, reason) => {
    const part = whole();
    const text = `seal_${encode({ ...part.header, ...header })}.${encode({ ...part.claims, ...claims })}.${part.signature}`;
    expect(parseLogin(text)).toEqual({ ok: false, reason });
  });

  test.each([
    ['now', 0, undefined],
    ['a second before its end', LONGEST_LOGIN_LIFE_MS - 61_000, undefined],
    ['at its end', LONGEST_LOGIN_LIFE_MS - 60_000, 'proof_expired'],
    ['two minutes early: the clock of its maker is ahead', -120_000, undefined],
    ['even earlier', -120_001, 'proof_from_future'],
  ])('shown %s', (_name, afterMs, reason) => {
    const login = parsed(signLogin(subject, privateKey, nowMs).proof);
    expect(examineLogin(login, { nowMs: nowMs + afterMs, clusterId: id('c') })).toBe(reason);
  });

  test('lives ten minutes at most, and counts in its cluster alone', () => {
    const login = parsed(signLogin(subject, privateKey, nowMs).proof);
    const longer = { ...login, expiresAtMs: login.expiresAtMs + 1 };
    const at = { nowMs, clusterId: id('c') };
    expect(examineLogin(longer, at)).toBe('proof_life_too_long');
    expect(examineLogin({ ...login, expiresAtMs: login.issuedAtMs }, { ...at, nowMs: 0 })).toBe(
      'proof_from_future',
    );
    expect(examineLogin(login, { ...at, clusterId: id('d') })).toBe('audience_mismatch');
  });
});

describe('the stake of a person', () => {
  const person = { tokenNodeId: '', recordNodeId: '', stakeType: 'user', stakeMist: 100n } as const;
  test.each([
    ['good', {}, undefined],
    ['of an admin', { stakeType: 'admin', stakeMist: 10_000n } as const, undefined],
    ['of a node', { stakeType: 'node' } as const, 'not_a_person_stake'],
    ['without a record', { record: undefined }, 'record_not_found'],
    ['of another cluster', { recordCluster: id('d') }, 'record_not_found'],
    ['of another record', { stakeId: id('e') }, 'record_not_found'],
    ['of another wallet', { owner: id('2') }, 'owner_mismatch'],
    ['slashed', { status: 'slashed' } as const, 'stake_slashed'],
    ['unbonding', { status: 'unbonding' } as const, 'stake_unbonding'],
    ['withdrawn', { status: 'withdrawn' } as const, 'stake_withdrawn'],
    ['revoked', { liveToken: undefined }, 'token_revoked'],
    ['rotated', { liveToken: id('f') }, 'token_superseded'],
    ['expired', { epoch: 100n }, 'token_expired'],
    ['one epoch before that', { epoch: 99n }, undefined],
    ['one MIST below the first tier', { stakeMist: 99n }, 'stake_too_low'],
  ])('%s', (_name, spoil, reason) => {
    expect(examinePerson(id('1'), chainFacts({ ...person, ...spoil }))).toBe(reason);
  });

  const { parameters } = chainFacts().cluster;
  test.each([
    [99n, undefined],
    [100n, 'basic'],
    [999n, 'basic'],
    [1_000n, 'standard'],
    [9_999n, 'standard'],
    [10_000n, 'premium'],
  ])('%s MIST are the tier %s', (stakeMist, tier) => {
    expect(tierOf(parameters, stakeMist)).toBe(tier);
  });

  test.each([
    ['what token and stake both have', ['pods:read', 'pods:write'], 100n, ['pods:read']],
    [
      'more stake grants it, with the same token',
      ['pods:read', 'pods:write'],
      1_000n,
      ['pods:read', 'pods:write'],
    ],
    [
      'a stake for everything carries what the token names',
      ['pods:read', 'secrets:read'],
      10_000n,
      ['pods:read', 'secrets:read'],
    ],
    ['a token for everything has what the stake carries', ['*:*'], 100n, ['pods:read', 'services:read']],
    ['everything', ['*:*'], 10_000n, ['*:*', 'pods:read', 'services:read', 'nodes:write', 'pods:write']],
    ['nothing', ['pods:write'], 100n, []],
    ['a permission of another form', ['pods:read', 'system:masters:x', 'A:b'], 10_000n, ['pods:read']],
  ])('%s', (_name, permissions, stakeMist, now) => {
    expect(permissionsNow({ permissions }, parameters, stakeMist)).toEqual(now);
  });

  test('a permission is resource:verb, as the contracts have it', () => {
    expect(['pods:read', '*:*', 'deployments.apps:write', 'pods/exec:create'].every(isPermission)).toBe(true);
    const others = [
      '',
      ':',
      'pods',
      'pods:',
      ':read',
      'a:b:c',
      'Pods:read',
      'pods:rea*',
      `${'a'.repeat(62)}:bc`,
    ];
    expect(others.some(isPermission)).toBe(false);
  });
});
