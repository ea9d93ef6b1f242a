import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakePerson, post, type ReviewReply, reviewOf } from './fake-person.fixture.ts';
import { newKey } from './fake-worker.fixture.ts';
import { CLUSTER_ID, id, STAKER } from './ids.fixture.ts';
import { acceptedReview } from './token-review.ts';
import { World } from './world.fixture.ts';

const WALLET = id('71');
const refused: ReviewReply = { status: 200, apiVersion: 'authentication.k8s.io/v1', authenticated: false };

describe('the API server asks whose login it was shown', () => {
  let world: World;
  let agent: Agent;
  let port = 0;

  async function connect(): Promise<void> {
    port = world.gateway?.tokenReviewPort() ?? 0;
    const file = (name: string) => readFile(join(world.config.stateDir, 'authorizer', name));
    const [cert, key] = await Promise.all([file('api-server.crt'), file('api-server.key')]);
    agent = new Agent({ cert, key, keepAlive: true, maxSockets: 16 });
  }
  beforeEach(async () => {
    world = await World.start({ tokenReview: { enabled: true, port: 0 } });
    await connect();
  });
  afterEach(async () => {
    agent.destroy();
    await world[Symbol.asyncDispose]();
  });

  const ask = (token: string, version?: string) => post(port, reviewOf(token, version), { agent });
  const person = () => new FakePerson(world, WALLET);
  const events = async (event: string) => (await world.audit()).filter((line) => line.event === event);

  test('a good login is seal:<wallet>, in groups of its tier and of what token and stake both grant', async () => {
    const { recordId, login } = bound(person().stake());
    expect(await ask(login())).toEqual({
      status: 200,
      apiVersion: 'authentication.k8s.io/v1',
      authenticated: true,
      user: {
        username: `seal:${WALLET}`,
        uid: recordId,
        groups: ['seal:tier:basic', 'seal:perm:pods:read', `seal:own:${WALLET}:pods:read`],
        extra: {
          'k3s-daas.io/stake-record': [recordId],
          'k3s-daas.io/tier': ['basic'],
          'k3s-daas.io/proof-id': [expect.stringMatching(/^[0-9a-f]{16}$/)],
          'k3s-daas.io/checked-at': [expect.stringMatching(/^20..-.*Z$/)],
          'k3s-daas.io/revoked-within': ['20s'],
        },
      },
    });
    const [line] = await events('login.accepted');
    expect(line).toMatchObject({ wallet: WALLET, record: recordId, permissions: 'pods:read' });
  });

  test('an API server that asks in v1beta1 is answered in v1beta1', async () => {
    expect(await ask(person().stake().login(), 'v1beta1')).toMatchObject({
      apiVersion: 'authentication.k8s.io/v1beta1',
      authenticated: true,
    });
    expect(await ask('x', 'v1beta1')).toEqual({ ...refused, apiVersion: 'authentication.k8s.io/v1beta1' });
  });

  test('a top-up grants more to the same login, a partial slash takes it back', async () => {
    const staker = person().stake();
    const login = staker.login();
    expect(everybodys(await ask(login))).toEqual(['seal:tier:basic', 'seal:perm:pods:read']);
    world.chain.change(staker.recordId, { stakeMist: 1_000n });
    expect(everybodys(await ask(login))).toEqual([
      'seal:tier:standard',
      'seal:perm:pods:read',
      'seal:perm:pods:write',
    ]);
    world.chain.change(staker.recordId, { stakeMist: 999n, slashedMist: 1n });
    expect(everybodys(await ask(login))).toEqual(['seal:tier:basic', 'seal:perm:pods:read']);
  });

  test('a slash ends the login at the next question', async () => {
    const staker = person().stake();
    const login = staker.login();
    expect(await ask(login)).toMatchObject({ authenticated: true });
    world.chain.slash(staker.recordId);
    expect(await ask(login)).toEqual(refused);
    expect((await events('login.refused')).at(-1)).toMatchObject({ reason: 'stake_slashed', wallet: WALLET });
  });

  test('a full node that lags behind a slash is asked once more', async () => {
    const staker = person().stake();
    const login = staker.login();
    expect(await ask(login)).toMatchObject({ authenticated: true });
    world.chain.lagging = new Map(world.chain.stakeRecords);
    world.chain.slash(staker.recordId);
    expect(await ask(login)).toMatchObject({ authenticated: true });
    world.chain.lagging = undefined;
    await world.pass(2_000);
    expect(await ask(login)).toEqual(refused);
  });

  interface Attempt {
    readonly name: string;
    readonly token: (staker: FakePerson) => string | Promise<string>;
    readonly reason: string;
  }
  const attempts: readonly Attempt[] = [
    { name: 'a login for another cluster', token: (p) => p.login(id('c2')), reason: 'audience_mismatch' },
    {
      name: 'a login under the token of another wallet',
      token: (p) => {
        const thief = new FakePerson(world, id('72'), p.key);
        thief.tokenId = p.tokenId;
        return thief.login();
      },
      reason: 'owner_mismatch',
    },
    {
      name: 'a login signed by a key that the token does not name',
      token: (p) => {
        const thief = new FakePerson(world, WALLET, newKey());
        thief.tokenId = p.tokenId;
        return thief.login();
      },
      reason: 'holder_key_mismatch',
    },
    {
      name: 'a login with a token of another package, or none at all',
      token: (p) => {
        p.tokenId = id('dd');
        return p.login();
      },
      reason: 'token_not_found',
    },
    {
      name: 'a login with a token of another cluster',
      token: (p) => {
        world.chain.addToken(p.recordId, p.key.publicKey, { id: id('de'), cluster: id('c2') });
        p.tokenId = id('de');
        return p.login();
      },
      reason: 'token_of_another_cluster',
    },
    {
      name: 'a login with the token of a worker',
      token: (p) => p.stake({ stakeType: 'node', stakeMist: 1_000n }).login(),
      reason: 'not_a_person_stake',
    },
    {
      name: 'a login whose token was revoked',
      token: (p) => {
        const login = p.login();
        world.chain.change(p.recordId, { token: undefined });
        return login;
      },
      reason: 'token_revoked',
    },
    {
      name: 'a login whose token was rotated away',
      token: (p) => {
        const login = p.login();
        world.chain.addToken(p.recordId, newKey().publicKey);
        return login;
      },
      reason: 'token_superseded',
    },
    {
      name: 'a login whose token has expired',
      token: async (p) => {
        world.chain.epoch += world.chain.parameters.longestTokenLifeEpochs;
        await world.pass(31_000);
        return p.login();
      },
      reason: 'token_expired',
    },
    {
      name: 'a login that has expired',
      token: async (p) => {
        const login = p.login();
        await world.pass(540_000);
        return login;
      },
      reason: 'proof_expired',
    },
    {
      name: 'a login with a signature of somebody else’s',
      token: (p) => {
        const [other] = [new FakePerson(world, WALLET)];
        const foreign = other?.login().split('.').at(-1) ?? '';
        return p.login().replace(/[^.]+$/, foreign);
      },
      reason: 'signature_invalid',
    },
    { name: 'a worker’s proof as bearer', token: () => workersProof(), reason: 'type_refused' },
    { name: 'the public hash of a token', token: () => `seal_${'0'.repeat(32)}`, reason: 'proof_malformed' },
    {
      name: 'a bootstrap token of nobody’s',
      token: () => 'abcdef.0123456789abcdef',
      reason: 'proof_malformed',
    },
  ];

  async function workersProof(): Promise<string> {
    const worker = world.worker('worker-1').stake();
    return worker.signer.sign({
      sealTokenId: worker.tokenId,
      audience: CLUSTER_ID,
      method: 'POST',
      path: '/',
      body: '',
      nowMs: world.clock.nowMs(),
      freshness: { kind: 'nonce', nonce: 'x' },
    });
  }

  test.each(attempts)('$name is no login', async ({ token, reason }) => {
    const staker = person().stake();
    expect(await ask(await token(staker))).toEqual(refused);
    expect((await events('login.refused')).map((line) => line.reason)).toEqual([reason]);
  });

  test('a login that was seen can be shown again within its life, and not beyond', async () => {
    const login = person().stake().login();
    for (let round = 0; round < 3; round += 1)
      expect(await ask(login)).toMatchObject({ authenticated: true });
    await world.pass(540_000);
    expect(await ask(login)).toEqual(refused);
  });

  test('nothing that is on chain becomes a user or group of Kubernetes itself', async () => {
    const permissions = [
      'system:masters',
      'system:nodes',
      '*:system',
      'pods:read',
      'system:masters:x',
      ' system:',
    ];
    world.chain.parameters = { ...world.chain.parameters, tierPermissions: [permissions, [], []] };
    const { user } = await ask(person().stake({ permissions }).login());
    expect([user?.username, ...(user?.groups ?? [])].filter((name) => !name?.startsWith('seal:'))).toEqual(
      [],
    );
    const person0 = { username: 'system:admin', uid: '', groups: [], extra: {} };
    expect(() => acceptedReview('authentication.k8s.io/v1', person0)).toThrow(RangeError);
    expect(() =>
      acceptedReview('authentication.k8s.io/v1', {
        ...person0,
        username: 'seal:x',
        groups: ['system:masters'],
      }),
    ).toThrow(RangeError);
  });

  test.each([
    ['no JSON', 'x'],
    ['another kind', JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SubjectAccessReview' })],
    [
      'a version that is none',
      JSON.stringify({ apiVersion: 'v1', kind: 'TokenReview', spec: { token: 'x' } }),
    ],
    [
      'a token that is no text',
      JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token: {} } }),
    ],
    ['more than a megabyte', Buffer.alloc(1_500_000, 'a')],
  ])('%s is answered with 200 and no user', async (_name, body) => {
    expect(await post(port, body, { agent })).toEqual(refused);
  });

  test('only the API server’s key opens the listener', async () => {
    await expect(post(port, reviewOf('x'))).rejects.toThrow();
    await expect(post(port, reviewOf('x'), world.tls)).rejects.toThrow();
  });

  test('of a thousand strangers’ tokens a budget is looked up; who was let in before needs none of it', async () => {
    const staker = person().stake();
    expect(await ask(staker.login())).toMatchObject({ authenticated: true });
    const before = world.chain.asked.tokens.flat().length;
    const forged = Array.from({ length: 1_000 }, (_, index) => {
      const stranger = new FakePerson(world, id('73'));
      stranger.tokenId = id(`e${index.toString(16).padStart(4, '0')}`.slice(0, 5));
      return stranger.login();
    });
    const replies = await Promise.all(forged.map((token) => ask(token)));
    expect(replies.every(({ status, authenticated }) => status === 200 && authenticated === false)).toBe(
      true,
    );
    expect(world.chain.asked.tokens.flat().length - before).toBeLessThanOrEqual(100);
    await world.pass(61_000);
    await Promise.all(forged.slice(0, 200).map((token) => ask(token)));
    expect(await ask(staker.login())).toMatchObject({ authenticated: true });
    const lines = await events('login.refused');
    expect(lines.length).toBeLessThan(20);
  });

  const looked = () => world.chain.asked.tokens.flat().length;

  test('a stranger who signs with a key of their own makes no look-up by a token that is known, whoever holds it', async () => {
    const worker = await world.member('worker-1');
    const staker = person().stake();
    expect(await ask(staker.login())).toMatchObject({ authenticated: true });
    const before = looked();
    for (const tokenId of [worker.tokenId, staker.tokenId])
      for (let round = 0; round < 20; round += 1) {
        const thief = new FakePerson(world, id('73'));
        thief.tokenId = tokenId;
        world.chain.report({ others: [worker.recordId, staker.recordId] });
        expect(await ask(thief.login())).toEqual(refused);
      }
    const ownReadings = looked() - before;
    await world.pass(61_000);
    const thief = new FakePerson(world, id('73'));
    thief.tokenId = staker.tokenId;
    const then = looked();
    for (let round = 0; round < 20; round += 1) await ask(thief.login());
    expect(looked() - then).toBeLessThanOrEqual(2);
    // What the announcements themselves have read again.
    expect(ownReadings).toBeLessThanOrEqual(42);
    const reasons = (await events('login.refused')).map(({ reason }) => reason);
    expect(new Set(reasons)).toEqual(new Set(['holder_key_mismatch']));
  });

  test('who was let in before a restart needs no budget after it, however many strangers come first', async () => {
    const staker = person().stake();
    expect(await ask(staker.login())).toMatchObject({ authenticated: true });
    await world.restartGateway();
    agent.destroy();
    await connect();
    const strangers = Array.from({ length: 300 }, (_, index) => {
      const stranger = new FakePerson(world, id('73'));
      stranger.tokenId = id(`e${index.toString(16).padStart(4, '0')}`.slice(0, 5));
      return stranger.login();
    });
    await Promise.all(strangers.map((token) => ask(token)));
    expect((await events('login.refused')).map(({ reason }) => reason)).toContain('rate_limited');
    expect(await ask(staker.login())).toMatchObject({ authenticated: true });
    // The key counts too: the id of the token is public.
    const thief = new FakePerson(world, WALLET, newKey());
    thief.tokenId = staker.tokenId;
    expect(await ask(thief.login())).toEqual(refused);
  });

  test('logins that count take no place of proven refusals in the audit file', async () => {
    for (let index = 0; index < 260; index += 1) {
      const many = new FakePerson(world, id(`9${index.toString(16).padStart(3, '0')}`)).stake();
      expect(await ask(many.login())).toMatchObject({ authenticated: true });
      // Within the budget of strangers, and within the window of the tally.
      if (index % 20 === 0) await world.pass(1_000);
    }
    const staker = person().stake();
    world.chain.slash(staker.recordId);
    expect(await ask(staker.login())).toEqual(refused);
    expect(await events('login.refused')).toMatchObject([{ reason: 'stake_slashed', wallet: WALLET }]);
  });

  test('while the chain is away, who was let in before is let in by what was read last, for the grace', async () => {
    const staker = person().stake();
    expect(await ask(staker.login())).toMatchObject({ authenticated: true });
    world.chain.isDown = true;
    await world.clock.advance(120_000);
    expect(await ask(staker.login())).toMatchObject({ authenticated: true });
    expect(await ask(new FakePerson(world, id('74')).stake().login())).toEqual(refused);
    await world.clock.advance(900_001);
    expect(await ask(staker.login())).toEqual(refused);
    expect((await events('login.refused')).map((line) => line.reason)).toContain('chain_unavailable');
  });

  test('a wallet that the operator has banned is no user; one that a slash has banned from new nodes is', async () => {
    const staker = new FakePerson(world, STAKER).stake();
    const worker = await world.member('worker-1');
    world.chain.slash(worker.recordId);
    await world.pass(3_000);
    expect(await ask(staker.login())).toMatchObject({ authenticated: true });
    await world.operator('/v1/ban', { target: { subject: 'staker', value: WALLET }, reason: 'test' });
    expect(await ask(person().stake().login())).toEqual(refused);
  });
});

/** Without the groups that are the wallet's own. */
function everybodys({ user }: ReviewReply): readonly string[] | undefined {
  return user?.groups.filter((group) => !group.startsWith('seal:own:'));
}

/** A person whose methods can be taken off. */
function bound(staker: FakePerson) {
  return { recordId: staker.recordId, login: () => staker.login() };
}
