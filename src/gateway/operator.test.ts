import { describe, expect, test } from 'vitest';
import { call, command } from './operator.fixture.ts';
import { World } from './world.fixture.ts';

const OTHER = `0x${'52'.repeat(32)}`;

describe('nodes', () => {
  test('are listed with everything an operator decides on', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const { status, json } = await call(world, 'GET', '/v1/nodes');
    expect(status).toBe(200);
    expect(json).toMatchObject({
      timestamp: world.clock.nowMs(),
      nodes: [
        {
          node_id: 'worker-1',
          status: 'member',
          reason: null,
          fact: 'good',
          staker: worker.staker,
          stake_record: worker.recordId,
          seal_token: worker.tokenId,
          incarnation: 1,
          tier: 'basic',
          held_for: null,
          locked: false,
          cloned_since: null,
          banned: false,
          node: { uid: world.kubernetes.uidOf('worker-1'), ready: true },
          agent_state: 'ready',
          running_pods: 3,
        },
      ],
    });
  });
});

describe('evict', () => {
  test('takes the node out, bans nothing, and lets it come back', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const dry = await command(world, '/v1/evict', { node_id: 'worker-1', dry_run: true });
    expect(dry.json).toEqual({
      done: false,
      actions: ['evict worker-1: name, join credential, pods, Node'],
      warnings: [],
    });
    expect(world.kubernetes.has('worker-1')).toBe(true);

    expect((await command(world, '/v1/evict', { node_id: 'worker-1' })).json).toMatchObject({ done: true });
    expect(world.kubernetes.has('worker-1')).toBe(false);
    expect((await worker.heartbeat()).directives).toEqual([{ kind: 'stop', reason: 'evicted' }]);
    expect((await worker.comeBack()).join).toBeDefined();
    expect(await worker.join()).toEqual({ certificate: 200, node: 201 });
  });

  test('with a lock refuses it until it is unlocked', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await command(world, '/v1/evict', { node_id: 'worker-1', lock: true });
    const locked = { code: 'DAAS_GATEWAY_LOCKED', exitCode: 77 };
    await expect(worker.register()).rejects.toMatchObject(locked);
    await world.restartGateway();
    await expect(worker.register()).rejects.toMatchObject(locked);
    expect((await command(world, '/v1/unlock', { node_id: 'worker-1' })).json).toMatchObject({ done: true });
    expect((await worker.comeBack()).join).toBeDefined();
    expect((await command(world, '/v1/unlock', { node_id: 'worker-1' })).json).toEqual({
      done: false,
      actions: [],
      warnings: [],
    });
  });

  test('of a node that is out already can still lock it', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await command(world, '/v1/evict', { node_id: 'worker-1' });
    await command(world, '/v1/evict', { node_id: 'worker-1', lock: true });
    await expect(worker.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_LOCKED' });
  });

  test('knows only nodes that a stake admitted', async () => {
    await using world = await World.start();
    world.kubernetes.addNode('server-1');
    expect(await command(world, '/v1/evict', { node_id: 'server-1' })).toMatchObject({
      status: 404,
      json: { code: 'not_found' },
    });
    expect(world.kubernetes.has('server-1')).toBe(true);
  });

  test('goes through although the breaker has tripped: the operator decides', async () => {
    await using world = await World.start();
    const nodes = [];
    for (const index of [1, 2, 3, 4])
      nodes.push(
        await world.member(`worker-${index}`, { staker: `0x${(0x60 + index).toString(16).repeat(32)}` }),
      );
    for (const worker of nodes) world.chain.change(worker.recordId, { status: 'slashed' });
    await world.pass(5_000);
    const held = nodes.find(({ nodeId }) => world.kubernetes.has(nodeId))?.nodeId ?? '';
    expect((await call(world, 'GET', '/v1/breaker')).json).toMatchObject({
      tripped_at: expect.any(Number),
      held: [held],
    });
    await command(world, '/v1/evict', { node_id: held });
    expect(world.kubernetes.has(held)).toBe(false);
  }, 60_000);
});

describe('the breaker', () => {
  test('is reset by the operator, and what it held is done', async () => {
    await using world = await World.start();
    const nodes = [];
    for (const index of [1, 2, 3, 4])
      nodes.push(
        await world.member(`worker-${index}`, { staker: `0x${(0x60 + index).toString(16).repeat(32)}` }),
      );
    for (const worker of nodes) world.chain.change(worker.recordId, { status: 'slashed' });
    await world.pass(5_000);
    expect(nodes.filter(({ nodeId }) => world.kubernetes.has(nodeId))).toHaveLength(1);
    const dry = await command(world, '/v1/breaker', { reset: true, dry_run: true });
    expect(dry.json.actions).toHaveLength(2);
    await command(world, '/v1/breaker', { reset: true });
    expect(nodes.filter(({ nodeId }) => world.kubernetes.has(nodeId))).toHaveLength(0);
    expect((await call(world, 'GET', '/v1/breaker')).json).toMatchObject({ tripped_at: null, held: [] });
  }, 60_000);

  test('lets all go that it held, however many, and trips at the next beyond them', async () => {
    await using world = await World.start();
    const nodes = [];
    for (const index of [1, 2, 3, 4, 5, 6, 7, 8, 9])
      nodes.push(
        await world.member(`worker-${index}`, { staker: `0x${(0x60 + index).toString(16).repeat(32)}` }),
      );
    const last = nodes.pop();
    for (const worker of nodes) world.chain.change(worker.recordId, { status: 'slashed' });
    await world.pass(5_000);
    expect((await call(world, 'GET', '/v1/breaker')).json.held).toHaveLength(5);
    await command(world, '/v1/breaker', { reset: true });
    expect(nodes.filter(({ nodeId }) => world.kubernetes.has(nodeId))).toHaveLength(0);
    expect((await call(world, 'GET', '/v1/breaker')).json).toMatchObject({ tripped_at: null, held: [] });

    world.chain.change(last?.recordId ?? '', { status: 'slashed' });
    await world.pass(5_000);
    expect((await call(world, 'GET', '/v1/breaker')).json.held).toEqual(['worker-9']);
    expect(world.kubernetes.has('worker-9')).toBe(true);
  }, 60_000);
});

