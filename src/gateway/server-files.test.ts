import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { silentLog } from '#base';
import { caHash } from '#infrastructure';
import { joinTokenHead } from './server-files.ts';
import { testTls } from './tls.fixture.ts';

async function serveCa(status: number, body: string): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer(await testTls(), (request, response) => {
    response.writeHead(request.url === '/cacerts' ? status : 404).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

test('without a CA file the hash is of what the server itself hands out', async () => {
  const { cert } = await testTls();
  await using server = await serveCa(200, cert);
  expect(await joinTokenHead({ server: server.url }, silentLog)).toBe(`K10${caHash(cert)}::`);
});

test.each([
  ['a server that has none', 503, ''],
  ['a server that hands out something else', 200, '<html>'],
])('%s is not ready: try again, or name the file', async (_what, status, body) => {
  await using server = await serveCa(status, body);
  await expect(joinTokenHead({ server: server.url }, silentLog)).rejects.toMatchObject({
    code: 'DAAS_SERVER_CA_UNREADABLE',
    isRetryable: true,
    message: expect.stringContaining('gateway.serverCaFile'),
  });
});

test('a CA file that is not there is a configuration error', async () => {
  await expect(
    joinTokenHead({ server: 'https://k3s:6443', serverCaFile: '/nowhere/server-ca.crt' }, silentLog),
  ).rejects.toMatchObject({ code: 'DAAS_SERVER_CA_UNREADABLE', exitCode: 78 });
});

test('a server that hands out a CA without end is cut off', async () => {
  await using server = await serveCa(200, 'x'.repeat(2 * 1024 * 1024));
  await expect(joinTokenHead({ server: server.url }, silentLog)).rejects.toMatchObject({
    code: 'DAAS_SERVER_CA_UNREADABLE',
    cause: { message: expect.stringContaining('the reply is longer than') },
  });
});
