import { chmod, chown, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { describe, expect, test } from 'vitest';
import { settled } from '#testing';
import { GatewayConfig } from './config.ts';
import { call } from './operator.fixture.ts';
import { World } from './world.fixture.ts';

/** A server takes its socket's name along when it closes; not one that was moved. */
async function leaveSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.new`, resolve));
  await rename(`${path}.new`, path);
  await new Promise((resolve) => server.close(resolve));
}

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

  test.each(['stateDir', 'socketPath', 'listen.proxySocket'] as const)(
    'a directory of %s that others may write into is refused',
    async (setting) => {
      await using world = await World.create();
      const shared = `${world.directory}/shared`;
      await mkdir(shared);
      await chmod(shared, 0o777);
      const socket = `${shared}/a.sock`;
      const listen = { host: '127.0.0.1', port: 1, proxySocket: socket };
      const changes = {
        stateDir: { stateDir: shared },
        socketPath: { socketPath: socket },
        'listen.proxySocket': { listen },
      };
      world.config = { ...world.config, ...changes[setting] };
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

  test('the group of a directory with the setgid bit may connect to the proxy’s socket', async () => {
    await using world = await World.create();
    const directory = `${world.directory}/front`;
    await mkdir(directory);
    // Any group that this user is in; root is in all.
    const gid = process.geteuid?.() === 0 ? 65_534 : Number(process.getgroups?.().at(-1));
    await chown(directory, Number(process.geteuid?.()), gid);
    await chmod(directory, 0o2710);
    const proxySocket = `${directory}/gateway.sock`;
    world.config = { ...world.config, listen: { host: '127.0.0.1', port: 1, proxySocket } };
    await world.startGateway();
    expect(await stat(proxySocket)).toMatchObject({ gid, mode: 0o140_660 });
  });

  test('a proxy’s port has to be named', () => {
    const listen = { port: 0, proxySocket: '/run/front/gateway.sock' };
    const { error } = GatewayConfig.shape.listen.safeParse(listen);
    expect(error?.issues).toMatchObject([
      { path: ['port'], message: expect.stringContaining('proxySocket') },
    ]);
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
    world.kubernetes.isDown = true;
    await world.startGateway();
    expect(await get(world, '/readyz')).toMatchObject({
      status: 503,
      json: { checks: expect.arrayContaining([expect.objectContaining({ name: 'cluster', ok: false })]) },
    });
  });
});
