import { readFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { post, reviewOf } from './fake-person.fixture.ts';
import type { FakeWorker } from './fake-worker.fixture.ts';
import { World } from './world.fixture.ts';

describe('a join credential that exists nowhere but in the gateway', () => {
  let world: World;
  let agent: Agent;
  const settings = { joinCredential: 'webhook', tokenReview: { enabled: true, port: 0 } };

  async function connect(): Promise<void> {
    const file = (name: string) => readFile(join(world.config.stateDir, 'authorizer', name));
    const [cert, key] = await Promise.all([file('api-server.crt'), file('api-server.key')]);
    agent?.destroy();
    agent = new Agent({ cert, key, keepAlive: true });
  }
  beforeEach(async () => {
    world = await World.start(settings);
    await connect();
  });
  afterEach(async () => {
    agent.destroy();
    await world[Symbol.asyncDispose]();
  });

  const ask = (token: string, version = 'v1') =>
    post(world.gateway?.tokenReviewPort() ?? 0, reviewOf(token, version), { agent });
  const events = async (event: string) => (await world.audit()).filter((line) => line.event === event);
  async function registered(nodeId = 'worker-1'): Promise<{ worker: FakeWorker; token: string }> {
    const worker = world.worker(nodeId).stake();
    const { join: issued } = await worker.register();
    // `K10<hash>::<id>.<secret>`
    return { worker, token: issued?.token.reveal().split('::').at(-1) ?? '' };
  }

  test('is answered as Kubernetes answers a bootstrap token, and is in no Secret', async () => {
    const { token } = await registered();
    const [id = ''] = token.split('.');
    expect(world.kubernetes.credentials.size).toBe(0);
    for (const version of ['v1', 'v1beta1'])
      expect(await ask(token, version)).toEqual({
        status: 200,
        apiVersion: `authentication.k8s.io/${version}`,
        authenticated: true,
        user: { username: `system:bootstrap:${id}`, groups: ['system:bootstrappers'] },
      });
    const used = await events('join_credential.used');
    expect(used).toMatchObject([{ node_id: 'worker-1', credential: id, reason: 'live' }]);
    const state = await readFile(join(world.config.stateDir, 'gateway.db'), 'latin1');
    expect(state).not.toContain(token.split('.')[1]);
  });

  test.each([
    ['another secret', (token: string) => `${token.slice(0, 7)}${'a'.repeat(16)}`],
    ['another id', (token: string) => `aaaaaa${token.slice(6)}`],
    ['the whole token of k3s', (token: string) => `K10abc::${token}`],
    ['upper case', (token: string) => token.toUpperCase()],
  ])('with %s it is nobody’s', async (_name, spoil) => {
    const { token } = await registered();
    expect(await ask(spoil(token))).toMatchObject({ status: 200, authenticated: false });
    expect(await events('join_credential.used')).toEqual([]);
  });

  test('is written down as revoked when its node is evicted, once', async () => {
    const { worker, token } = await registered();
    const [credential] = token.split('.');
    world.chain.slash(worker.recordId);
    await world.pass(5_000);
    expect(await ask(token)).toMatchObject({ authenticated: false });
    expect(await events('credential.revoked')).toMatchObject([
      { node_id: 'worker-1', credential, reason: 'lost_with_worker' },
    ]);
  });

  test('is dead at once when its node is Ready, when its stake is slashed, and at its end', async () => {
    const first = await registered('worker-1');
    world.kubernetes.createNodeAs('worker-1');
    await world.pass(2_000);
    expect(await ask(first.token)).toMatchObject({ authenticated: false });
    const third = await registered('worker-3');
    expect(await ask(third.token)).toMatchObject({ authenticated: true });
    await world.clock.advance(480_001);
    expect(await ask(third.token)).toMatchObject({ authenticated: false });
    const second = await registered('worker-2');
    world.chain.slash(second.worker.recordId);
    await world.pass(1_000);
    expect(await ask(second.token)).toMatchObject({ authenticated: false });
  });

  test('a second registration ends the first one’s', async () => {
    const { worker, token } = await registered();
    const { join: next } = await worker.register();
    expect(await ask(token)).toMatchObject({ authenticated: false });
    expect(await ask(next?.token.reveal().split('::').at(-1) ?? '')).toMatchObject({ authenticated: true });
  });

  test('lives on over a restart of the gateway, which has its hash', async () => {
    const { token } = await registered();
    await world.restartGateway();
    await connect();
    expect(await ask(token)).toMatchObject({ authenticated: true });
  });

  test('without a listener that answers for it the gateway does not start', async () => {
    world.config = { ...world.config, tokenReview: { ...world.config.tokenReview, enabled: false } };
    await world.stopGateway();
    await expect(world.startGateway()).rejects.toMatchObject({ code: 'DAAS_TOKEN_REVIEW_OFF' });
  });
});

test('by default a bootstrap token is nobody’s here: Kubernetes knows its own', async () => {
  await using world = await World.start({ tokenReview: { enabled: true, port: 0 } });
  const file = (name: string) => readFile(join(world.config.stateDir, 'authorizer', name));
  const [cert, key] = await Promise.all([file('api-server.crt'), file('api-server.key')]);
  const agent = new Agent({ cert, key });
  const worker = world.worker('worker-1').stake();
  const { join: issued } = await worker.register();
  const token = issued?.token.reveal().split('::').at(-1) ?? '';
  const reply = await post(world.gateway?.tokenReviewPort() ?? 0, reviewOf(token), { agent });
  expect(reply).toMatchObject({ authenticated: false });
  expect(world.kubernetes.credentials.size).toBe(1);
  agent.destroy();
});
