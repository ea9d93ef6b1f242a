import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Connections, closeListener, guardConnections } from '#infrastructure';
import { type ProxiedConnectionsOptions, takeProxiedConnections } from './proxied-connections.ts';

let directory: string;
let server: Server;
let guarded: Connections;
let waiting: ReturnType<typeof takeProxiedConnections>;
const reasons: string[] = [];
const clients: Socket[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'proxied-'));
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  waiting.cutAll();
  await closeListener(server, guarded, 0);
  await rm(directory, { recursive: true });
  reasons.length = 0;
});

/** Answers each request with what it knows of its peer, the body after it. */
async function listen(options: Partial<ProxiedConnectionsOptions> = {}): Promise<void> {
  server = createServer((request, response) => {
    const { remoteAddress, remotePort, remoteFamily, localAddress, localPort } = request.socket;
    const { key } = guarded.of(request.socket) ?? {};
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () =>
      response.end(
        JSON.stringify({ remoteAddress, remotePort, remoteFamily, localAddress, localPort, key, body }),
      ),
    );
  });
  guarded = guardConnections(server, { most: 10, keyOf: ({ remoteAddress }) => remoteAddress ?? 'none' });
  const onRefused = (reason: string) => void reasons.push(reason);
  waiting = takeProxiedConnections(server, { onRefused, ...options });
  await new Promise<void>((resolve) => server.listen(join(directory, 'socket'), resolve));
}

function dial(): Socket {
  const client = connect(join(directory, 'socket'));
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

const header = 'PROXY TCP4 192.0.2.1 198.51.100.1 4000 8443\r\n';
const request = (body: string) =>
  `POST / HTTP/1.1\r\nHost: gateway\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const answered = {
  remoteAddress: '192.0.2.1',
  remotePort: 4000,
  remoteFamily: 'IPv4',
  localAddress: '198.51.100.1',
  localPort: 8443,
  key: '192.0.2.1',
};

async function replyTo(client: Socket): Promise<unknown> {
  let text = '';
  for await (const chunk of client.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    text += chunk.toString();
    const body = /\r\n\r\n(\{.*\})/s.exec(text)?.[1];
    if (body !== undefined) return JSON.parse(body);
  }
  return undefined;
}

test('a request that comes with its header has the client for its peer, for the guard of the connections too', async () => {
  await listen();
  const client = dial();
  client.write(header + request('one'));
  expect(await replyTo(client)).toEqual({ ...answered, body: 'one' });
  client.write(request('two'));
  expect(await replyTo(client)).toEqual({ ...answered, body: 'two' });
});

test('so has one that comes byte by byte', async () => {
  await listen();
  const client = dial();
  for (const byte of header + request('one')) {
    client.write(byte);
    await new Promise(setImmediate);
  }
  expect(await replyTo(client)).toEqual({ ...answered, body: 'one' });
});

test('a long body after the header arrives whole', async () => {
  await listen();
  const client = dial();
  const body = 'x'.repeat(300_000);
  client.write(header + request(body));
  expect(await replyTo(client)).toEqual({ ...answered, body });
});

test('what begins without a header is closed, and no request is made of it', async () => {
  await listen();
  const client = dial();
  client.write(request('one'));
  await once(client, 'close');
  expect(reasons).toEqual(['the connection begins with no PROXY header']);
  expect(guarded.figures.others).toBe(0);
});

test('a connection that says nothing is closed at the deadline', async () => {
  await listen({ deadlineMs: 20 });
  await once(dial(), 'close');
  expect(reasons).toEqual(['no header came in time']);
});

test('a connection whose other end goes before its header is no offence', async () => {
  await listen();
  const client = dial();
  client.end('PROXY');
  await once(client, 'close');
  expect(reasons).toEqual([]);
});

test('of those that wait for their header the oldest gives way', async () => {
  await listen({ mostWaiting: 2 });
  const first = dial();
  await once(first, 'connect');
  const others = [dial(), dial()];
  await once(first, 'close');
  others[1]?.write(header + request('one'));
  expect(await replyTo(others[1] as Socket)).toEqual({ ...answered, body: 'one' });
});
