import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { World } from './world.fixture.ts';

const OTHER = `0x${'52'.repeat(32)}`;

interface Reply {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

function call(world: World, method: string, path: string, body?: unknown): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const outgoing = request(
    {
      socketPath: world.gateway?.socketPath,
      method,
      path,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    },
    (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          json: JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>,
        }),
      );
    },
  );
  outgoing.on('error', reject);
  outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

/** A server takes its socket's name along when it closes; not one that was moved. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.new`, resolve));
  await rename(`${path}.new`, path);
  await new Promise((resolve) => server.close(resolve));
}

async function command(world: World, path: string, body: unknown): Promise<Reply> {
  const reply = await call(world, 'POST', path, body);
  await settled(60);
  return reply;
}

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
          banned: false,
          node: { uid: world.cluster.uidOf('worker-1'), ready: true },
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
    expect(world.cluster.has('worker-1')).toBe(true);

    expect((await command(world, '/v1/evict', { node_id: 'worker-1' })).json).toMatchObject({ done: true });
    expect(world.cluster.has('worker-1')).toBe(false);
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
    world.cluster.addNode('server-1');
    expect(await command(world, '/v1/evict', { node_id: 'server-1' })).toMatchObject({
      status: 404,
      json: { code: 'not_found' },
    });
    expect(world.cluster.has('server-1')).toBe(true);
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
    const held = nodes.find(({ nodeId }) => world.cluster.has(nodeId))?.nodeId ?? '';
    expect((await call(world, 'GET', '/v1/breaker')).json).toMatchObject({
      tripped_at: expect.any(Number),
      held: [held],
    });
    await command(world, '/v1/evict', { node_id: held });
    expect(world.cluster.has(held)).toBe(false);
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
    expect(nodes.filter(({ nodeId }) => world.cluster.has(nodeId))).toHaveLength(1);
    const dry = await command(world, '/v1/breaker', { reset: true, dry_run: true });
    expect(dry.json.actions).toHaveLength(2);
    await command(world, '/v1/breaker', { reset: true });
    expect(nodes.filter(({ nodeId }) => world.cluster.has(nodeId))).toHaveLength(0);
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
    expect(nodes.filter(({ nodeId }) => world.cluster.has(nodeId))).toHaveLength(0);
    expect((await call(world, 'GET', '/v1/breaker')).json).toMatchObject({ tripped_at: null, held: [] });

    world.chain.change(last?.recordId ?? '', { status: 'slashed' });
    await world.pass(5_000);
    expect((await call(world, 'GET', '/v1/breaker')).json.held).toEqual(['worker-9']);
    expect(world.cluster.has('worker-9')).toBe(true);
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
      expect(world.cluster.has('worker-1')).toBe(false);
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
    expect(world.cluster.has('worker-1')).toBe(true);
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

describe('the doors', () => {
  test('a second gateway on the same state is refused', async () => {
    await using world = await World.start();
    const first = world.gateway;
    await expect(world.startGateway()).rejects.toMatchObject({
      code: expect.stringMatching(/DAAS_GATEWAY_(STORE|SOCKET)_BUSY/),
    });
    world.gateway = first;
    expect((await call(world, 'GET', '/v1/nodes')).status).toBe(200);
  });

  test('a socket that a killed gateway left behind is taken over', async () => {
    await using world = await World.start();
    await world.stopGateway();
    await leaveSocket(`${world.config.stateDir}/operator.sock`);
    await world.startGateway();
    expect((await call(world, 'GET', '/v1/nodes')).status).toBe(200);
  });

  test('a file in the place of the socket is not removed', async () => {
    await using world = await World.create();
    const path = `${world.directory}/precious`;
    await writeFile(path, 'precious');
    world.config = { ...world.config, socketPath: path };
    await expect(world.startGateway()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_LISTEN_FAILED',
      exitCode: 78,
      message: expect.stringContaining('gateway.socketPath'),
    });
    expect(await readFile(path, 'utf8')).toBe('precious');
  });

  test.each(['stateDir', 'socketPath'])(
    'a directory of %s that others may write into is refused',
    async (setting) => {
      await using world = await World.create();
      const shared = `${world.directory}/shared`;
      await mkdir(shared);
      await chmod(shared, 0o777);
      world.config = { ...world.config, [setting]: setting === 'socketPath' ? `${shared}/a.sock` : shared };
      await expect(world.startGateway()).rejects.toMatchObject({
        code: 'DAAS_GATEWAY_DIRECTORY_EXPOSED',
        exitCode: 78,
        message: expect.stringContaining(`gateway.${setting}`),
      });
      await chmod(shared, 0o775);
      await world.startGateway();
    },
  );

  test('a port that is taken is told with the setting, and is not final', async () => {
    await using world = await World.start();
    const port = Number(new URL(world.gateway?.publicUrl ?? '').port);
    await using other = await World.create({ listen: { host: '127.0.0.1', port } });
    await expect(other.startGateway()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_LISTEN_FAILED',
      exitCode: 75,
      message: expect.stringContaining('gateway.listen'),
    });
  });

  test('a gateway that the chain does not know, or knows by another key, does not start', async () => {
    await using world = await World.create();
    const entry = world.entry.bind(world);
    world.entry = (url) => ({ ...entry(url), id: '0xother' });
    await expect(world.startGateway()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_NOT_ON_CHAIN',
      exitCode: 78,
    });
    world.entry = (url) => ({ ...entry(url), tlsPins: [new Uint8Array(32)] });
    await expect(world.startGateway()).rejects.toMatchObject({
      code: 'DAAS_GATEWAY_PIN_MISMATCH',
      exitCode: 78,
    });
  });

  test.each([
    ['tls.crt', 'DAAS_GATEWAY_TLS_INVALID'],
    ['server-ca.crt', 'DAAS_SERVER_CA_UNREADABLE'],
    ['state/gateway.db', 'DAAS_GATEWAY_STORE_DAMAGED'],
  ])('a damaged %s is said so', async (file, code) => {
    await using world = await World.start();
    await world.stopGateway();
    await writeFile(`${world.directory}/${file}`, 'garbage of some length, so that it is read as a header');
    await expect(world.startGateway()).rejects.toMatchObject({ code, exitCode: 78 });
  });
});

describe('health', () => {
  const get = async (world: World, path: string) => {
    const response = await fetch(`${world.gateway?.healthUrl}${path}`);
    return { status: response.status, json: (await response.json()) as Record<string, unknown> };
  };

  test('is green when it can decide, and names what keeps it from that', async () => {
    await using world = await World.start();
    await settled(60);
    expect((await get(world, '/livez')).status).toBe(200);
    expect(await get(world, '/readyz')).toMatchObject({ status: 200, json: { status: 'ok' } });
    await world.clock.advance(15_000);
    const { status, json } = await get(world, '/readyz');
    expect(status).toBe(503);
    expect(json).toMatchObject({
      checks: expect.arrayContaining([expect.objectContaining({ name: 'chain', ok: false })]),
    });
    expect((await get(world, '/livez')).status).toBe(200);
    world.chain.report();
    await settled();
    expect((await get(world, '/readyz')).status).toBe(200);
    expect((await get(world, '/api/v1/challenge')).status).toBe(404);
  });

  test('is red before the cluster was seen', async () => {
    await using world = await World.create();
    world.cluster.isDown = true;
    await world.startGateway();
    expect(await get(world, '/readyz')).toMatchObject({
      status: 503,
      json: { checks: expect.arrayContaining([expect.objectContaining({ name: 'cluster', ok: false })]) },
    });
  });
});
