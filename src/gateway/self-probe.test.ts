import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { systemClock } from '#base';
import { closeListener, guardConnections } from '#infrastructure';
import { FakeClock } from '#testing';
import { createSelfProbe, LIVE_PATH } from './self-probe.ts';
import { testTls } from './tls.fixture.ts';

const tls = await testTls();
const closing: Array<() => Promise<unknown>> = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function portOf(server: Server): Promise<number> {
  const connections = guardConnections(server, { most: 10 });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => closeListener(server, connections, 0));
  return (server.address() as AddressInfo).port;
}

function look(port: number, timeoutMs = 10_000) {
  return createSelfProbe({ host: '127.0.0.1', port, cert: () => tls.cert, clock: systemClock, timeoutMs })();
}

test('a port that answers over TLS with our own key is well', async () => {
  const paths: unknown[] = [];
  const port = await portOf(
    createServer({ ...tls }, ({ url }, response) => {
      paths.push(url);
      response.end();
    }),
  );
  expect(await look(port)).toMatchObject({ isOk: true });
  expect(paths).toEqual([LIVE_PATH]);
});

test('a port that takes connections and does not shake hands is not, nor is one that is closed or refuses', async () => {
  const silent = await portOf(createTcpServer());
  expect(await look(silent, 300)).toEqual({
    isOk: false,
    detail: expect.stringContaining('no answer within 300 ms'),
  });
  const gone = createTcpServer();
  const goneAt = await portOf(gone);
  await new Promise((resolve) => gone.close(resolve));
  expect(await look(goneAt)).toEqual({ isOk: false, detail: expect.stringContaining('ECONNREFUSED') });
  const full = await portOf(createServer({ ...tls }, (_request, response) => response.writeHead(503).end()));
  expect(await look(full)).toEqual({ isOk: false, detail: expect.stringContaining('HTTP 503') });
});

test('however often readiness is asked for, the port is tried once a second', async () => {
  let asked = 0;
  const port = await portOf(
    createServer({ ...tls }, (_request, response) => {
      asked += 1;
      response.end();
    }),
  );
  const clock = new FakeClock();
  const probe = createSelfProbe({ host: '127.0.0.1', port, cert: () => tls.cert, clock });
  await Promise.all([probe(), probe(), probe()]);
  expect(asked).toBe(1);
  await clock.advance(1_000);
  await probe();
  expect(asked).toBe(2);
});
