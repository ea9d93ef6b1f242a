import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Secret } from '#base';
import { EXPECTED, ORDINARY, RESERVED } from '#domain';
import { createStore, openSqliteEngine } from '#state';
import { settled } from '#testing';
import {
  type Claim,
  type ClaimGrounds,
  effectOf,
  forgottenClaims,
  isAbuse,
  isClaim,
  rememberedCredentials,
} from './claims.ts';
import type { FakeWorker } from './fake-worker.fixture.ts';
import { staker } from './members.fixture.ts';
import { CERTIFICATE_LIFE_MS } from './name-history.ts';
import { call, command } from './operator.fixture.ts';
import { aWorker } from './worker.fixture.ts';
import { World } from './world.fixture.ts';

const claim: Claim = {
  nodeId: 'worker-1',
  secretUid: 'u',
  seenAtMs: 1_000,
  credentials: [],
  otherCredentials: 0,
  releasedAtMs: undefined,
};
const grounds: ClaimGrounds = {
  worker: undefined,
  stakedAtMs: undefined,
  isVouchingEnforced: false,
  nowMs: 2_000,
};

describe('what a claim means', () => {
  test.each<[string, Partial<Claim>, Partial<ClaimGrounds>, string]>([
    ['for a stake that came later', {}, { stakedAtMs: 1_001 }, 'closed'],
    ['for a name without a stake', {}, {}, 'closed'],
    ['for a stake that stood before', {}, { stakedAtMs: 1_000 }, 'contested'],
    ['for a node that is admitted', {}, { worker: aWorker() }, 'contested'],
    [
      'for a node that has left',
      {},
      { worker: aWorker({ status: { kind: 'evicted', reason: 'evicted' } }), stakedAtMs: 1_001 },
      'closed',
    ],
    ['while certificates count only when vouched for', {}, { isVouchingEnforced: true }, 'noted'],
    ['when the operator has released it', { releasedAtMs: 1_500 }, {}, 'over'],
    ['when its certificate has ended', {}, { nowMs: 1_000 + CERTIFICATE_LIFE_MS }, 'over'],
  ])('%s: %#', (_what, changes, more, effect) => {
    expect(effectOf({ ...claim, ...changes }, { ...grounds, ...more })).toBe(effect);
  });

  test.each([ORDINARY, EXPECTED, RESERVED])('a password of a name that is %s is no claim', (listing) => {
    expect(isClaim({ hasNode: false, listing })).toBe(false);
  });
  test('nor is one beside its Node', () => {
    expect(isClaim({ hasNode: true, listing: undefined })).toBe(false);
    expect(isClaim({ hasNode: false, listing: undefined })).toBe(true);
  });

  const credential = (id: string, issuedAtMs: number) => ({ id, nodeId: `of-${id}`, issuedAtMs });

  test('three standing ones through which one credential has lived are no accident', () => {
    const at = (...times: number[]) => times.map((seenAtMs) => ({ ...claim, seenAtMs }));
    expect(isAbuse(at(5, 9, 7), [credential('a', 5)])).toBe(true);
    expect(isAbuse(at(5, 9, 7), [credential('late', 6)])).toBe(false);
    expect(isAbuse(at(5, 9), [credential('a', 1)])).toBe(false);
    expect(isAbuse([...at(5, 9), { ...claim, seenAtMs: 7, releasedAtMs: 8 }], [credential('a', 1)])).toBe(
      false,
    );
    expect(isAbuse(at(1, 2, 3, 30, 20, 10), [credential('a', 11), credential('b', 10)])).toBe(true);
    expect(isAbuse(at(1, 2, 3, 30, 20, 10), [credential('a', 11)])).toBe(false);
  });

  test('a claim names the newest credentials and counts the rest, however many live', () => {
    const live = Array.from({ length: 5_000 }, (_, index) => credential(`c${index}`, index));
    const remembered = rememberedCredentials(live);
    expect(remembered.credentials).toHaveLength(16);
    expect(remembered.credentials[0]).toEqual({ id: 'c4999', nodeId: 'of-c4999' });
    expect(remembered.otherCredentials).toBe(4_984);
  });

  test('of too many the oldest are forgotten, those that are over first, and released ones like the others', () => {
    const known = Array.from({ length: 50_000 }, (_, index) => ({
      ...claim,
      nodeId: `n${index}`,
      seenAtMs: index < 10 ? 0 : CERTIFICATE_LIFE_MS + 60_000 - index,
      releasedAtMs: index % 2 === 0 ? 1 : undefined,
    }));
    const { over, surplus } = forgottenClaims(known, 12, CERTIFICATE_LIFE_MS);
    expect(over.map(({ nodeId }) => nodeId)).toEqual(known.slice(0, 10).map(({ nodeId }) => nodeId));
    expect(surplus.map(({ nodeId }) => nodeId)).toEqual(['n49999', 'n49998']);
    expect(forgottenClaims(known, 10, CERTIFICATE_LIFE_MS).surplus).toEqual([]);
  });
});

