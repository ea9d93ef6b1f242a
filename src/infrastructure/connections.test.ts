import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { createTally } from '#base';
import { type Connection, type Connections, closeListener, guardConnections } from './connections.ts';

const opened: Socket[] = [];
const listening: Array<{ readonly server: Server; readonly connections: Connections }> = [];
afterEach(async () => {
  for (const { server, connections } of listening.splice(0)) await closeListener(server, connections, 0);
  for (const socket of opened.splice(0)) socket.destroy();
});

/** A server whose clients say by their local address under which key they come. */
async function listen(options: Omit<Parameters<typeof guardConnections>[1], 'keyOf'>) {
  const server = createServer((request, response) => {
    const connection = connections.of(request.socket);
    const owner = request.headers['x-owner'];
    if (typeof owner === 'string') connection?.keepFor(owner);
    response.end('hello', () => connection?.rest());
  });
  const connections = guardConnections(server, {
    ...options,
    keyOf: ({ remoteAddress }) => remoteAddress ?? '',
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  listening.push({ server, connections });
  const { port } = server.address() as AddressInfo;
  return { server, connections, port };
}

interface Client {
  readonly closed: Promise<void>;
  isClosed(): boolean;
}

async function open(port: number, localAddress: string, owner?: string): Promise<Client> {
  const socket = connect({ host: '127.0.0.1', port, localAddress, allowHalfOpen: true });
  opened.push(socket);
  let isClosed = false;
  const closed = new Promise<void>((resolve) =>
    socket.once('close', () => {
      isClosed = true;
      resolve();
    }),
  );
  socket.on('error', () => undefined);
  await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), closed]);
  if (owner !== undefined) {
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\nX-Owner: ${owner}\r\n\r\n`);
    await new Promise((resolve) => socket.once('data', resolve));
  }
  socket.resume();
  return { closed, isClosed: () => isClosed };
}

describe('connections', () => {
  test('when there are too many, the address that has the most loses its oldest', async () => {
    const { port, connections } = await listen({ most: 4 });
    const few = await open(port, '127.0.0.2');
    const [first, second] = [await open(port, '127.0.0.3'), await open(port, '127.0.0.3')];
    await open(port, '127.0.0.3');
    await open(port, '127.0.0.4');
    await first.closed;
    expect([few.isClosed(), second.isClosed()]).toEqual([false, false]);
    await open(port, '127.0.0.5');
    await second.closed;
    expect(few.isClosed()).toBe(false);
    expect(connections.figures).toEqual({ kept: 0, others: 4, refused: 0, displaced: 2 });
  });

  test('one address that has too many loses its oldest', async () => {
    const { port } = await listen({ most: 100, mostOfOneKey: 2 });
    const oldest = await open(port, '127.0.0.2');
    const other = await open(port, '127.0.0.3');
    await open(port, '127.0.0.2');
    await open(port, '127.0.0.2');
    await oldest.closed;
    expect(other.isClosed()).toBe(false);
  });

  test('what has an owner is displaced by nobody but its owner', async () => {
    const { port, connections } = await listen({ most: 2, mostOfOneKey: 2, mostOfOneOwner: 1, lifeMs: 300 });
    const kept = await open(port, '127.0.0.2', 'node-1');
    const silent = await open(port, '127.0.0.2');
    for (let index = 0; index < 5; index += 1) await open(port, '127.0.0.2');
    await silent.closed;
    expect(kept.isClosed()).toBe(false);
    const newer = await open(port, '127.0.0.2', 'node-1');
    await kept.closed;
    expect(newer.isClosed()).toBe(false);
    expect(connections.figures.kept).toBe(1);
  });

  test('without an owner none outlives its time, nor the pause it may make between a reply and the next request', async () => {
    const { port, connections } = await listen({ most: 10, lifeMs: 200, restMs: 50 });
    await Promise.all([
      (await open(port, '127.0.0.2')).closed,
      new Promise<void>((resolve) => {
        const socket = connect({ host: '127.0.0.1', port }, () =>
          socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
        );
        socket.on('error', () => undefined).resume();
        socket.once('close', () => resolve());
      }),
    ]);
    expect(connections.figures.others).toBe(0);
  });

  test('that are not let in cost the server nothing but the accept', async () => {
    const { server, port, connections } = await listen({ most: 10, admits: () => false });
    let requests = 0;
    server.on('request', () => (requests += 1));
    await (await open(port, '127.0.0.2')).closed;
    expect([requests, connections.figures.refused]).toEqual([0, 1]);
  });

  test('do not keep a listener from closing, whether they are silent, half open or half way through a request', async () => {
    const { server, port, connections } = await listen({ most: 10 });
    const clients = await Promise.all(['127.0.0.2', '127.0.0.3'].map((address) => open(port, address)));
    opened[0]?.end();
    opened[1]?.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx');
    expect(await closeListener(server, connections, 50)).toBe(true);
    await Promise.all(clients.map(({ closed }) => closed));
  });

  test('of a Unix socket are guarded too', async () => {
    const seen: Connection[] = [];
    const server = createTcpServer();
    server.on('connection', (socket: Socket) => {
      const connection = connections.of(socket);
      if (connection) seen.push(connection);
    });
    const connections = guardConnections(server, { most: 1 });
    const path = join(tmpdir(), `connections-${process.pid}.sock`);
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const first = connect(path);
    opened.push(first);
    const closed = new Promise((resolve) => first.once('close', resolve));
    await new Promise((resolve) => first.once('connect', resolve));
    opened.push(connect(path));
    first.resume();
    await closed;
    expect(seen.length).toBeGreaterThan(0);
    expect(await closeListener(server, connections, 0)).toBe(true);
  });
});

test('a tally knows its heaviest key through any changes', () => {
  const tally = createTally();
  const counts = new Map<string, number>();
  let state = 1;
  const random = (below: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * below);
  };
  for (let step = 0; step < 5_000; step += 1) {
    const key = `key-${random(20)}`;
    const count = counts.get(key) ?? 0;
    if (random(2) === 0) {
      tally.add(key);
      counts.set(key, count + 1);
    } else {
      tally.remove(key);
      counts.set(key, Math.max(0, count - 1));
    }
    const most = Math.max(...counts.values());
    const heaviest = tally.heaviest();
    expect(heaviest === undefined ? 0 : counts.get(heaviest)).toBe(most);
    expect(tally.total).toBe([...counts.values()].reduce((sum, one) => sum + one, 0));
  }
});
