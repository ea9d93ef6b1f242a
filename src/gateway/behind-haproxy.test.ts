import { stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { portForHaproxy, startHaproxy } from './haproxy.fixture.ts';
import { call } from './operator.fixture.ts';
import { raw } from './raw-request.fixture.ts';
import { makeTls } from './tls.fixture.ts';
import { World } from './world.fixture.ts';

test('behind a proxy it listens on its socket alone, and is ready when the proxy’s port shows its key', async () => {
  await using world = await World.create();
  const port = await portForHaproxy();
  const proxySocket = `${world.directory}/front/gateway.sock`;
  world.config = { ...world.config, listen: { host: '127.0.0.1', port, proxySocket } };
  const gateway = await world.startGateway();
  expect(gateway.publicUrl).toBe(`https://127.0.0.1:${port}`);
  expect((await stat(proxySocket)).mode & 0o777).toBe(0o600);
  const portCheck = async () => (await gateway.health()).find(({ name }) => name === 'port');
  expect(await portCheck()).toMatchObject({ isOk: false, detail: expect.stringContaining('ECONNREFUSED') });
  const files = { port, socketPath: proxySocket, directory: `${world.directory}/haproxy` };
  const other = await makeTls();
  {
    await using _ = await startHaproxy({ ...files, certAndKey: other.cert + other.key });
    await world.clock.advance(1_000);
    expect(await portCheck()).toMatchObject({
      isOk: false,
      detail: expect.stringContaining('another TLS key'),
    });
  }
  await using _ = await startHaproxy({ ...files, certAndKey: world.tls.cert + world.tls.key });
  // On a busy machine a first look may take longer than it waits for an answer.
  const looked = async () => {
    await world.clock.advance(1_000);
    return portCheck();
  };
  await expect.poll(looked, { timeout: 60_000 }).toMatchObject({ isOk: true });
});

test('each address has the budgets of its own, and what is written down names the worker’s', async () => {
  await using world = await World.start({ limits: { addressHandshakeBurst: 2, addressHandshakeRate: 1 } });
  const url = `${world.gateway?.publicUrl}/livez`;
  const ask = (localAddress: string) =>
    raw(url, { localAddress }).then(
      ({ status }) => status,
      ({ code }: NodeJS.ErrnoException) => code,
    );
  for (const address of ['127.0.0.8', '127.0.0.9'])
    expect([await ask(address), await ask(address), await ask(address)]).toEqual([200, 200, 'ECONNRESET']);
  await world.member('worker-1');
  const { json } = await call(world, 'GET', '/v1/nodes');
  expect(json.nodes).toMatchObject([{ use: { addresses: ['127.0.0.1'] } }]);
});

test('a stranger who reaches the socket itself is held to the header: no request is made of anything else', async () => {
  await using world = await World.start();
  const socket = connect(world.config.listen.proxySocket ?? '');
  socket.write('GET /livez HTTP/1.1\r\nHost: gateway\r\n\r\n');
  const chunks: Buffer[] = [];
  for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
  expect(Buffer.concat(chunks).toString()).toBe('');
  expect(world.logged).toContainEqual(
    expect.objectContaining({ message: expect.stringContaining('gateway.listen.proxySocket was closed') }),
  );
});