const password = new Secret('thief');

/** A worker that is admitted and whose agent has not started: its join credential lives. */
async function joiner(world: World, nodeId: string, index: number): Promise<FakeWorker> {
  const worker = world.worker(nodeId, { staker: staker(index) }).stake();
  await worker.register();
  return worker;
}

async function claimAs(world: World, thief: FakeWorker, name: string): Promise<number> {
  return world.kubernetes.claim(name, thief.registration?.join?.token.reveal() ?? '', password);
}

/** A cluster whose policies see no certificates: a claimed name is closed there. */
async function startBlind(): Promise<World> {
  const world = await World.create();
  world.kubernetes.hasFingerprints = false;
  await world.startGateway();
  return world;
}

/** Claims are judged once a second. */
async function judged(world: World): Promise<void> {
  await world.pass(2_000);
  await settled(60);
}

const events = async (world: World) => (await world.audit()).map(({ event }) => event);
const claims = async (world: World) => (await call(world, 'GET', '/v1/nodes')).json.claims;

describe('a name that is claimed with a join credential', () => {
  test('is written down with the credentials that lived, shown, and closed to stakes that come later', async () => {
    await using world = await startBlind();
    await judged(world);
    const thief = await joiner(world, 'thief', 1);
    expect(await claimAs(world, thief, 'victim')).toBe(200);
    await judged(world);
    const id = [...world.kubernetes.credentials.keys()][0];
    expect((await world.audit()).find(({ event }) => event === 'name.claimed')).toMatchObject({
      node_id: 'victim',
      credentials: `${id} of thief`,
    });
    expect(await claims(world)).toMatchObject([
      { node_id: 'victim', effect: 'closed', credentials: [`${id} of thief`] },
    ]);
    expect((await call(world, 'GET', '/v1/why/victim')).json).toMatchObject({
      claim: { effect: 'closed' },
      password: 'foreign',
    });
    const later = world.worker('victim', { staker: staker(2) }).stake();
    await expect(later.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NAME_CLAIMED' });
    const before = await call(world, 'GET', '/v1/why/victim');
    expect(before.json.lets_it_in).toMatchObject([{ command: 'k3s-daas gateway release victim' }]);

    // It is remembered over a restart, and the operator opens it: also while k3s still has the Secret.
    await world.restartGateway();
    await judged(world);
    await expect(later.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NAME_CLAIMED' });
    expect((await command(world, '/v1/release', { node_id: 'victim' })).json).toMatchObject({ done: true });
    await judged(world);
    expect(await claims(world)).toEqual([]);
    expect((await later.register()).join).toBeDefined();
  }, 60_000);

  test('is not closed to the stake that stood before: it is contested', async () => {
    await using world = await startBlind();
    await judged(world);
    const thief = await joiner(world, 'thief', 1);
    const victim = world.worker('victim', { staker: staker(2) }).stake();
    await claimAs(world, thief, 'victim');
    await judged(world);
    expect((await victim.register()).join).toBeDefined();
    await victim.join();
    expect(await claims(world)).toMatchObject([{ node_id: 'victim', effect: 'contested' }]);
  }, 60_000);

  test('is found at the start of the gateway, however it was claimed before', async () => {
    await using world = await startBlind();
    await judged(world);
    const thief = await joiner(world, 'thief', 1);
    await world.stopGateway();
    await claimAs(world, thief, 'victim');
    await world.clock.advance(5_000);
    await world.startGateway();
    await judged(world);
    expect(await claims(world)).toMatchObject([{ node_id: 'victim' }]);
  }, 60_000);

  test('names of the operator are exempt: an ordinary agent shows such a password for seconds while it joins', async () => {
    await using world = await startBlind();
    world.kubernetes.names.set('printer', EXPECTED);
    world.kubernetes.names.set('server-1', RESERVED);
    await world.pass(62_000);
    const thief = await joiner(world, 'thief', 1);
    await claimAs(world, thief, 'printer');
    await claimAs(world, thief, 'server-1');
    await judged(world);
    expect(await claims(world)).toEqual([]);
  }, 60_000);

  test('the third while a credential lives revokes all that live; honest workers get another and join', async () => {
    await using world = await startBlind();
    await judged(world);
    const thief = await joiner(world, 'thief', 1);
    const honest = await joiner(world, 'honest', 2);
    await claimAs(world, thief, 'a');
    await claimAs(world, thief, 'b');
    await judged(world);
    expect(await claimAs(world, thief, 'c')).toBe(200);
    await judged(world);
    expect(await claimAs(world, thief, 'd')).toBe(401);
    expect(world.kubernetes.credentials.size).toBe(0);
    expect((await honest.heartbeat()).directives).toEqual([{ kind: 'reregister', reason: 'names_claimed' }]);
    expect((await honest.comeBack()).join).toBeDefined();
    expect(await honest.join()).toEqual({ certificate: 200, node: 201 });
  }, 60_000);

  test('a revocation that fails is tried again until no credential of the time lives', async () => {
    await using world = await startBlind();
    await judged(world);
    const thief = await joiner(world, 'thief', 1);
    world.kubernetes.before = (method) => {
      if (method === 'revokeJoinCredential') throw new Error('the API server is busy');
    };
    for (const name of ['a', 'b', 'c']) await claimAs(world, thief, name);
    await judged(world);
    expect(world.kubernetes.credentials.size).toBe(1);
    world.kubernetes.before = undefined;
    await judged(world);
    await judged(world);
    expect(world.kubernetes.credentials.size).toBe(0);
  }, 60_000);

  test('a gap in the watch is found also when the first list of Secrets takes its time', async () => {
    await using world = await World.start();
    await joiner(world, 'worker', 1);
    await judged(world);
    await world.stopGateway();
    await world.clock.advance(11 * 60_000);
    const { kubernetes } = world;
    const watch = kubernetes.watchForeignPasswords.bind(kubernetes);
    const isListing = Promise.withResolvers<void>();
    kubernetes.watchForeignPasswords = async (listener, signal) => {
      await isListing.promise;
      await watch(listener, signal);
    };
    await world.startGateway();
    await world.clock.advance(5_000);
    isListing.resolve();
    await judged(world);
    expect(await events(world)).toContain('names.unwatched');
  }, 60_000);

  test('a claim contests the name that a worker holds, and a gap in the watch contests every name, also of who comes later', async () => {
    await using world = await World.start();
    await judged(world);
    const thief = await joiner(world, 'thief', 1);
    const victim = await joiner(world, 'victim', 2);
    // The password of a name that is held is the gateway's: a claim needs one from before.
    await claimAs(world, thief, 'later');
    await judged(world);
    const isContested = (name: string) => world.kubernetes.admitted.get(name)?.isContested;
    expect([isContested('thief'), isContested('victim')]).toEqual([false, false]);
    const later = await joiner(world, 'later', 3);
    await judged(world);
    expect(isContested('later')).toBe(true);

    await world.stopGateway();
    await world.clock.advance(9 * 60_000);
    await world.startGateway();
    await judged(world);
    expect(await events(world)).not.toContain('names.unwatched');

    await victim.comeBack();
    await later.comeBack();
    await judged(world);
    await world.stopGateway();
    await world.clock.advance(11 * 60_000);
    await world.startGateway();
    await judged(world);
    expect(await events(world)).toContain('names.unwatched');
    const newcomer = await joiner(world, 'newcomer', 4);
    await newcomer.join();
    await judged(world);
    expect(isContested('newcomer')).toBe(true);
  }, 60_000);

  test('a watch that breaks and stays broken is a gap as well, and health says so', async () => {
    await using world = await World.start();
    await joiner(world, 'worker', 1);
    await judged(world);
    world.kubernetes.breakPasswordWatch();
    const claimsHealth = async () => (await world.gateway?.health())?.find(({ name }) => name === 'claims');
    for (let minute = 0; minute < 11; minute += 1) {
      await joiner(world, `joins-in-minute-${minute}`, 2 + minute);
      await world.clock.advance(60_000);
    }
    expect(await claimsHealth()).toMatchObject({ isOk: false });
    world.kubernetes.healPasswordWatch();
    await judged(world);
    expect(await claimsHealth()).toMatchObject({ isOk: true });
    expect(await events(world)).toContain('names.unwatched');
  }, 60_000);

  test('is written down and not closed where certificates count only when vouched for: the claim’s counts for nothing', async () => {
    await using world = await World.start();
    await judged(world);
    const thief = await joiner(world, 'thief', 1);
    await claimAs(world, thief, 'victim');
    await judged(world);
    expect(await claims(world)).toMatchObject([{ node_id: 'victim', effect: 'noted' }]);
    const later = world.worker('victim', { staker: staker(2) }).stake();
    expect((await later.register()).join).toBeDefined();
    expect(world.kubernetes.createNodeAs('victim', 'f'.repeat(64))).toBe(403);
  }, 60_000);

  test('5 000 names claimed with one credential: all are closed, and staked workers still join', async () => {
    await using world = await startBlind();
    await judged(world);
    const thief = await joiner(world, 'thief', 1);
    const honest = world.worker('honest', { staker: staker(2) }).stake();
    for (let index = 0; index < 5_000; index += 1) await claimAs(world, thief, `name-${index}`);
    await claimAs(world, thief, 'honest');
    await judged(world);
    const reply = (await call(world, 'GET', '/v1/nodes')).json;
    expect(reply).toMatchObject({ claims_count: 5_001 });
    expect(reply.claims).toHaveLength(100);
    expect(await claimAs(world, thief, 'one-more')).toBe(401);
    const lines = (await world.audit()).filter(({ event }) => event === 'name.claimed');
    expect(lines).toHaveLength(5_001);

    expect((await honest.register()).join).toBeDefined();
    expect(await honest.join()).toEqual({ certificate: 200, node: 201 });
    const newcomer = world.worker('newcomer', { staker: staker(3) }).stake();
    expect((await newcomer.register()).join).toBeDefined();
    expect(await newcomer.join()).toEqual({ certificate: 200, node: 201 });
    const closed = world.worker('name-4999', { staker: staker(4) }).stake();
    await expect(closed.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NAME_CLAIMED' });
  }, 120_000);
});

test('what is remembered of a name goes once no certificate of it can live', async () => {
  await using world = await World.start();
  await joiner(world, 'gone', 1);
  const remembered = async () => {
    await world.stopGateway();
    await using store = createStore(openSqliteEngine(join(world.config.stateDir, 'gateway.db')));
    return (await store.list('/names/')).map(([key]) => key);
  };
  await command(world, '/v1/evict', { node_id: 'gone' });
  await world.pass(3_000);
  expect((await command(world, '/v1/release', { node_id: 'gone' })).json).toMatchObject({ done: true });
  expect(await remembered()).toEqual(['/names/gone']);
  await world.clock.advance(CERTIFICATE_LIFE_MS);
  await world.startGateway();
  await world.pass(3_000);
  expect(await remembered()).toEqual([]);
}, 60_000);