describe('ban and unban', () => {
  test.each(['node_id', 'node_key'] as const)(
    'a banned %s is evicted and refused until unbanned',
    async (subject) => {
      await using world = await World.start();
      const worker = await world.member('worker-1');
      const value =
        subject === 'node_id' ? 'worker-1' : Buffer.from(worker.key.publicKey).toString('base64url');
      const target = { subject, value };
      const dry = await command(world, '/v1/ban', { target, reason: 'test', dry_run: true });
      expect(dry.json.actions).toHaveLength(2);
      await command(world, '/v1/ban', { target, reason: 'test' });
      expect(world.kubernetes.has('worker-1')).toBe(false);
      await expect(worker.register()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_BANNED' });
      expect((await call(world, 'GET', '/v1/bans')).json).toMatchObject({
        bans: [{ subject, value, reason: 'test', stake_record: null }],
      });
      expect((await command(world, '/v1/unban', { target })).json).toMatchObject({ done: true });
      expect((await worker.comeBack()).join).toBeDefined();
      expect((await command(world, '/v1/unban', { target })).json).toEqual({
        done: false,
        actions: [],
        warnings: [],
      });
    },
  );

  test('a banned staker keeps the nodes he has and gets no new ones', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    const target = { subject: 'staker', value: worker.staker };
    await command(world, '/v1/ban', { target, reason: 'test' });
    expect(world.kubernetes.has('worker-1')).toBe(true);
    expect((await worker.register()).incarnation).toBe(2);
    await expect(world.worker('worker-2').stake().register()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_BANNED',
    });
  });

  test.each([
    { subject: 'node_id', value: 'A.b' },
    { subject: 'node_key', value: 'short' },
    { subject: 'staker', value: '0x1' },
    { subject: 'planet', value: 'mars' },
  ])('of $subject $value makes no sense', async (target) => {
    await using world = await World.start();
    expect(await command(world, '/v1/ban', { target, reason: 'x' })).toMatchObject({
      status: 400,
      json: { code: 'request_invalid' },
    });
  });
});

describe('release', () => {
  test('frees a name for another staker, and only a name that nobody runs under', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    expect(await command(world, '/v1/release', { node_id: 'worker-1' })).toMatchObject({ status: 400 });
    await command(world, '/v1/evict', { node_id: 'worker-1', lock: true });
    expect((await command(world, '/v1/release', { node_id: 'worker-1' })).json).toMatchObject({ done: true });
    expect((await call(world, 'GET', '/v1/nodes')).json).toMatchObject({ nodes: [] });
    const other = world.worker('worker-1', { staker: OTHER }).stake();
    expect((await other.comeBack()).join).toBeDefined();
    await expect(worker.heartbeat()).rejects.toMatchObject({ code: 'DAAS_GATEWAY_SEAL_TOKEN_INVALID' });
  });

  test('forgets how far the heartbeats had counted: whoever comes next begins at one', async () => {
    await using world = await World.start();
    const worker = await world.member('worker-1');
    await worker.heartbeat({ sequence: 500 });
    await command(world, '/v1/evict', { node_id: 'worker-1' });
    await command(world, '/v1/release', { node_id: 'worker-1' });
    expect((await worker.comeBack()).incarnation).toBe(1);
    await worker.join();
    expect((await worker.heartbeat({ sequence: 1 })).message).toBe('all is well');
  });
});

test('every command is written down before it is carried out', async () => {
  await using world = await World.start();
  await world.member('worker-1');
  await command(world, '/v1/evict', { node_id: 'worker-1', lock: true });
  const events = (await world.audit()).map(({ event }) => event);
  expect(events.indexOf('operator.command')).toBeGreaterThan(0);
  expect(events.indexOf('operator.command')).toBeLessThan(events.indexOf('eviction.decided'));
  expect(events.indexOf('eviction.decided')).toBeLessThan(events.indexOf('node.deleted'));
});

test.each([
  ['/v1/evict', {}],
  ['/v1/evict', { node_id: 'worker-1', force: true }],
  ['/v1/release', { node_id: 7 }],
  ['/v1/breaker', { reset: false }],
  ['/v1/evict', []],
])('%s %j is refused as malformed', async (path, body) => {
  await using world = await World.start();
  expect(await call(world, 'POST', path, body)).toMatchObject({
    status: 400,
    json: { code: 'request_invalid' },
  });
});

test('what is wrong with a command as a whole is named without a member', async () => {
  await using world = await World.start();
  const { json } = await command(world, '/v1/evict', []);
  expect(json).toMatchObject({ code: 'request_invalid', detail: expect.stringMatching(/^[A-Za-z]/) });
});
